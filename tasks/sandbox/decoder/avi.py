"""The index of an AVI, which has the place of every chunk: those that FFmpeg passes over are known by their number.

FFmpeg counts the chunks that it reads, and what is said behind damage would come too early. The format is described in
Microsoft's "AVI RIFF File Reference".
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from typing import Any

MAX_INDEX_BYTES = 32 << 20
"""An entry has 16 bytes: 2 million chunks, some 10 hours with a picture."""

SLACK_S = 2.0
"""How far sound and silence may pass what the file says of its length: sizes in an index may be anything."""

MAX_CHUNKS = 100
"""Looked through at the beginning, for the list of the chunks."""

ENTRY_BYTES = 16


class ChunkClock:
    """As the clock of bytes in timeline.py: packets follow upon each other by the index, or some were lost."""

    def __init__(self, source_fd: int, stream: Any) -> None:
        self._positions, self._sizes, self._shift = _index(source_fd, b"%02dwb" % (stream.index % 100))
        self._time_base = float(stream.time_base)
        self._longest_s = (stream.frames or stream.duration or 0) * self._time_base + SLACK_S
        self._next: int | None = None
        self._number: int | None = None
        self._missing = 0
        self._lost_s = self._end_written = 0.0

    def see(self, packet: Any, *, is_good: bool) -> None:
        """A packet."""
        self._number = self._number_of(packet.pos) if is_good and packet.size else None
        if self._number is None:
            return
        if self._next is not None and self._number > self._next:
            chunks = range(self._next, self._number)
            by_size = (packet.duration or 1) > 1  # of sound in samples or bytes; else a chunk is a tick
            units = sum(self._sizes[n] for n in chunks) * packet.duration / packet.size if by_size else len(chunks)
            self._lost_s = units * self._time_base
        self._next = self._number + 1

    def gap(self, frame: Any, length_s: float) -> float:
        """Seconds that were lost before `frame`, when `length_s` are there."""
        gap = max(0.0, self._lost_s - (length_s - self._end_written)) if self._lost_s else 0.0
        gap = gap if length_s + gap <= self._longest_s else 0.0
        self._lost_s = 0.0
        if self._number is not None:
            self._end_written = length_s + gap + frame.samples / frame.sample_rate
        return gap

    def tail(self, size: int) -> float:
        """Nothing: what the file says of its length tells of its end."""
        return 0.0

    def _number_of(self, position: int) -> int | None:
        """Of the chunk that begins there, or else that it lies in; where bytes are missing, by the index that they are
        missing in front of."""
        place = position + self._missing
        number = self._last_before(place)
        if number is None or self._positions[number] != place:
            moved = self._last_before(position + self._shift)
            if moved is not None and self._positions[moved] == position + self._shift:
                self._missing = self._shift
                return moved
        is_within = number is not None and place < self._positions[number] + self._sizes[number]
        return number if is_within else None

    def _last_before(self, place: int) -> int | None:
        number = bisect_right(self._positions, place) - 1
        return number if number >= 0 else None


def _index(source_fd: int, chunk_id: bytes) -> tuple[array[int], array[int], int]:
    """Where the chunks of a stream lie, their sizes, and how many bytes are missing in front of the index."""
    positions, sizes = array("Q"), array("L")
    chunks, expected = _chunks(source_fd)
    index_at = _found_index(source_fd, expected) if expected else None
    if index_at is None:
        return positions, sizes, 0
    entries = os.pread(source_fd, min(MAX_INDEX_BYTES, _size(source_fd, index_at)), index_at + 8)
    base = None
    for at in range(0, len(entries) - ENTRY_BYTES + 1, ENTRY_BYTES):
        offset = int.from_bytes(entries[at + 8 : at + 12], "little")
        if base is None:
            base = 8 if offset >= chunks else chunks + 8
        if entries[at : at + 4] == chunk_id and (not positions or base + offset > positions[-1]):
            positions.append(base + offset)
            sizes.append(int.from_bytes(entries[at + 12 : at + 16], "little"))
    return positions, sizes, expected - index_at


def _chunks(source_fd: int) -> tuple[int, int]:
    """Where the list of chunks begins, with the word "movi", and where it should end; 0, 0 for none."""
    at = 12
    for _ in range(MAX_CHUNKS):
        head = os.pread(source_fd, 12, at)
        size = _size(source_fd, at)
        if head[:4] == b"LIST" and head[8:] == b"movi":
            return at + 8, at + 8 + size + size % 2
        at += 8 + size + size % 2
    return 0, 0


def _found_index(source_fd: int, expected: int) -> int | None:
    """Where the index is: behind the chunks, or if bytes are missing, or too many, at the end of the file."""
    if os.pread(source_fd, 4, expected) == b"idx1":
        return expected
    size = os.fstat(source_fd).st_size
    start = max(0, size - MAX_INDEX_BYTES)
    tail = os.pread(source_fd, size - start, start)
    at = tail.rfind(b"idx1")
    return start + at if at >= 0 and start + at + 8 + _size(source_fd, start + at) <= size else None


def _size(source_fd: int, at: int) -> int:
    return int.from_bytes(os.pread(source_fd, 4, at + 4), "little")
