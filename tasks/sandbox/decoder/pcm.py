"""The WAV that grows out of decoded sound: gaps filled, cut off at the limit."""

from __future__ import annotations

import wave
from typing import IO, Any

SAMPLE_RATE = 16_000
BYTES_PER_SAMPLE = 2
WAV_HEADER_BYTES = 44

MAX_WAV_BYTES = 2**32 - 1 - WAV_HEADER_BYTES
"""Samples that a WAV can hold: its sizes have 32 bits. Eight channels reach it after 4.6 hours."""

TIMED_CONTAINERS = ("mov", "matroska", "asf", "flv", "mpeg", "mpegts")
"""Containers whose packets carry a clock of their own; in the others FFmpeg derives times from byte counts."""

MIN_GAP_S, MAX_GAP_S, MAX_LEAD_S = 0.1, 3600.0, 1.0
"""A clock that jumps forward by MIN..MAX is a pause that was not recorded and becomes silence. A larger jump, or one
back by more than MAX_LEAD_S, is a clock set anew. Below MIN lie the rounding of containers and codec delay."""


class Refused(Exception):
    """The file cannot become a recording; `code` is one of shared/errors.py."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Recording:
    """The WAV file that grows, cut off at `max_duration_s`. `samples` are those of one channel."""

    def __init__(self, file: IO[bytes], max_duration_s: float, channels: int) -> None:
        self._wav = wave.Wave_write(file)
        self._wav.setparams((channels, BYTES_PER_SAMPLE, SAMPLE_RATE, 0, "NONE", ""))
        self._frame_bytes = channels * BYTES_PER_SAMPLE
        self._max_duration_s = min(max_duration_s, MAX_WAV_BYTES // self._frame_bytes // SAMPLE_RATE)
        self.samples = 0

    @property
    def duration(self) -> float:
        """Seconds written so far, counted in samples."""
        return self.samples / SAMPLE_RATE

    def write(self, pcm: bytes | memoryview) -> None:
        """Append samples. Raises Refused (media_too_long)."""
        self.samples += len(pcm) // self._frame_bytes
        if self.duration > self._max_duration_s:
            raise Refused("media_too_long", f"The recording is longer than {self._max_duration_s:g} seconds.")
        self._wav.writeframesraw(pcm)

    def write_silence(self, seconds: float) -> None:
        """Append silence, a second at a time so that memory stays flat. Raises Refused (media_too_long)."""
        left = round(seconds * SAMPLE_RATE)
        while left > 0:
            self.write(bytes(min(left, SAMPLE_RATE) * self._frame_bytes))
            left -= SAMPLE_RATE

    def close(self) -> None:
        """Write the sizes into the header."""
        self._wav.writeframes(b"")
        self._wav.close()


class Timeline:
    """Compares the container's clock with the samples written, so that times match what a player shows."""

    def __init__(self, container: Any) -> None:
        timed = container.format.name.split(",")[0] in TIMED_CONTAINERS and container.start_time is not None
        self._origin_s = container.start_time / 1e6 if timed else None

    def gap(self, frame: Any, duration: float) -> float:
        """Seconds of silence that belong before `frame` when `duration` seconds are written, mostly 0."""
        if self._origin_s is None or frame.time is None:
            return 0.0
        gap: float = frame.time - self._origin_s - duration
        if MIN_GAP_S < gap <= MAX_GAP_S:
            return gap
        if gap > MAX_GAP_S or gap < -MAX_LEAD_S:
            self._origin_s = frame.time - duration
        return 0.0
