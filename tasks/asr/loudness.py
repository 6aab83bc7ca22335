"""One loudness for every stretch of speech that a recogniser hears."""

from __future__ import annotations

import numpy as np

from shared.transcript import SAMPLE_RATE
from tasks.asr.vad import Samples

LOUDNESS_FRAME = SAMPLE_RATE * 30 // 1000
"""Samples over which loudness is measured, 30 ms."""

LOUD_PERCENTILE = 90
"""The loudness of a stretch is that of its vowels: pauses and soft consonants do not count."""

LOUDNESS = 0.1
"""Root mean square of the vowels of ordinary speech, with samples in [-1, 1]."""

MIN_GAIN, MAX_GAIN = 0.5, 16.0
"""More gain would only raise noise."""


def leveled(samples: Samples) -> Samples:
    """`samples` with the loudness of ordinary speech: Whisper passes over a quiet voice beside a loud one."""
    frames = samples[: len(samples) // LOUDNESS_FRAME * LOUDNESS_FRAME].reshape(-1, LOUDNESS_FRAME)
    if not len(frames):
        return samples
    loudness = float(np.percentile(np.sqrt(np.square(frames).mean(axis=1)), LOUD_PERCENTILE))
    if loudness == 0.0:
        return samples
    return samples * np.float32(min(max(LOUDNESS / loudness, MIN_GAIN), MAX_GAIN))
