"""Reading spans of a converted recording: 16 kHz 16-bit PCM behind a 44-byte WAV header, in the object store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.storage import Storage
from shared.transcript import SAMPLE_RATE

HEADER_BYTES = 44
SAMPLE_BYTES = 2
FULL_SCALE = 32768.0
CHUNK_S = 600.0
"""Span that is held as bytes at a time: 19 MB of one channel, or of several a shorter span."""

Samples = npt.NDArray[np.float32]


def reader(storage: Storage, key: str, *, channel: int = 0, channels: int = 1) -> Callable[[float, float], Samples]:
    """A function (start_s, end_s) -> float32 samples in [-1, 1] of one of the interleaved channels, by byte range.

    `end_s` is inside the file.
    """
    frame_bytes = channels * SAMPLE_BYTES
    step = round(CHUNK_S * SAMPLE_RATE) // channels

    def read(start: float, end: float) -> Samples:
        first, last = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
        samples: Samples = np.zeros(max(0, last - first), np.float32)
        filled = 0
        for begin in range(first, last, step):
            part = frames(begin, min(begin + step, last))
            samples[filled : filled + len(part)] = part
            filled += len(part)
        return samples[:filled]

    def frames(first: int, last: int) -> Samples:
        data = storage.get_range(key, HEADER_BYTES + first * frame_bytes, HEADER_BYTES + last * frame_bytes)
        whole = np.frombuffer(data[: len(data) - len(data) % frame_bytes], "<i2")
        part: Samples = whole[channel::channels].astype(np.float32) / FULL_SCALE
        return part

    return read


def file_reader(path: Path, *, channel: int = 0, channels: int = 1) -> Callable[[float, float], Samples]:
    """The same for a converted recording that is a file here, mapped into memory."""
    samples = np.memmap(path, "<i2", "r", offset=HEADER_BYTES)
    frames = samples[: len(samples) - len(samples) % channels].reshape(-1, channels)

    def read(start: float, end: float) -> Samples:
        part: Samples = frames[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE), channel].astype(np.float32)
        return part / np.float32(FULL_SCALE)

    return read


def waveform(storage: Storage, key: str, duration: float, folder: Path) -> Samples:
    """The whole recording as float32, backed by a file in `folder` so that the kernel may drop pages of long ones."""
    samples = round(duration * SAMPLE_RATE)
    if samples == 0:
        return np.zeros(0, np.float32)
    whole: Samples = np.memmap(folder / "audio.f32", np.float32, "w+", shape=(samples,))
    read = reader(storage, key)
    start = 0.0
    while start < duration:
        part = read(start, min(start + CHUNK_S, duration))
        first = round(start * SAMPLE_RATE)
        whole[first : first + len(part)] = part
        start += CHUNK_S
    return whole
