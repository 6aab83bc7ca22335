"""Whose turn it is at a model that recognises the finals of several sessions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 1.0
"""What a final may wait. A larger model may take seconds, and while a session waits nothing more of it is heard."""


class Turn:
    """One session after the other, so that no more than one final at a time takes processors from partials."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._free = threading.Lock()
        self._patience_s = patience_s

    @contextmanager
    def take(self) -> Iterator[bool]:
        """The turn, until the block ends; False where others had it for too long."""
        has_turn = self._free.acquire(timeout=self._patience_s)
        try:
            yield has_turn
        finally:
            if has_turn:
                self._free.release()
