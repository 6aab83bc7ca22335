"""What the processes of one gateway know of each other: a piece of memory that all of them share.

Each process writes a region of its own and reads those of all. One lock guards them, which the kernel takes from
whoever dies. The region of a dead process is emptied by the one that starts its successor.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

HEAD = struct.Struct("<QQ")
"""Process id and number of rows of a region; both are 0 while it is nobody's."""

ROW = struct.Struct("<16sQQ")
"""A key's id, the bytes that its transfers hold, and how many transfers there are."""

REGION_BYTES = 256 * 1024
"""For 8,191 keys that send at the same moment, in one process: as many as it has connections (MOST). Pages that nobody
writes take no memory."""

MOST_ROWS = (REGION_BYTES - HEAD.size) // ROW.size

Row = tuple[bytes, int, int]

_current: Table | None = None


def current() -> Table | None:
    """The table of which this process has a region; None where it is a gateway alone."""
    return _current


class Table:
    """Made before the processes are forked; `count` of them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._memory = mmap.mmap(-1, count * REGION_BYTES)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._lock = threading.Lock()
        self._number: int | None = None
        self._parent = os.getpid()

    def take(self, number: int) -> None:
        """From now on this process writes region `number`, emptied."""
        global _current
        _current, self._number = self, number
        with self.locked():
            HEAD.pack_into(self._memory, number * REGION_BYTES, os.getpid(), 0)

    def clear(self, number: int) -> None:
        """Its process is gone, and so is what it held."""
        with self.locked():
            HEAD.pack_into(self._memory, number * REGION_BYTES, 0, 0)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No other thread or process reads or writes meanwhile. Not to be nested."""
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def write(self, rows: Iterable[Row]) -> None:
        """Replace the rows of this process. Call under the lock."""
        assert self._number is not None, "only a process of the gateway writes"
        place, count = self._number * REGION_BYTES, 0
        for row in rows:
            if count == MOST_ROWS:
                break
            ROW.pack_into(self._memory, place + HEAD.size + count * ROW.size, *row)
            count += 1
        HEAD.pack_into(self._memory, place, os.getpid(), count)

    def others(self) -> Iterator[Row]:
        """The rows of all other processes. Call under the lock."""
        for number in range(self.count):
            if number != self._number:
                place = number * REGION_BYTES
                _, count = HEAD.unpack_from(self._memory, place)
                rows = memoryview(self._memory)[place + HEAD.size : place + HEAD.size + count * ROW.size]
                yield from ROW.iter_unpack(rows)

    def pids(self) -> list[int]:
        """The processes that serve now, and the one that watches them."""
        heads = [HEAD.unpack_from(self._memory, number * REGION_BYTES) for number in range(self.count)]
        return [self._parent, *(pid for pid, _ in heads if pid)]
