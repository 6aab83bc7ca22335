"""What a stage does when memory runs out: less at once, then off the card, and it says so in the result."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import TypeVar

from shared.errors import OutOfMemory
from shared.transcript import Caveat

T = TypeVar("T")

SIGNS = (
    "out of memory",  # CUDA, by CTranslate2 and torch
    "failed to allocate memory",  # CTranslate2 on a CPU, by MKL
    "can't allocate memory",  # torch on a CPU
    "could not create a primitive",  # oneDNN, below torch, which has no other word for it
    "bad_alloc",
    "bad allocation",  # onnxruntime
    "cublas_status_alloc_failed",
    "cublas_status_not_initialized",  # which is what cuBLAS says when it finds no room for its own workspace
)
"""How the engines say that there is no memory left, in lower case, where it is not Python's own MemoryError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an engine failed for want of memory."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in SIGNS)


class StepDown:
    """How the work is done in the memory there is: `batch_size` pieces at once, fewer each time that it runs out.

    doing : what the work is called in messages
    to_cpu : moves the model off its card, False when it is on none; taken when one piece at once is too much
    """

    def __init__(self, doing: str, batch_size: int, to_cpu: Callable[[], bool]) -> None:
        self.batch_size = self._full_size = batch_size
        self._doing, self._to_cpu = doing, to_cpu
        self._moved = False

    def keep(self, decode: Callable[[int, T | None], Iterator[T]]) -> Iterator[T]:
        """What `decode(batch_size, last)` yields, which goes on behind `last`: the last that it yielded before memory
        ran out, None at first."""
        last: T | None = None
        while True:
            try:
                for piece in decode(self.batch_size, last):
                    last = piece
                    yield piece
                return
            except Exception as error:  # noqa: BLE001 - whatever is not for want of memory is raised again
                self.take(error)

    def take(self, error: Exception) -> None:
        """Be ready for another try. Raises `error` if it is about something else, OutOfMemory after the last step."""
        if not is_out_of_memory(error):
            raise error
        gc.collect()  # what failed may be held by cycles
        if self.batch_size > 1:
            self.batch_size = (self.batch_size + 1) // 2
        elif not self._moved and self._to_cpu():
            self._moved = True
        else:
            raise OutOfMemory(f"{self._doing} ran out of memory.") from error

    def caveats(self) -> list[Caveat]:
        """What a reader of the result should know; empty when memory never ran out."""
        caveats = []
        if self.batch_size < self._full_size:
            less = (
                f"{self._doing} ran out of memory and went on with {self.batch_size} instead of "
                f"{self._full_size} at once."
            )
            caveats.append(Caveat("smaller_batches", less))
        if self._moved:
            moved = f"{self._doing} ran out of memory on the graphics card and went on, more slowly, on the CPU."
            caveats.append(Caveat("moved_to_cpu", moved))
        return caveats
