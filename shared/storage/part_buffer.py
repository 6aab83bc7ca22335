"""Memory for one part of an upload, which goes back to the system as soon as the part has been sent.

Buffers of this size from the usual allocator stay with the process: a hundred uploads that stall would leave it larger
by as many of them, for good.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MINE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class PartBuffer:
    """Up to `capacity` bytes, written in order. Pages are taken as they are written to, so a small part is small."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pages: mmap.mmap | None = None
        self.size = 0

    @property
    def is_full(self) -> bool:
        return self.size == self._capacity

    def write(self, data: bytes | memoryview) -> int:
        """Take as many bytes as fit; returns how many."""
        length = min(len(data), self._capacity - self.size)
        if length:
            if self._pages is None:
                self._pages = mmap.mmap(-1, self._capacity, flags=MINE)
            with memoryview(data) as view:
                self._pages[self.size : self.size + length] = view[:length]
            self.size += length
        return length

    def read(self, start: int, end: int) -> bytes:
        """A copy of the bytes from `start` up to `end`, at most to the last one that was written."""
        return b"" if self._pages is None else self._pages[start : min(end, self.size)]

    @contextmanager
    def views(self) -> Iterator[Iterator[bytes | memoryview]]:
        """The bytes themselves, as one view; forgotten before they are."""
        if self._pages is None:
            yield iter(())
            return
        with memoryview(self._pages) as pages, pages[: self.size] as view:
            yield iter((view,))

    def clear(self) -> None:
        """Forget the bytes and give the memory back."""
        if self._pages is not None:
            self._pages.close()
        self._pages, self.size = None, 0


class PartReader(io.RawIOBase):
    """The bytes of a buffer as a file that boto3 can read, and rewind to send them again."""

    def __init__(self, buffer: PartBuffer) -> None:
        self._buffer, self._at = buffer, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        data = self._buffer.read(self._at, self._at + len(target))
        target[: len(data)] = data
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._buffer.size}[whence]
        self._at = max(0, base + offset)
        return self._at
