"""Recordings for benches: real speech of any length, as WAV, each one different from every other."""

from __future__ import annotations

import wave
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from shared.transcript import SAMPLE_RATE


def sample_call() -> Path:
    """pyannote.audio's sample: 30 s of telephone, two speakers."""
    spec = find_spec("pyannote.audio")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("pyannote.audio is not installed")
    return Path(spec.submodule_search_locations[0]) / "sample" / "sample.wav"


def read(path: Path) -> np.ndarray:
    """The samples of a 16 kHz mono 16-bit WAV; (samples,) int16."""
    with wave.open(str(path)) as opened:
        assert (opened.getframerate(), opened.getnchannels(), opened.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        return np.frombuffer(opened.readframes(opened.getnframes()), np.int16)


def speech(seconds: float) -> np.ndarray:
    """The sample call again and again until `seconds` are full; (samples,) int16 at 16 kHz."""
    once = read(sample_call())
    length = round(seconds * SAMPLE_RATE)
    return np.tile(once, length // len(once) + 1)[:length]


def write_unique(samples: np.ndarray, path: Path, number: int) -> Path:
    """Write `samples` as WAV, the last 32 carrying `number` in their lowest bits, so that no answer is known yet."""
    marked = samples.copy()
    bits = np.array([number >> place & 1 for place in range(32)], np.int16)
    marked[-32:] = (marked[-32:] & ~1) | bits
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(marked.tobytes())
    return path
