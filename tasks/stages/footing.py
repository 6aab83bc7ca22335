"""What a stage does when memory runs out: less at once, then off the card, and it says so in the result."""

from __future__ import annotations

from collections.abc import Callable

from shared.errors import OutOfMemory
from shared.transcript import Caveat

SIGNS = (
    "out of memory",  # CUDA, by CTranslate2 and torch
    "failed to allocate memory",  # CTranslate2 on a CPU, by MKL
    "can't allocate memory",  # torch on a CPU
    "bad_alloc",
    "bad allocation",  # onnxruntime
    "cublas_status_alloc_failed",
    "cublas_status_not_initialized",  # which is what cuBLAS says when it finds no room for its own workspace
)
"""How the engines say that there is no memory left, in lower case, where it is not Python's own MemoryError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an engine failed for want of memory."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in SIGNS)


class Footing:
    """How the work is done in the memory there is: `batch_size` pieces at once, fewer each time that it runs out.

    to_cpu : moves the model off its card, False when it is on none; taken when one piece at once is too much
    """

    def __init__(self, batch_size: int, to_cpu: Callable[[], bool]) -> None:
        self.batch_size = self._wanted = batch_size
        self._to_cpu = to_cpu
        self._moved = False

    def step_down(self, error: Exception) -> None:
        """Be ready for another try. Raises `error` if it is about something else, OutOfMemory after the last step."""
        if not is_out_of_memory(error):
            raise error
        if self.batch_size > 1:
            self.batch_size //= 2
        elif not self._moved and self._to_cpu():
            self._moved = True
        else:
            raise OutOfMemory("The worker has too little memory for this recording.") from error

    def caveats(self) -> list[Caveat]:
        """What a reader of the result should know; empty when memory never ran out."""
        found = []
        if self.batch_size < self._wanted:
            message = f"Memory ran out: {self.batch_size} instead of {self._wanted} pieces were worked on at once."
            found.append(Caveat("smaller_batches", message))
        if self._moved:
            message = "The memory of the graphics card ran out: the rest was done on the CPU, in its number format."
            found.append(Caveat("moved_to_cpu", message))
        return found
