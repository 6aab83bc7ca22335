"""How much memory a piece of work takes: of the cards, by NVML, or of this process."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

INTERVAL_S = 0.02
MB = 10**6


@dataclass
class Peak:
    """Megabytes at the most, beyond what was taken before."""

    mb: float = 0.0


def card_mb() -> float:
    """Memory in use on all cards. Raises NVMLError where there is no driver."""
    import pynvml  # type: ignore[import-untyped]

    pynvml.nvmlInit()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        return sum(float(pynvml.nvmlDeviceGetMemoryInfo(handle).used) for handle in handles) / MB
    finally:
        pynvml.nvmlShutdown()


@contextmanager
def peak(device: str, before_mb: float = 0.0) -> Iterator[Peak]:
    """The highest usage during the block, less `before_mb`: what was in use before the process touched the card. On a
    CPU it is the process's highest resident memory so far."""
    result = Peak()
    if device == "cpu":
        try:
            yield result
        finally:
            result.mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB
        return
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(INTERVAL_S):
            result.mb = max(result.mb, card_mb() - before_mb)

    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    try:
        yield result
    finally:
        is_over.set()
        watch.join()
