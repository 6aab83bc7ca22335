"""Reading spans of a converted recording: 16 kHz mono 16-bit PCM behind a 44-byte WAV header, in the object store."""

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
"""Span that `waveform` holds as bytes at a time: 19 MB."""

Samples = npt.NDArray[np.float32]


def reader(storage: Storage, key: str) -> Callable[[float, float], Samples]:
    """A function (start_s, end_s) -> float32 samples in [-1, 1], fetched by byte range. `end_s` is inside the file."""

    def read(start: float, end: float) -> Samples:
        first, last = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
        if last <= first:
            return np.zeros(0, np.float32)
        data = storage.get_range(key, HEADER_BYTES + first * SAMPLE_BYTES, HEADER_BYTES + last * SAMPLE_BYTES)
        return np.frombuffer(data[: len(data) - len(data) % SAMPLE_BYTES], "<i2").astype(np.float32) / FULL_SCALE

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
