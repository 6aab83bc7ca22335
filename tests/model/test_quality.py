"""The report on real recognition of real speech."""

from __future__ import annotations

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from scripts.weights.fixtures import fixture
from shared.transcript import SAMPLE_RATE, Shard
from tasks.asr import quality
from tasks.asr.decoding import TranscribeOptions
from tasks.asr.part import listen
from tasks.asr.vad import Samples, Span
from tasks.engines.faster_whisper import FasterWhisper
from tasks.stages.merge import merge
from tasks.stages.transcribe import transcribe
from tests.model.test_transcribe import LIBRIVOX, ignore, reader


def test_the_report_on_a_reading(base: FasterWhisper) -> None:
    """A clear reading is confident and whole; with a sentence taken out of it, that sentence is what is missing."""
    parts = [decode_audio(str(fixture(f"librivox-{name}.wav")), sampling_rate=SAMPLE_RATE) for name in LIBRIVOX]
    samples: Samples = np.concatenate(parts)
    whole = Span(0.0, len(samples) / SAMPLE_RATE)
    result = transcribe(reader(samples), whole.end, TranscribeOptions("base", "en"), base, ignore)
    report = merge([result], None).quality
    assert report is not None
    assert (report.dropped, report.dropped_seconds, report.loops, report.overlap_seconds) == ((), 0, (), None)
    assert 0.75 * whole.end < report.speech_seconds <= whole.end
    assert report.words == sum(len(segment.words) for segment in result.segments)
    assert report.uncertain_words < 0.1 * report.words
    assert report.mean_confidence is not None
    assert report.mean_confidence > 0.8

    speech = listen(reader(samples), Shard(0.0, whole.end, 0.0, whole.end), 600, ignore).speech
    longest = max(result.segments, key=lambda segment: segment.end - segment.start)
    assert longest.end - longest.start > 3
    rest = [segment for segment in result.segments if segment is not longest]
    ((missing, seconds),) = quality.dropped(rest, speech, whole)
    assert (missing.start, missing.end) == pytest.approx((longest.start, longest.end), abs=1)
    assert seconds > 0.6 * (longest.end - longest.start)
