"""The models, each loaded once per process. The process that recognises speech never imports torch."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import ctranslate2
from faster_whisper import WhisperModel

from shared.config import Settings
from shared.errors import ModelNotAllowed, ModelUnavailable

if TYPE_CHECKING:
    from tasks.diarization_pipeline import Diarizer

KEPT_MODELS = 2
"""Whisper models kept in memory per process, so that a default and one other take turns without being loaded again.
The largest takes 3.1 GB as float16 and 1.6 GB as int8."""

ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""Short names and the folder their weights are in."""

WHISPER_FILES = ("model.bin", "config.json", "tokenizer.json")
"""What a folder must hold, beside a vocabulary. Without tokenizer.json faster-whisper would ask the Hub for one."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How one Whisper model is to be loaded."""

    folder: Path
    device: str
    compute_type: str
    cpu_threads: int


_loaded: OrderedDict[Engine, WhisperModel] = OrderedDict()


def device(config: Settings) -> str:
    """Where the models run: "cpu" or "cuda". Raises ModelUnavailable when DEVICE=cuda and there is none."""
    gpus = int(ctranslate2.get_cuda_device_count())
    if config.device == "cuda" and not gpus:
        raise ModelUnavailable("DEVICE is cuda, but this worker sees no CUDA device.")
    return ("cuda" if gpus else "cpu") if config.device == "auto" else config.device


def compute_type(config: Settings) -> str:
    """CTranslate2's number type; auto is float16 on CUDA and int8 on a CPU, or float32 where the hardware lacks those.

    Raises ModelUnavailable when COMPUTE_TYPE names one that the device does not have.
    """
    where = device(config)
    supported = ctranslate2.get_supported_compute_types(where)
    if config.compute_type == "auto":
        wanted = "float16" if where == "cuda" else "int8"
        return wanted if wanted in supported else "float32"
    if config.compute_type not in {*supported, "default"}:
        names = ", ".join(sorted(supported))
        raise ModelUnavailable(f"COMPUTE_TYPE is {config.compute_type}, but {where} here supports only {names}.")
    return config.compute_type


def cpu_threads(config: Settings) -> int:
    """Threads for one model: CPU_THREADS, or every core this process may run on."""
    return config.cpu_threads or len(os.sched_getaffinity(0))


def model_name(config: Settings, asked: str = "auto") -> str:
    """The Whisper model meant by `asked`, "auto" being the server's default. Raises ModelNotAllowed."""
    name = config.whisper_model if asked == "auto" else asked
    if name == "auto":
        name = "large-v3-turbo" if device(config) == "cuda" else "base"
    if name not in config.allowed_models:
        raise ModelNotAllowed(f"The model {name!r} is not offered here.", parameter="model")
    return name


def whisper(config: Settings, name: str) -> WhisperModel:
    """The Whisper model `name` from MODEL_DIR/whisper/NAME, loaded at the first call.

    Raises ModelNotAllowed for a name that is not on this server's list, and ModelUnavailable when the weights are not
    complete or cannot be loaded.
    """
    name = model_name(config, name)
    folder = config.model_dir / "whisper" / ALIASES.get(name, name)
    engine = Engine(folder, device(config), compute_type(config), cpu_threads(config))
    if engine in _loaded:
        _loaded.move_to_end(engine)
        return _loaded[engine]
    _check(folder, name)
    while len(_loaded) >= KEPT_MODELS:
        _loaded.popitem(last=False)  # before loading, so that there are never more in memory
    try:
        model = WhisperModel(
            str(folder),
            device=engine.device,
            compute_type=engine.compute_type,
            cpu_threads=engine.cpu_threads,
            local_files_only=True,
        )
    except Exception as error:
        raise ModelUnavailable(f"The Whisper model {name} cannot be loaded ({type(error).__name__}).") from error
    _loaded[engine] = model
    return model


def diarization(config: Settings) -> Diarizer:
    """The speaker diarization pipeline from MODEL_DIR/diarization or the Hub, loaded at the first call.

    Raises ModelUnavailable when the weights are not to be had.
    """
    token = config.hf_token.get_secret_value() if config.hf_token else None
    return _diarization(config.model_dir / "diarization", config.diarization_mode, device(config), token)


@cache
def _diarization(folder: Path, mode: Literal["fast", "exact"], device: str, token: str | None) -> Diarizer:
    from tasks.diarization import load_pipeline  # imports torch

    return load_pipeline(folder, mode=mode, device=device, token=token)


def _check(folder: Path, name: str) -> None:
    missing = [file for file in WHISPER_FILES if not (folder / file).is_file()]
    if not any(folder.glob("vocabulary.*")):
        missing.append("vocabulary.json")
    if missing:
        raise ModelUnavailable(
            f"The weights of {name} are not here ({', '.join(missing)} missing). "
            f"Fetch them with: python -m scripts.download_models --model {ALIASES.get(name, name)}"
        )
