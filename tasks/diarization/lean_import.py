"""Imports pyannote.audio without the packages that it uses only to train, to evaluate and to draw.

pyannote's modules import Lightning, pandas, optuna, matplotlib and more at their top: most of the time and memory of
the import, for names that running a pipeline never uses. While pyannote is imported here, those packages are empty
modules, and what is taken from them stands for the real thing: whoever uses it later gets the real package imported.
Afterwards the empty modules are gone, so that everybody else imports the real ones. Only what pyannote's models inherit
from Lightning is our own: `tasks.diarization.lean_lightning`. Written against pyannote.audio 4.0.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Union

import torch

from shared.telemetry.logs import get_logger
from tasks.diarization import lean_lightning

log = get_logger(__name__)

LATE = (
    "lightning",
    "networkx",
    "onnxruntime",
    "optuna",
    "pandas",
    "pyannote.audio.core.calibration",
    "pyannote.audio.telemetry",
    "pyannote.core.notebook",
    "pyannote.pipeline.optimizer",
    "scipy.ndimage",
    "scipy.signal",
    "scipy.stats",
    "sklearn",
    "torch_audiomentations",
    "torchmetrics",
)
"""Packages and modules that are imported when something of them is used, and otherwise never. matplotlib comes with
the notebook, OpenTelemetry's exporter with pyannote's telemetry, torch._dynamo with Lightning."""

PYANNOTE = ("pyannote.audio.pipelines", "pyannote.audio.models.embedding", "pyannote.audio.models.segmentation")
"""What loads and runs a pipeline."""

INHERITING = ("pyannote.audio", "tasks.diarization.pipeline", "tasks.diarization.stock_clustering")
"""Modules with classes that inherit from pyannote's, beside those of models."""


def _no_telemetry(*_: object, **__: object) -> None:
    """In place of what tells pyannote's telemetry, which is off; its module would begin a thread that sends."""


OURS: dict[str, dict[str, Any]] = {
    "lightning": {
        "LightningModule": lean_lightning.LightningModule,
        "LightningDataModule": lean_lightning.LightningDataModule,
    },
    "lightning.fabric.utilities.cloud_io": {"_load": torch.load},
    "lightning.pytorch.utilities.memory": {"is_oom_error": lean_lightning.is_oom_error},
    "pyannote.audio.telemetry": dict.fromkeys(
        ("track_model_init", "track_pipeline_apply", "track_pipeline_init"), _no_telemetry
    ),
}
"""By module and name, what pyannote gets instead."""


def import_pyannote() -> None:
    """Import what loads and runs a pipeline, unless pyannote.audio is there already."""
    if "pyannote.audio" in sys.modules:
        return
    try:
        with _late():
            _import()
    except (AttributeError, ImportError, TypeError) as error:  # another version of pyannote may use more at its top
        import_in_full(error)


def import_in_full(reason: Exception) -> None:
    """Import pyannote.audio again, with all that it asks for. What was made of the lean one goes on working."""
    log.warning("pyannote_imported_in_full", reason=f"{type(reason).__name__}: {reason}")
    stale = {*INHERITING, *_modules_below(lean_lightning.LightningModule)}
    for name in list(sys.modules):
        if name in stale or name.startswith("pyannote.audio."):
            del sys.modules[name]
    _import()


def is_lean() -> bool:
    """Whether the models of the pyannote.audio that is imported inherit from ours."""
    return issubclass(sys.modules["pyannote.audio"].Model, lean_lightning.LightningModule)


def _modules_below(base: type) -> set[str]:
    """Where classes are written that inherit from `base`, such as a model of somebody's own."""
    below: list[type] = base.__subclasses__()
    return {each.__module__ for each in below} | {name for each in below for name in _modules_below(each)}


def _import() -> None:
    with warnings.catch_warnings():
        # Files are decoded elsewhere and handed over in memory, so that pyannote cannot decode any is no news.
        warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed")
        for name in PYANNOTE:
            import_module(name)


class LateName:
    """Stands for a name of a module that was not imported: in annotations, and where it is used after all."""

    def __init__(self, module: str, name: str) -> None:
        self._late = module, name

    def _real(self) -> Any:
        return _imported(*self._late)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._real(), name)

    def __instancecheck__(self, instance: object) -> bool:
        return self._late[0] in sys.modules and isinstance(instance, self._real())

    def __mro_entries__(self, _bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._real(),)

    def __or__(self, other: Any) -> Any:
        return Union[self, other]  # noqa: UP007  it is no type yet

    def __ror__(self, other: Any) -> Any:
        return Union[other, self]  # noqa: UP007


class LateModule(ModuleType):
    """Stands for a module while pyannote is imported. Who has kept it gets at the real one through it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is not self:
            return _imported(self.__name__, name)
        return OURS.get(self.__name__, {}).get(name) or LateName(self.__name__, name)


class LateFinder(MetaPathFinder, Loader):
    """Finds a `LateModule` in place of each module of `LATE` that is installed."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        is_late = any(name == late or name.startswith(f"{late}.") for late in LATE)
        if not is_late or (real := PathFinder.find_spec(name, path)) is None:
            return None
        spec = ModuleSpec(name, self, is_package=True)
        spec.submodule_search_locations = real.submodule_search_locations or []
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return LateModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """It stays empty."""


@contextmanager
def _late() -> Iterator[None]:
    """Within it the modules of `LATE` are not imported."""
    finder = LateFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if isinstance(module, LateModule):
                del sys.modules[name]
                package, _, last = name.rpartition(".")
                if vars(sys.modules.get(package, sys)).get(last) is module:
                    delattr(sys.modules[package], last)


def _imported(module: str, name: str) -> Any:
    """What the real module has by this name. Raises ImportError while pyannote is imported, which then is in full."""
    if isinstance(sys.modules.get(module), LateModule):
        raise ImportError(f"{module}.{name} is used where pyannote is imported")
    if module in sys.modules:
        return getattr(sys.modules[module], name)
    log.info("imported_for_pyannote", module=module, name=name)
    package, _, last = module.rpartition(".")
    attribute = vars(sys.modules.get(package, sys)).get(last)
    value = getattr(import_module(module), name)
    if isinstance(attribute, LateName):  # the package has something of the module's under the name of the module
        setattr(sys.modules[package], last, attribute._real())
    return value
