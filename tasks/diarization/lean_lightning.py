"""What running pyannote's models needs of Lightning: hyper-parameters, the device, and loading a checkpoint."""

from __future__ import annotations

import inspect
import sys
import warnings
from typing import Any, NoReturn

import torch

OUT_OF_MEMORY = (
    ("CUDA", "out of memory"),
    ("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED.",),
    ("DefaultCPUAllocator: can't allocate memory",),
)
"""How torch says that there is no memory left, as Lightning knows it."""


class NotLoaded(AttributeError):
    """What is asked for takes the real Lightning."""


class Hyperparameters(dict[str, Any]):
    """A dict whose keys are also attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


class LightningModule(torch.nn.Module):
    """Base class of pyannote's models, in place of `lightning.LightningModule`."""

    def __init__(self) -> None:
        super().__init__()
        self.hparams = Hyperparameters()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((parameter.device for parameter in self.parameters()), torch.device("cpu"))

    def save_hyperparameters(self, *names: str) -> None:
        """Keep these variables of the `__init__` that calls."""
        variables = sys._getframe(1).f_locals
        self.hparams.update({name: variables[name] for name in names})

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """For models that take more than weights from a checkpoint."""

    @classmethod
    def load_from_checkpoint(
        cls, checkpoint_path: Any, map_location: Any = None, *, strict: bool, weights_only: bool, **overrides: Any
    ) -> LightningModule:
        """The model that a checkpoint describes, with its weights. Raises NotLoaded unless it is pyannote's own."""
        if not cls.__module__.startswith("pyannote.audio."):
            raise NotLoaded(f"the model is {cls.__module__}.{cls.__qualname__}, which may use all of Lightning")
        checkpoint = torch.load(checkpoint_path, map_location=map_location, weights_only=weights_only)
        settings = {**checkpoint.get("hyper_parameters", {}), **overrides}
        parameters = inspect.signature(cls).parameters
        model = cls(**{name: value for name, value in settings.items() if name in parameters})
        model.on_load_checkpoint(checkpoint)
        state = checkpoint["state_dict"]
        missing, _ = model.load_state_dict(state, strict=strict)
        if missing:
            warnings.warn(f"The checkpoint has no weights for {missing}", stacklevel=2)
        return model.to(next((value.device for value in state.values() if torch.is_tensor(value)), "cpu"))


class LightningDataModule:
    """Base class of the tasks that pyannote's models are trained for."""

    def __init__(self) -> NoReturn:
        raise NotLoaded("training a model takes Lightning, which is not loaded here")


def is_oom_error(error: BaseException) -> bool:
    """Whether memory ran out, on a card or a CPU."""
    message = str(error)
    return isinstance(error, RuntimeError) and any(all(part in message for part in sign) for sign in OUT_OF_MEMORY)
