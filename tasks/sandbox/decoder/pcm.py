"""The WAV that grows out of decoded sound: gaps filled, cut off at the limit."""

from __future__ import annotations

import struct
from array import array
from typing import IO

SAMPLE_RATE = 16_000
BYTES_PER_SAMPLE = 2
WAV_HEADER_BYTES = 44

MAX_WAV_BYTES = 2**32 - 1 - WAV_HEADER_BYTES
"""Samples that a WAV can hold: its sizes have 32 bits. Eight channels reach it after 4.6 hours."""


class Refused(Exception):
    """The file cannot become a recording; `code` is one of shared/errors.py."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Recording:
    """The WAV file that grows, cut off at `max_duration_s`. `samples` are those of one channel."""

    def __init__(self, file: IO[bytes], max_duration_s: float, channels: int) -> None:
        self._file = file
        self._channels = channels
        self._frame_bytes = channels * BYTES_PER_SAMPLE
        self._max_duration_s = min(max_duration_s, MAX_WAV_BYTES // self._frame_bytes // SAMPLE_RATE)
        self._end = 0
        self.samples = 0
        self._write_header()

    @property
    def duration(self) -> float:
        """Seconds written so far, counted in samples."""
        return self.samples / SAMPLE_RATE

    def has_room(self, seconds: float) -> bool:
        """Whether so much more is within the limit."""
        return self.duration + seconds < self._max_duration_s

    def write(self, pcm: bytes | memoryview) -> None:
        """Append samples, or after `begin_again` add them to those that are there. Raises Refused (media_too_long)."""
        start = self.samples
        self.samples += len(pcm) // self._frame_bytes
        if self.duration > self._max_duration_s:
            raise Refused("media_too_long", f"The recording is longer than {self._max_duration_s:g} seconds.")
        if start < self._end:
            pcm = self._sum(pcm, start)
        self._file.write(pcm)
        self._end = max(self._end, self.samples)

    def write_silence(self, seconds: float) -> None:
        """Append silence, a second at a time so that memory stays flat. Raises Refused (media_too_long)."""
        remaining = round(seconds * SAMPLE_RATE)
        while remaining > 0:
            self.write(bytes(min(remaining, SAMPLE_RATE) * self._frame_bytes))
            remaining -= SAMPLE_RATE

    def begin_again(self) -> None:
        """What is written next is added to what is there, from its beginning. The file must be readable."""
        self.samples = 0

    def close(self) -> None:
        """Write the sizes into the header."""
        self.samples = self._end
        self._file.seek(0)
        self._write_header()
        self._file.flush()

    def _sum(self, pcm: bytes | memoryview, start: int) -> bytes:
        position = WAV_HEADER_BYTES + start * self._frame_bytes
        self._file.seek(position)
        sound, below = array("h", bytes(pcm)), array("h")
        below.frombytes(self._file.read(min(len(pcm), (self._end - start) * self._frame_bytes)))
        for index, sample in enumerate(below):
            sound[index] = min(max(sound[index] + sample, -32_768), 32_767)
        self._file.seek(position)
        return sound.tobytes()

    def _write_header(self) -> None:
        size = self._end * self._frame_bytes
        rate = SAMPLE_RATE * self._frame_bytes
        form = struct.pack("<HHIIHH", 1, self._channels, SAMPLE_RATE, rate, self._frame_bytes, 8 * BYTES_PER_SAMPLE)
        parts = (b"RIFF", 36 + size, b"WAVEfmt ", len(form), form, b"data", size)
        self._file.write(b"".join(part if isinstance(part, bytes) else struct.pack("<I", part) for part in parts))
