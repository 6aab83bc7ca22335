"""The models, each loaded once per process. The process that recognises speech never imports torch, the one that tells
speakers apart never CTranslate2, and a process that asks only what is loaded imports neither.

A model is loaded only where there is memory for it; docs/decisions/models-in-workers.md says how that is known.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from shared.abilities import abilities
from shared.config import Settings
from shared.errors import ModelNotAllowed, ModelTooLarge, ModelUnavailable
from tasks.engines import folders, memory

if TYPE_CHECKING:
    from tasks.diarization.pipeline import Clustering, Diarizer
    from tasks.engines.faster_whisper import FasterWhisper
    from tasks.engines.onnx import OnnxRecogniser
    from tasks.engines.recogniser import Recogniser
    from tasks.engines.whisper import Engine

R = TypeVar("R", bound="Recogniser")

KEPT_MODELS = 2
"""Speech models kept in memory per process, so that a default and one other take turns without being loaded again.
The largest takes 3.1 GB as float16 and 1.6 GB as int8."""

DIARIZATION_BYTES = 1_000_000_000
"""Memory that the diarization pipeline needs to be of use: 0.8 GB once it is loaded, torch included, and some more for
an hour of conversation (measured on a CPU). Its networks are small, 33 MB; a card is charged the same, for safety."""

ONNX_MEMORY_PER_BYTE = 1.5
"""Memory per byte of an ONNX model's files: the weights, and half as much for the work on one piece."""


@dataclass(frozen=True, slots=True)
class _Pipeline:
    """How the diarization pipeline is to be loaded."""

    folder: Path
    clustering: Clustering
    device: str
    token: str | None


@dataclass(frozen=True, slots=True)
class OnnxFiles:
    """How one ONNX model is to be loaded."""

    folder: Path
    device: str
    cpu_threads: int

    @property
    def memory_bytes(self) -> int:
        """Weights are mapped or read as they are; the rest is for what onnxruntime makes of them."""
        files = [*self.folder.glob("*.onnx"), *self.folder.glob("*.onnx?data")]
        return round(ONNX_MEMORY_PER_BYTE * sum(file.stat().st_size for file in files))


_models: OrderedDict[Engine | OnnxFiles, Recogniser] = OrderedDict()
_diarizers: dict[_Pipeline, Diarizer] = {}
_listeners: list[Callable[[], None]] = []
_used: list[Recogniser] = []
_using = threading.Lock()


def device(config: Settings) -> str:
    """Where Whisper runs: "cpu" or "cuda". Raises ModelUnavailable when DEVICE=cuda and there is none."""
    if config.device == "cpu":
        return "cpu"
    import ctranslate2

    if ctranslate2.get_cuda_device_count():
        return "cuda"
    if config.device == "cuda":
        raise ModelUnavailable("DEVICE is cuda, but this worker sees no CUDA device.")
    return "cpu"


def diarization_device(config: Settings) -> str:
    """Where diarization runs: "cpu", "cuda" or "cuda:1". Raises ModelUnavailable when there is no such card."""
    where = config.diarization_device or config.device
    if where == "cpu":
        return "cpu"
    import torch

    cards = torch.cuda.device_count()  # without touching any
    if where == "auto":
        return "cuda" if cards else "cpu"
    if int(where.partition(":")[2] or 0) >= cards:
        raise ModelUnavailable(f"Diarization is to run on {where}, but this worker sees no such CUDA device.")
    return where


def compute_type(config: Settings) -> str:
    """CTranslate2's number type; auto is float16 on CUDA and int8 on a CPU, or float32 where the hardware lacks those.

    Raises ModelUnavailable when COMPUTE_TYPE names one that the device does not have.
    """
    where = device(config)
    if config.compute_type == "auto":
        return _usual_type(where)
    import ctranslate2

    supported = ctranslate2.get_supported_compute_types(where)
    if config.compute_type not in {*supported, "default"}:
        names = ", ".join(sorted(supported))
        raise ModelUnavailable(f"COMPUTE_TYPE is {config.compute_type}, but {where} here supports only {names}.")
    return config.compute_type


def cpu_threads(config: Settings) -> int:
    """Threads for one model: CPU_THREADS, or every core this process may run on."""
    return config.cpu_threads or len(os.sched_getaffinity(0))


