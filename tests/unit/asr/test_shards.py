"""Where a recording is cut, on sound made up here: tones are no speech, so the detector hears pauses everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from shared.transcript import SAMPLE_RATE
from tasks.asr.shard_plan import MAX_REACH_S, Seam, find_seam, plan
from tasks.asr.vad import Read, Samples, Span


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def reader(samples: Samples, spans: list[Span] | None = None) -> Read:
    def read(start: float, end: float) -> Samples:
        if spans is not None:
            spans.append(Span(start, end))
        return samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]

    return read


@pytest.mark.parametrize(("duration", "count"), [(0, 0), (10, 0), (14.9, 0), (15, 2), (24, 2), (26, 3), (600, 60)])
def test_a_recording_is_cut_into_parts_of_about_the_target(duration: float, count: int) -> None:
    """Below one and a half targets there is no cut, above it parts of three quarters to one and a half of a target."""
    shards = plan([reader(silence(duration))], duration, 10)
    assert len(shards) == count
    assert all(5 <= shard.end - shard.start <= 15 for shard in shards)


def test_no_target_is_no_cut() -> None:
    """0 switches the cutting off, whatever the length."""
    assert plan([reader(silence(0))], 36 * 3600.0, 0) == ()


def test_only_what_lies_near_a_seam_is_looked_at() -> None:
    """Half an hour, planned: two minutes round each seam are read, and a second before them."""
    spans: list[Span] = []
    shards = plan([reader(silence(1800), spans)], 1800.0, 600)
    assert len(shards) == 3
    assert all(span.duration <= 2 * MAX_REACH_S + 1 for span in spans)
    assert len(spans) == 2


def test_what_progress_raises_stops_the_plan() -> None:
    """A cancel is heard between two seams."""
    calls = []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        plan([reader(silence(100))], 100.0, 10, stop)


def test_the_middle_of_a_silence_is_the_seam() -> None:
    """Where nobody talks for the whole of the reach, the cut is even and in silence."""
    assert find_seam([reader(silence(40))], Span(10, 30)) == Seam(20.0, in_silence=True)
