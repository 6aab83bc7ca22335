"""Where utterances begin and end."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.listening.bounds import (
    BREAK_S,
    CUT_WITHIN_S,
    LEAD_S,
    LONG_PAUSE_S,
    LONG_S,
    LONGEST_S,
    PAUSE_S,
    TAIL_S,
    UNSURE_S,
    Begin,
    End,
    UtteranceBounds,
    frames,
)

QUIET, FAINT, CLEAR = 0.01, 0.25, 0.9


def marks(probabilities: Iterable[float]) -> tuple[list[tuple[int, Begin | End]], UtteranceBounds]:
    """Each mark and the frame that gave it, up to the first end."""
    bounds = UtteranceBounds()
    events = []
    for place, probability in enumerate(probabilities):
        if mark := bounds.add(probability):
            events.append((place, mark))
            if isinstance(mark, End):
                break
    return events, bounds


def test_an_utterance_ends_after_400_ms_of_silence() -> None:
    """It begins 0.3 s before the first frame of speech and ends 0.2 s behind the last."""
    events, bounds = marks([QUIET] * 50 + [CLEAR] * 40 + [QUIET] * 50)
    (begin_at, begin), (over, end) = events
    assert begin == Begin(50 - frames(LEAD_S))
    assert 50 < begin_at < 55
    assert (end, over) == (End(90 + frames(TAIL_S)), 89 + frames(PAUSE_S))
    assert bounds.speech(end.at) == [(50, 90)]


def test_a_shorter_pause_ends_nothing() -> None:
    events, bounds = marks([CLEAR] * 40 + [QUIET] * (frames(PAUSE_S) - 1) + [CLEAR] * 10)
    assert [mark for _, mark in events] == [Begin(0)]
    assert bounds.speech(bounds.count) == [(0, 40), (39 + frames(PAUSE_S), 49 + frames(PAUSE_S))]


def test_a_shorter_pause_ends_a_long_utterance() -> None:
    """Its final takes long enough as it is."""
    speech = [CLEAR] * frames(LONG_S)
    events, _ = marks([*speech, *[QUIET] * 50])
    assert events[-1] == (len(speech) - 1 + frames(LONG_PAUSE_S), End(len(speech) + frames(TAIL_S)))


def test_a_dip_within_a_word_is_no_pause() -> None:
    """Of speech that is told apart from silence; a breath is one."""
    dip, breath = frames(BREAK_S) - 1, frames(BREAK_S)
    events, bounds = marks([CLEAR] * 20 + [QUIET] * dip + [CLEAR] * 20 + [QUIET] * breath + [CLEAR] * 20 + [QUIET] * 20)
    assert bounds.speech(events[-1][1].at) == [(0, 40 + dip), (40 + dip + breath, 60 + dip + breath)]


def test_a_click_is_no_speech() -> None:
    events, bounds = marks([QUIET] * 20 + [CLEAR] * 2 + [QUIET] * 40)
    assert events == []
    assert bounds.quiet > frames(UNSURE_S)
    assert bounds.end() is None


def test_faint_speech_begins_where_it_lasts() -> None:
    """As on a telephone line, where nothing is clear."""
    events, _ = marks([QUIET] * 20 + [FAINT] * 60 + [QUIET] * 20)
    assert [mark for _, mark in events] == [Begin(20 - frames(LEAD_S)), End(80 + frames(TAIL_S))]
    assert marks([QUIET] * 20 + [FAINT] * 25 + [QUIET] * 40)[0] == []


def test_what_is_neither_speech_nor_silence_ends_it_later() -> None:
    unsure = 0.2
    events, _ = marks([CLEAR] * 40 + [unsure] * 60)
    assert events[-1] == (39 + frames(UNSURE_S), End(40 + frames(TAIL_S)))


def test_speech_without_a_pause_is_cut_where_it_is_least_likely() -> None:
    longest = frames(LONGEST_S)
    probabilities = [CLEAR] * (longest + 5)
    probabilities[longest - 61 : longest - 58] = [0.5, 0.4, 0.5]
    events, bounds = marks(probabilities)
    assert events[-1] == (longest - 1, End(longest - 60, is_cut=True))
    assert bounds.count == longest


@given(st.lists(st.floats(0, 1), max_size=2000), st.booleans())
def test_an_utterance_lies_within_what_was_heard(probabilities: list[float], is_rough: bool) -> None:
    """Whatever the detector says: it begins before it ends, is never too long, and is cut near its end."""
    events, bounds = marks([round(each) for each in probabilities] if is_rough else probabilities)
    kinds = [type(mark) for _, mark in events]
    assert kinds in ([], [Begin], [Begin, End])
    end = bounds.end() if kinds == [Begin] else events[-1][1] if kinds else None
    if isinstance(end, End):
        assert bounds.start is not None
        assert 0 <= bounds.start < end.at <= bounds.count <= bounds.start + frames(LONGEST_S) + frames(1.0)
        assert not end.is_cut or end.at >= bounds.count - frames(CUT_WITHIN_S)
        assert all(bounds.start <= a < b <= end.at for a, b in bounds.speech(end.at))


@pytest.mark.parametrize("seconds", [0.4, 1.0, 25.0])
def test_so_many_frames_fill_the_time(seconds: float) -> None:
    assert (frames(seconds) - 1) * 0.032 < seconds <= frames(seconds) * 0.032
