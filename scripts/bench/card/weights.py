"""Weights for `python -m scripts.bench.card` that are small enough to be taken along: 60 MB instead of 108.

tiny.en becomes int8, as CTranslate2's own converter would write it (ctranslate2/specs/model_spec.py): each row of a
matrix with the scale that makes its largest value 127. Convolutions, norms and biases stay float16. pyannote's networks
become float16; they are float32 again once they are loaded.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

MOST_BYTES = 60 * 10**6
DTYPES = ("<f4", "i1", "<i2", "<i4", "<f2", "<u2")
"""By CTranslate2's numbers; the last is bfloat16."""

FLOATS = ("<f4", "<f2")
BINARY_VERSION = 6


class TooLarge(Exception):
    """The weights would not fit."""


Variable = tuple[str, Any]


def pack(models: Path, target: Path) -> int:
    """Write the weights into `target`, laid out as a MODEL_DIR; their size in bytes. Raises TooLarge."""
    whisper, diarization = Path("whisper", "tiny.en"), Path("diarization")
    for folder in (whisper, diarization):
        shutil.copytree(models / folder, target / folder, dirs_exist_ok=True)
    quantise(models / whisper / "model.bin", target / whisper / "model.bin")
    for network in ("embedding", "segmentation"):
        halve(target / diarization / network / "pytorch_model.bin")
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    if size > MOST_BYTES:
        raise TooLarge(f"{size / 1e6:.1f} MB are more than {MOST_BYTES / 1e6:.0f}")
    return size


def halve(file: Path) -> None:
    """A checkpoint's floats as float16."""
    from tasks.diarization.loading import import_pyannote

    import_pyannote()  # a checkpoint names pyannote's classes
    import torch

    checkpoint = torch.load(file, map_location="cpu", weights_only=False)  # our own, fetched by hash
    state = checkpoint.get("state_dict", checkpoint)
    for name, value in state.items():
        if torch.is_tensor(value) and value.dtype == torch.float32:
            state[name] = value.half()
    torch.save(checkpoint, file)


def quantise(source: Path, target: Path) -> None:
    """A model of CTranslate2 as int8. Raises ValueError for a file of another version, or one that is no float."""
    with source.open("rb") as model:
        (version,) = struct.unpack("<I", model.read(4))
        if version != BINARY_VERSION:
            raise ValueError(f"{source} has version {version}, not {BINARY_VERSION}")
        name, (revision, count) = _string(model), struct.unpack("<II", model.read(8))
        variables = [one for _ in range(count) for one in _smaller(*_variable(model))]
        aliases = [(_string(model), _string(model)) for _ in range(struct.unpack("<I", model.read(4))[0])]
    # what shares a matrix shares its scale
    matrices = {name.removesuffix("_scale") for name, _ in variables if name.endswith("weight_scale")}
    aliases += [(f"{alias}_scale", f"{name}_scale") for alias, name in aliases if name in matrices]
    with target.open("wb") as model:
        model.write(struct.pack("<I", BINARY_VERSION))
        _write_string(model, name)
        model.write(struct.pack("<II", revision, len(variables)))
        for variable in sorted(variables, key=lambda one: one[0]):
            _write_variable(model, *variable)
        model.write(struct.pack("<I", len(aliases)))
        for alias in sorted(aliases):
            for text in alias:
                _write_string(model, text)


def _smaller(name: str, value: Any) -> Iterator[Variable]:
    if value.ndim != 2 or not name.endswith("/weight") or value.dtype.str not in FLOATS:
        yield name, value
        return
    rows = value.astype(np.float32)
    largest = np.abs(rows).max(axis=1)
    scale = (np.float32(127) / np.where(largest == 0, np.float32(127), largest)).astype(np.float32)
    yield name, np.rint(rows * scale[:, None]).astype(np.int8)
    yield f"{name}_scale", scale


def _string(model: BinaryIO) -> str:
    (length,) = struct.unpack("<H", model.read(2))
    return model.read(length)[:-1].decode()


def _variable(model: BinaryIO) -> Variable:
    name = _string(model)
    (rank,) = struct.unpack("<B", model.read(1))
    shape = struct.unpack(f"<{rank}I", model.read(4 * rank))
    kind, size = struct.unpack("<BI", model.read(5))
    return name, np.frombuffer(model.read(size), DTYPES[kind]).reshape(shape)


def _write_string(model: BinaryIO, text: str) -> None:
    content = text.encode()
    model.write(struct.pack("<H", len(content) + 1) + content + b"\0")


def _write_variable(model: BinaryIO, name: str, value: Any) -> None:
    _write_string(model, name)
    model.write(struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape))
    model.write(struct.pack("<BI", DTYPES.index(value.dtype.newbyteorder("<").str.replace("|", "")), value.nbytes))
    model.write(value.tobytes())
