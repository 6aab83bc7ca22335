"""Makes torchaudio importable beside a CPU build of torch.

Every torchaudio wheel on PyPI carries a native extension linked against `libc10_cuda.so`, which a CPU build of torch
does not have, so `import torchaudio` fails. The extension serves forced alignment and a few filters; resampling and
Kaldi features are plain torch. Where torch has no CUDA, the module that loads the extension is replaced by one that
says "not there", the state torchaudio itself knows from builds without extension.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import NoReturn

NAME = "torchaudio._extension"


def _no_cuda_version() -> None:
    """Stands for torchaudio's comparison of its own CUDA version with torch's: neither has one."""


def _fail_if_no_align(*_: object, **__: object) -> NoReturn:
    """Stands for the decorator of the alignment functions: they are not available."""
    raise RuntimeError("torchaudio's alignment extension needs a CUDA build of torch")


def install() -> None:
    """Call before the first import of torchaudio. Does nothing on a CUDA build of torch or when called again."""
    import torch

    if torch.version.cuda is not None or NAME in sys.modules:
        return
    extension = ModuleType(NAME, __doc__)
    vars(extension).update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        _check_cuda_version=_no_cuda_version,
        fail_if_no_align=lambda _function: _fail_if_no_align,
    )
    sys.modules[NAME] = extension
