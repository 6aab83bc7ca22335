"""The samples that may still be needed, in one array that is used again and again."""

from __future__ import annotations

import numpy as np

from shared.transcript import SAMPLE_RATE
from tasks.engines.recogniser import Samples


class Tape:
    """What was added and not yet dropped; sample 0 is the first that is kept."""

    def __init__(self) -> None:
        self._store = np.zeros(SAMPLE_RATE, np.float32)
        self._first = self._end = 0

    def __len__(self) -> int:
        return self._end - self._first

    def add(self, samples: Samples) -> None:
        if self._end + len(samples) > len(self._store):
            tail = self._store[self._first : self._end]
            size = len(tail) + len(samples)
            store = self._store if size <= len(self._store) // 2 else np.zeros(2 * size, np.float32)
            store[: len(tail)] = tail
            self._store, self._first, self._end = store, 0, len(tail)
        self._store[self._end : self._end + len(samples)] = samples
        self._end += len(samples)

    def drop(self, count: int) -> None:
        """Forget the first `count` samples."""
        self._first += count

    def cut(self, start: int, end: int) -> Samples:
        """A copy of the samples from `start` up to `end`."""
        return self._store[self._first + start : self._first + min(end, len(self))].copy()