def workers(config: Settings, calls: int) -> int:
    """How many workers share the threads of a Whisper model where up to so many calls come at the same time; one on a
    card. Raises as `device`.

    Two workers of one thread do nearly twice as much as one of two (docs/decisions/live.md). A single call is answered
    sooner by two threads where the model is large, so with four and more each worker has two.
    """
    threads = cpu_threads(config)
    return max(1, min(calls, threads if threads < 4 else threads // 2)) if device(config) == "cpu" else 1


def model_name(config: Settings, choice: str = "auto") -> str:
    """The Whisper model meant by `choice`, "auto" being the server's default. Raises ModelNotAllowed."""
    name = config.whisper_model if choice == "auto" else choice
    if name == "auto":
        name = "large-v3-turbo" if device(config) == "cuda" else "base"
    if name not in config.allowed_models:
        raise ModelNotAllowed(f"The model {name!r} is not offered here.", parameter="model")
    return name


def recogniser(config: Settings, name: str) -> Recogniser:
    """The speech model `name`, by the engine that runs it, loaded at the first call.

    Raises ModelNotAllowed for a name that is not on this server's list, ModelTooLarge when there is no memory for it,
    even without the other models that are kept, and ModelUnavailable when the weights are not complete or cannot be
    loaded.
    """
    name = model_name(config, name)
    return onnx(config, name) if abilities(name).engine == "onnx" else whisper(config, name)


def whisper(config: Settings, name: str, calls: int = 1) -> FasterWhisper:
    """The Whisper model `name` from MODEL_DIR/whisper/NAME, for up to so many calls at the same time. Raises as
    `recogniser`."""
    from tasks.engines.faster_whisper import FasterWhisper
    from tasks.engines.whisper import Engine, Whisper

    name = model_name(config, name)
    folder = folders.folder(config, name)
    threads, where, count = cpu_threads(config), device(config), workers(config, calls)
    engine = Engine(folder, where, compute_type(config), threads // count, count)
    cpu_fallback = Engine(folder, "cpu", _usual_type("cpu"), threads) if where == "cuda" else None
    return _cached(
        engine,
        f"The Whisper model {name}",
        lambda: folders.check(config, name),
        lambda: FasterWhisper(Whisper(engine, cpu_fallback)),
    )


def onnx(config: Settings, name: str) -> OnnxRecogniser:
    """The model `name` from MODEL_DIR/onnx/NAME. Raises as `recogniser`."""
    import onnxruntime

    from tasks.engines.onnx import CUDA, OnnxRecogniser

    has_card = device(config) == "cuda" and CUDA in onnxruntime.get_available_providers()
    files = OnnxFiles(folders.folder(config, name), "cuda" if has_card else "cpu", cpu_threads(config))
    return _cached(
        files,
        f"The model {name}",
        lambda: folders.check(config, name),
        lambda: OnnxRecogniser(files.folder, abilities(name), files.device, files.cpu_threads),
    )


def _cached(key: Engine | OnnxFiles, title: str, check: Callable[[], None], load: Callable[[], R]) -> R:
    """The model of `key`, loaded unless it is kept."""
    if key in _models and _models[key].device == key.device:
        _models.move_to_end(key)
        return cast("R", _models[key])
    check()
    if key in _models:  # it had to leave its card, which may have room again
        _drop(key)
    while len(_models) >= KEPT_MODELS and (spare := _spare()):
        _drop(spare)  # before loading, so that there are never more in memory than are used or kept
    _make_room(title, key.memory_bytes, key.device)
    try:
        model = load()
    except Exception as error:
        raise ModelUnavailable(f"{title} cannot be loaded ({type(error).__name__}).") from error
    _models[key] = model
    _tell()
    return model


def diarization(config: Settings) -> Diarizer:
    """The speaker diarization pipeline from MODEL_DIR/diarization or the Hub, loaded at the first call.

    Raises ModelTooLarge when there is no memory for it, and ModelUnavailable when the weights are not to be had.
    """
    token = config.hf_token.get_secret_value() if config.hf_token else None
    folder, where = config.model_dir / "diarization", diarization_device(config)
    key = _Pipeline(folder, config.diarization_clustering, where, token)
    loaded = _diarizers.get(key)
    if loaded is None or loaded.device.type != where.partition(":")[0]:
        _diarizers.pop(key, None)  # it had to leave its card
        _make_room("The diarization pipeline", DIARIZATION_BYTES, where)
        from tasks.diarization.loading import load_pipeline  # imports torch

        loaded = _diarizers[key] = load_pipeline(folder, clustering=key.clustering, device=where, token=token)
    return loaded


def loaded(config: Settings) -> list[str]:
    """The offered speech models that this process has in memory."""
    in_memory = {key.folder for key in _models}
    return [name for name in config.allowed_models if folders.folder(config, name) in in_memory]


def on_change(listener: Callable[[], None]) -> None:
    """Call `listener` whenever a speech model was loaded or dropped, in the thread that did it."""
    _listeners.append(listener)


@contextmanager
def in_use(model: Recogniser) -> Iterator[None]:
    """Let go of no model that another thread still uses: a model that was unloaded answers nobody."""
    with _using:
        _used.append(model)
    try:
        yield
    finally:
        with _using:
            del _used[next(place for place, each in enumerate(_used) if each is model)]


def let_go() -> int:
    """Free all models of this process; the next call loads them again. Returns how many there were.

    To be called between two stages: a model that is let go is of no use to whoever still holds it.
    """
    count = len(_models) + len(_diarizers)
    for key in list(_models):
        _drop(key)
    _diarizers.clear()
    memory.give_back()
    return count


def _usual_type(where: str) -> str:
    import ctranslate2

    name = "float16" if where == "cuda" else "int8"
    return name if name in ctranslate2.get_supported_compute_types(where) else "float32"


def _make_room(what: str, size: int, where: str) -> None:
    """See to it that so many bytes are free, at the cost of Whisper models asked for earlier. Raises ModelTooLarge."""
    while (free := memory.free_bytes(where)) is not None and free < size:
        if not (spare := _spare()):
            message = (
                f"{what} needs about {size / 1e9:.2f} GB of memory ({where}); {max(0, free) / 1e9:.2f} GB are free."
            )
            raise ModelTooLarge(message, needed_bytes=size, free_bytes=max(0, free))
        _drop(spare)
        memory.give_back()


def _spare() -> Engine | OnnxFiles | None:
    """The model asked for longest ago of those that nobody uses."""
    with _using:
        used = [id(model) for model in _used]
    return next((key for key, model in _models.items() if id(model) not in used), None)


def _drop(key: Engine | OnnxFiles) -> None:
    model = _models.pop(key)
    if model.device != "cpu":
        model.unload()  # what is only forgotten stays in CTranslate2's cache, where nobody else can have it
    _tell()


def _tell() -> None:
    for listener in _listeners:
        listener()
