"""Probabilities of speech, frame after frame. The network comes with faster-whisper."""

from __future__ import annotations

import numpy as np
import pytest
from faster_whisper.vad import get_vad_model

from shared.transcript import SAMPLE_RATE
from tasks.engines.recogniser import Samples
from tasks.listening.detector import CONTEXT, FRAME, SpeechDetector


@pytest.fixture(scope="module")
def sounds() -> Samples:
    """3 s of a hum that comes and goes, and noise: it raises the probability now and then."""
    time = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    voice = sum(np.sin(2 * np.pi * 130 * harmonic * time) / harmonic for harmonic in range(1, 20))
    noise = np.random.default_rng(0).normal(scale=0.01, size=len(time))
    samples: Samples = (0.1 * voice * (np.sin(6 * time) > 0) + noise).astype(np.float32)
    return samples


def test_its_memory_is_that_of_one_pass_over_the_whole(sounds: Samples) -> None:
    count = len(sounds) // FRAME
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), sounds])
    frames = np.stack([padded[place * FRAME : place * FRAME + CONTEXT + FRAME] for place in range(count)])
    zeros = np.zeros((1, 1, 128), np.float32)
    whole, *_ = get_vad_model().session.run(None, {"input": frames, "h": zeros, "c": zeros})
    detector = SpeechDetector()
    alone = [detector.probability(sounds[place * FRAME : (place + 1) * FRAME]) for place in range(count)]
    np.testing.assert_allclose(alone, whole.ravel(), atol=1e-5)
    assert max(alone) > 0.2 > min(alone)


def test_the_samples_stay_as_they_are(sounds: Samples) -> None:
    """faster-whisper's own call writes zeros into them."""
    frame = sounds[:FRAME].copy()
    SpeechDetector().probability(frame)
    np.testing.assert_array_equal(frame, sounds[:FRAME])
