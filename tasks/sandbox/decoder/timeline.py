"""Times as a player shows them: what a clock says that runs along with the sound, held against the samples written.

Most containers have such a clock. In streams without one, MP3 above all, bytes are the clock: where some of them could
not be decoded, they lasted about as long as those around them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from tasks.sandbox.decoder.avi import ChunkClock
from tasks.sandbox.decoder.chained import begins_link

PAUSING_CONTAINERS = ("mov", "matroska", "asf", "flv", "mpeg", "mpegts", "mxf", "nut", "rm", "wtv")
"""Containers whose packets carry a clock of their own, and in which a gap may be a pause that was not recorded."""

SEAMLESS_CONTAINERS = ("ogg", "flac", "caf")
"""Containers whose packets are counted in samples from the first to the last: a gap is a loss."""

BYTE_CLOCKS = ("mp3", "aac", "loas", "ac3", "eac3", "truehd", "mlp", "amr", "amrnb", "amrwb", "gsm", "dts")
"""Streams of packets and nothing else."""

BOUNDED_CONTAINERS = ("mov", "matroska", "ogg", "flac")
"""Containers that say at the beginning or the end how long they are: a clock that runs further is wrong."""

MIN_GAP_S, MAX_GAP_S, MAX_LEAD_S = 0.1, 3600.0, 1.0
"""A clock that jumps forward by MIN..MAX is a gap and becomes silence. A larger jump, or one back by more than
MAX_LEAD_S, is a clock set anew. Below MIN lie the rounding of containers and codec delay."""

SLACK_S = 2.0
"""How far a clock may pass what the container says of its length."""

FORGETTING = 0.995
"""Of the bytes per second that are known, what a further packet leaves: a mean over some 200 packets."""


SEARCH_BYTES, MAX_SEARCH_BYTES = 4 << 20, 256 << 20
"""How far behind damage the next packet is looked for, and in one file altogether."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Seconds of silence that belong before a frame. `is_loss` says that sound was there and is damaged."""

    seconds: float
    is_loss: bool


class Timeline:
    """Call `see` with every packet, then `gap` with each of its frames.

    `start` is where in the file `source_fd` the container begins.
    """

    def __init__(self, container: Any, stream: Any, source_fd: int, start: int) -> None:
        name = container.format.name.split(",")[0]
        self._is_seamless = name in SEAMLESS_CONTAINERS
        timed = (name in PAUSING_CONTAINERS or self._is_seamless) and container.start_time is not None
        self._origin_s = container.start_time / 1e6 if timed else None
        bounded = name in BOUNDED_CONTAINERS and container.duration
        self._longest_s = container.duration / 1e6 + SLACK_S if bounded else float("inf")
        self._is_ogg = name == "ogg"
        self._source_fd, self._start = source_fd, start
        self._is_hurt, self._is_good = False, True
        self._position = start
        self._bytes: _ByteClock | ChunkClock | None = None
        if name in BYTE_CLOCKS:
            self._bytes = _ByteClock(source_fd)
        elif name == "avi":
            self._bytes = ChunkClock(source_fd, stream)

    def see(self, packet: Any, *, is_good: bool) -> None:
        """A packet, or None for a place that could not be read; `is_good` if nothing about it was complained of."""
        self._is_good = is_good
        self._is_hurt |= not is_good
        if packet is None or packet.pos is None:
            return
        position = self._start + packet.pos
        if self._is_ogg and position > self._position and begins_link(self._source_fd, self._position + 1, position):
            self._origin_s = None if self._origin_s is None else float("-inf")  # FFmpeg went on with the next link
        self._position = position
        if self._bytes is not None:
            self._bytes.see(packet, is_good=is_good)

    def gap(self, frame: Any, length_s: float) -> Gap:
        """What belongs before `frame` when `length_s` are there."""
        seconds = self._bytes.gap(frame, length_s) if self._bytes is not None else self._by_clock(frame, length_s)
        if seconds <= MIN_GAP_S:
            self._is_hurt &= not self._is_good  # what was complained of before cost no time
            return Gap(0.0, is_loss=False)
        is_loss = self._is_hurt or self._is_seamless or self._bytes is not None
        self._is_hurt = False
        return Gap(seconds, is_loss)

    def tail(self, size: int) -> float:
        """Seconds that the rest of a file of `size` bytes would have lasted, of a stream without a clock."""
        return self._bytes.tail(size) if self._bytes is not None else 0.0

    def _by_clock(self, frame: Any, length_s: float) -> float:
        if self._origin_s is None or frame.time is None:
            return 0.0
        if self._origin_s == float("-inf"):
            self._origin_s = frame.time - length_s
        gap: float = frame.time - self._origin_s - length_s
        if MIN_GAP_S < gap <= MAX_GAP_S and length_s + gap <= self._longest_s:
            return gap
        if gap > MIN_GAP_S or gap < -MAX_LEAD_S:
            self._origin_s = frame.time - length_s
        return 0.0


class _ByteClock:
    """Packets that follow each other without a gap are good; what lies between two of them was lost."""

    def __init__(self, source_fd: int) -> None:
        self._source_fd = source_fd
        self._bytes = self._seconds = 0.0
        self._end: int | None = None
        self._end_written = 0.0
        self._lost_bytes = 0
        self._last: Any = None
        self._size = 0
        self._shift = 0
        self._is_hurt = False
        self._search_bytes = MAX_SEARCH_BYTES

    def see(self, packet: Any, *, is_good: bool) -> None:
        self._size = packet.size if is_good else 0
        self._is_hurt |= not is_good
        if not self._size:
            return
        if self._is_hurt:
            self._shift += self._distance(packet)
            self._is_hurt = False
        position = packet.pos + self._shift
        if self._end is not None and position > self._end:
            self._lost_bytes = position - self._end - _tags(self._source_fd, self._end, position)
        self._end = position + packet.size
        self._last = packet

    def _distance(self, packet: Any) -> int:
        """Bytes from where FFmpeg says that a packet is to where it is: in ADTS it does not count what it skips."""
        content, at = bytes(packet), packet.pos + self._shift
        window = os.pread(self._source_fd, min(SEARCH_BYTES, self._search_bytes), at)
        distance = window.find(content)
        self._search_bytes -= len(window) if distance else 0
        return max(distance, 0)

    def gap(self, frame: Any, length_s: float) -> float:
        seconds = frame.samples / frame.sample_rate
        gap = 0.0
        if self._lost_bytes and self._bytes:
            gap = self._lost_bytes * self._seconds / self._bytes - (length_s - self._end_written)
        gap = gap if MIN_GAP_S < gap <= MAX_GAP_S else 0.0
        self._lost_bytes = 0
        if self._size:
            self._bytes = self._bytes * FORGETTING + self._size
            self._seconds = self._seconds * FORGETTING + seconds
        self._end_written = length_s + gap + seconds
        return gap

    def tail(self, size: int) -> float:
        if self._end is None or not self._bytes or size <= self._end:
            return 0.0
        self._end += self._distance(self._last)
        return (size - self._end - _tags(self._source_fd, self._end, size)) * self._seconds / self._bytes


def _tags(source_fd: int, start: int, end: int) -> int:
    """Bytes of the tags that lie one behind the other from `start` on, at most up to `end`."""
    at = start
    while at < end:
        head = os.pread(source_fd, 32, at)
        if head.startswith(b"ID3") and len(head) >= 10:
            size = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        elif head.startswith(b"TAG"):
            size = 128
        elif head.startswith(b"APETAGEX") and len(head) == 32:
            size = 32 + int.from_bytes(head[12:16], "little")
        else:
            break
        at += size
    return min(at, end) - start
