"""The weights that a stack on this machine needs before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scripts.weights import default_model_dir, ensure, manifest
from scripts.weights.catalogue import SPEAKERS
from shared.errors import ModelUnavailable

ON_CPU, ON_CUDA = "base", "large-v3-turbo"
"""What WHISPER_MODEL=auto means (tasks/engines/loading.py)."""


def ensure_models(environ: Mapping[str, str], report: Callable[[str], None]) -> str:
    """Have the default Whisper model and the diarization models in MODEL_DIR; returns the Whisper model's name.

    Where `auto` would be a model that cannot be had here, it is the one for CPUs, and that is reported.
    Raises ModelUnavailable.
    """
    choice = environ.get("WHISPER_MODEL") or "auto"
    name = (ON_CUDA if _has_gpu(environ) else ON_CPU) if choice == "auto" else choice
    try:
        ensure(default_model_dir(), [name], diarization=True)
    except ModelUnavailable as error:
        if choice != "auto" or name == ON_CPU:
            raise
        report(f"{error.message}\nUsing the model {ON_CPU} instead of {name}")
        name = ON_CPU
        ensure(default_model_dir(), [name], diarization=True)
    return name


def _has_gpu(environ: Mapping[str, str]) -> bool:
    if environ.get("DEVICE") == "cpu":
        return False
    import ctranslate2  # only where it is asked: a small board is seconds about it

    return bool(ctranslate2.get_cuda_device_count())


def ensure_live_model(environ: Mapping[str, str]) -> None:
    """Have LIVE_MODEL and LIVE_FINAL_MODEL as well, where a live worker is to run: it cannot ask the network.

    Raises ModelUnavailable.
    """
    names = [environ[variable] for variable in ("LIVE_MODEL", "LIVE_FINAL_MODEL") if environ.get(variable)]
    if names and has_live_worker(environ):
        ensure(default_model_dir(), names)


def ensure_live_speakers(environ: Mapping[str, str], report: Callable[[str], None]) -> None:
    """Have what tells speakers apart in live sessions, where a live worker is to run. Without it their text has no
    speakers, and that is reported."""
    if has_live_worker(environ):
        ensure(default_model_dir(), speakers=True)
        if manifest.fault(default_model_dir() / SPEAKERS.name, SPEAKERS, None) is not None:
            report("Live sessions will not tell speakers apart: what does so could not be fetched (docs/models.md)")


def has_live_worker(environ: Mapping[str, str]) -> bool:
    """Whether `make run` is to start one."""
    return environ.get("LIVE") == "1"
