"""What has come of a stream, as it came: no byte is copied unless it came in crumbs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

CAPACITY = 2097152
CRUMB_BYTES = 4096
"""Smaller ones are put together: each object costs some fifty bytes."""


class Chunks:
    """At least CAPACITY bytes when it is full; the last chunk is taken whole."""

    def __init__(self) -> None:
        self.size = 0
        self._chunks: list[bytes | bytearray | memoryview] = []

    @property
    def is_full(self) -> bool:
        return self.size >= CAPACITY

    def write(self, data: bytes | memoryview) -> int:
        """Take all of it; a view is kept with what it shows."""
        self.size += len(data)
        if len(data) >= CRUMB_BYTES:
            self._chunks.append(data)
        elif self._chunks and isinstance(last := self._chunks[-1], bytearray):
            last += data
        else:
            self._chunks.append(bytearray(data))
        return len(data)

    @contextmanager
    def views(self) -> Iterator[Iterator[bytes | memoryview]]:
        yield (memoryview(chunk) if isinstance(chunk, bytearray) else chunk for chunk in self._chunks)

    def clear(self) -> None:
        self.size, self._chunks = 0, []
