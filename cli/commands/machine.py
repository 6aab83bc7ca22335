"""Where Parley itself runs: are its weights complete, is there room, is the GPU seen?"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cli.commands.findings import Finding

WHISPER_FILES = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*")
"""What faster-whisper opens, as glob patterns."""

DIARIZATION_FILES = (
    "config.yaml",
    "segmentation/pytorch_model.bin",
    "embedding/pytorch_model.bin",
    "plda/plda.npz",
    "plda/xvec_transform.npz",
)
"""What pyannote opens."""

SPEAKERS_FILE = "speakers/wespeaker.onnx"
"""What a live worker opens."""

ROOM_BYTES = 10 * 1024**3
"""An upload of the largest size that is accepted by default (5 GiB), once in storage and once while it is decoded."""

GPU_TIMEOUT_S = 20
"""A driver that has to wake its cards takes seconds."""

TOKEN = re.compile(r"hf_[A-Za-z0-9]{30,}")
"""The form of Hugging Face's access tokens."""


PROCESSORS = {"x86_64": "x86-64", "aarch64": "ARM64"}
"""Those that Parley's packages are there for, as platform.machine() names them."""


def on_this_machine(folder: Path) -> Iterator[Finding]:
    """Findings, if `folder` is a Parley's, or MODEL_DIR says where its weights are; else none."""
    home = Path(os.environ.get("PARLEY_HOME") or folder / ".parley")
    models = Path(os.environ.get("MODEL_DIR") or folder / "models")
    if not home.is_dir() and not any((models / name).is_dir() for name in ("whisper", "diarization")):
        return
    yield _platform()
    yield from _weights(models)
    yield from _room({"weights": models, "data": home})
    yield _gpu()
    yield _token()


def _platform() -> Finding:
    """System and processor, and as which numbers recognition computes there."""
    machine, system = platform.machine(), platform.system()
    name = f"{system} on {PROCESSORS.get(machine, machine)}"
    if system == "Linux" and machine.startswith("arm"):
        return Finding("platform", "fail", f"{name}, of 32 bits", "Install a 64-bit system; Raspberry Pi OS has one.")
    if system != "Linux" or machine not in PROCESSORS or sys.maxsize < 2**32:
        advice = "Run it on Linux on x86-64 or ARM64, of 64 bits; on macOS and Windows by Docker (docs/deploy.md)."
        return Finding("platform", "fail", name, advice)
    try:
        import ctranslate2
    except ImportError:  # this is the command line alone, or its server's packages are elsewhere
        return Finding("platform", "ok", name)
    if "int8" in ctranslate2.get_supported_compute_types("cpu"):
        return Finding("platform", "ok", f"{name}; recognition computes as int8")
    slow = "recognition computes as float32: CTranslate2 has no int8 for this processor"
    return Finding("platform", "note", f"{name}; {slow}", "Count on four times the memory for models, and more time.")


def _weights(models: Path) -> Iterator[Finding]:
    whisper = models / "whisper"
    folders = sorted(path for path in whisper.iterdir() if path.is_dir()) if whisper.is_dir() else []
    advice = "python scripts/download_models.py fetches what is missing."
    if not folders:
        yield Finding("weights", "fail", f"no Whisper model in {whisper}", advice)
    for folder, patterns in [*((path, WHISPER_FILES) for path in folders), (models / "diarization", DIARIZATION_FILES)]:
        lacking = [name for name in patterns if not any(path.stat().st_size for path in folder.glob(name))]
        name = str(folder.relative_to(models))
        if lacking:
            yield Finding("weights", "fail", f"{name} lacks {', '.join(lacking)}", advice)
        else:
            yield Finding("weights", "ok", f"{name} is complete")
    if not (models / SPEAKERS_FILE).is_file():
        message = f"no {SPEAKERS_FILE}: live sessions do not tell speakers apart, their results do"
        yield Finding("weights", "note", message, advice)


def _room(places: dict[str, Path]) -> Iterator[Finding]:
    for name, place in places.items():
        if not place.is_dir():
            continue
        free = shutil.disk_usage(place).free
        summary = f"{free / 1024**3:.1f} GiB free for {name} in {place}"
        if free >= ROOM_BYTES:
            yield Finding("disk", "ok", summary)
        else:
            yield Finding("disk", "fail", summary, f"Make room: a large upload needs {ROOM_BYTES / 1024**3:.0f} GiB.")


def _gpu() -> Finding:
    on_cpu = "none seen; the CPU is used, with smaller models"
    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding("gpu", "ok", on_cpu)
    command = (program, "--query-gpu=name,memory.total", "--format=csv,noheader")
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=GPU_TIMEOUT_S, check=False)  # noqa: S603 - found on PATH
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("gpu", "note", f"nvidia-smi does not answer: {error}", "Look at the NVIDIA driver.")
    if process.returncode != 0 or not process.stdout.strip():
        line = (process.stdout + process.stderr).strip().partition("\n")[0]
        return Finding("gpu", "note", f"nvidia-smi: {line or 'no card'}", "Look at the NVIDIA driver.")
    return Finding("gpu", "ok", "; ".join(process.stdout.strip().splitlines()))


def _token() -> Finding:
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        return Finding("hf token", "ok", "none; diarization uses the weights that need no account")
    if TOKEN.fullmatch(token) is None:
        return Finding(
            "hf token",
            "fail",
            "HF_TOKEN does not look like a token",
            "It begins with hf_; copy it again from huggingface.co/settings/tokens.",
        )
    return Finding("hf token", "ok", "HF_TOKEN has the form of a token")
