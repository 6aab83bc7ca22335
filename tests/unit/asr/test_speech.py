"""Finding speech, packing it, and the vote on the language, on spans and samples made up here."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Interrupted
from shared.transcript import SAMPLE_RATE
from tasks.asr.language import MAX_VOTES, Vote, count, spread
from tasks.asr.loudness import LOUDNESS, MAX_GAIN, MIN_GAIN, leveled
from tasks.asr.packing import Packing, windows
from tasks.asr.vad import (
    CHUNK_S,
    PAD_S,
    Samples,
    Span,
    between,
    close_gaps,
    detect,
    find_speech,
    pad,
    quietest,
    resume_at,
)


def on_sample(time: float) -> float:
    return round(time * SAMPLE_RATE) / SAMPLE_RATE


@st.composite
def speech(draw: st.DrawFn, max_speech_s: float = 28.0) -> tuple[Span, ...]:
    """Stretches of speech in order, each after a pause of any length or none."""
    pauses = st.floats(0, 200).map(on_sample)
    lengths = st.floats(0.1, max_speech_s).map(on_sample)
    spans, time = [], 0.0
    for pause, length in draw(st.lists(st.tuples(pauses, lengths), min_size=1, max_size=40)):
        spans.append(Span(on_sample(time + pause), on_sample(time + pause + length)))
        time = spans[-1].end
    return tuple(spans)


def clock(start: float, end: float) -> np.ndarray:
    """A recording whose every sample is its own index, so that a test can see which ones were taken."""
    return np.arange(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))


# ---- windows


@given(speech(), st.floats(30, 700))
def test_windows_hold_all_speech_once_and_in_order(spans: tuple[Span, ...], window_s: float) -> None:
    """Whatever the speech, the windows joined again are the speech, and none reaches further than allowed."""
    groups = windows(spans, window_s)
    assert tuple(span for group in groups for span in group) == spans
    assert all(group[-1].end - group[0].start <= window_s for group in groups)


def test_a_window_ends_at_the_longest_pause_of_its_last_quarter() -> None:
    """The seam is put into the 3 s pause, although one more stretch of speech would still fit."""
    spans = (Span(0, 20), Span(20, 33), Span(36, 38), Span(38.5, 39.5), Span(40, 60))
    assert windows(spans, 40) == [spans[:2], spans[2:]]


def test_no_speech_needs_no_window() -> None:
    """Without speech there is nothing to decode."""
    assert windows((), 600) == []


# ---- packing


@given(speech())
def test_packed_audio_is_the_speech_and_nothing_else(spans: tuple[Span, ...]) -> None:
    """Every sample of speech is heard exactly once, in order; no sample of a pause is."""
    packing = Packing(spans[:2])
    sound = packing.samples(clock)
    expected = np.concatenate([leveled(clock(span.start, span.end)) for span in spans[:2]])
    assert np.array_equal(sound, expected)
    assert len(sound) == round(packing.duration * SAMPLE_RATE)


@pytest.mark.parametrize("amplitude", [0.01, 0.05, 0.14, 0.25])
def test_voices_are_heard_equally_loud(amplitude: float) -> None:
    """A tone that sounds for two thirds of the time comes out as loud as ordinary speech, its pauses in proportion."""
    tone = amplitude * np.sin(np.arange(3 * SAMPLE_RATE, dtype=np.float32) / 5)
    tone[SAMPLE_RATE : 2 * SAMPLE_RATE] *= 0.001
    sound = leveled(tone.astype(np.float32))
    assert sound.dtype == np.float32
    assert np.sqrt(np.square(sound[:SAMPLE_RATE]).mean()) == pytest.approx(LOUDNESS, rel=0.05)
    assert np.allclose(sound * tone[1], tone * sound[1], rtol=1e-3)


def test_silence_and_noise_are_not_raised_to_speech() -> None:
    assert not leveled(np.zeros(SAMPLE_RATE, np.float32)).any()
    hiss = np.full(SAMPLE_RATE, 1e-5, np.float32)
    assert np.allclose(leveled(hiss), MAX_GAIN * hiss)
    assert np.allclose(leveled(np.ones(SAMPLE_RATE, np.float32)), MIN_GAIN)
    assert np.array_equal(leveled(np.ones(100, np.float32)), np.ones(100))  # shorter than a frame


@given(speech(), st.data())
def test_a_packed_time_finds_back_to_the_recording(spans: tuple[Span, ...], data: st.DataObject) -> None:
    """A word inside one stretch of speech gets the very times that it has in the recording."""
    index = data.draw(st.integers(0, len(spans) - 1))
    span = spans[index]
    a, b = sorted(data.draw(st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9))))
    before = sum(s.duration for s in spans[:index])
    place = Packing(spans).restore(before + a * span.duration, before + b * span.duration)
    assert place.start == pytest.approx(span.start + a * span.duration, abs=1e-6)
    assert place.end == pytest.approx(span.start + b * span.duration, abs=1e-6)


@given(speech(), st.floats(-5, 2000), st.floats(-5, 2000))
def test_a_word_is_never_put_into_a_pause(spans: tuple[Span, ...], start: float, end: float) -> None:
    """Whatever times the decoder invents, the word lies inside one stretch of speech."""
    place = Packing(spans).restore(start, end)
    assert place.start <= place.end
    assert any(span.start <= place.start and place.end <= span.end for span in spans)


@given(speech())
def test_chunks_fit_what_whisper_looks_at(spans: tuple[Span, ...]) -> None:
    """Chunks are whole stretches of speech, all of them, at most 30 s together."""
    chunks = Packing(spans).chunks()
    assert tuple(span for chunk in chunks for span in chunk.spans) == spans
    assert all(chunk.duration <= CHUNK_S + 1e-6 for chunk in chunks)


# ---- voice activity


@given(speech())
def test_padding_keeps_speech_apart_and_inside(spans: tuple[Span, ...]) -> None:
    """Padded speech covers the speech, stays in the recording, grows by at most the pad, and never overlaps itself."""
    whole = Span(0.0, spans[-1].end + 0.1)
    padded = pad(spans, whole)
    for inner, outer in zip(spans, padded, strict=True):
        assert whole.start <= outer.start <= inner.start + 1e-4
        assert inner.end - 1e-4 <= outer.end <= whole.end
        assert inner.start - outer.start <= PAD_S + 1e-4
        assert outer.end - inner.end <= PAD_S + 1e-4
    assert all(a.end <= b.start for a, b in pairwise(padded))


@given(speech(), st.floats(0, 5))
def test_closed_gaps_lose_no_speech(spans: tuple[Span, ...], max_gap_s: float) -> None:
    """Every stretch is inside a closed one, and pauses that stay are longer than asked."""
    closed = close_gaps(spans, max_gap_s)
    assert all(any(c.start <= s.start and s.end <= c.end for c in closed) for s in spans)
    assert all(b.start - a.end > max_gap_s for a, b in pairwise(closed))


@given(speech())
def test_listening_always_gets_ahead(spans: tuple[Span, ...]) -> None:
    """The next window begins after the start of this one, at its end or before speech that was still going on."""
    window = Span(0.0, spans[-1].end)
    resumed = resume_at(spans, window)
    assert window.start < resumed <= window.end
    assert resumed == window.end or resumed <= spans[-1].start


def test_finished_speech_is_not_heard_again() -> None:
    """When the window ends in silence, the next one begins where it ended."""
    assert resume_at([Span(1, 5)], Span(0, 60)) == 60


def test_speech_across_the_end_of_a_window_is_heard_again_whole() -> None:
    """Speech that goes on at the end of a window is left to the next, which begins before it."""
    assert resume_at([Span(1, 5), Span(50, 60)], Span(0, 60)) == 49
    assert resume_at([Span(1, 49.5), Span(50, 60)], Span(0, 60)) == 49.5


def test_the_quietest_point_is_found() -> None:
    """A dip of 40 ms in loud noise is where a cut goes."""
    noise = np.random.default_rng(0).uniform(-1, 1, SAMPLE_RATE).astype(np.float32)
    noise[8000:8640] *= 0.01
    assert 8000 <= quietest(noise) < 8640


@pytest.mark.parametrize("count_", [0, 1, 100, 800, 16_000, 16_000 * 40])
def test_silence_of_any_length_has_no_speech(count_: int) -> None:
    """Nothing, one sample, 0.05 s or 40 s of zeros: no speech, and no crash."""
    assert detect(np.zeros(count_, np.float32)) == []


def test_listening_can_be_interrupted() -> None:
    """What progress raises gets out unchanged, after the first window."""
    calls: list[tuple[float, float]] = []

    def read(start: float, end: float) -> Samples:
        calls.append((start, end))
        return np.zeros(round((end - start) * SAMPLE_RATE), np.float32)

    def stop(_share: float) -> None:
        raise Interrupted("cancelled")

    with pytest.raises(Interrupted):
        find_speech(read, Span(0, 300), 60, stop)
    assert calls == [(0, 60)]


# ---- the language


@given(st.integers(1, 2000))
def test_votes_are_spread_over_the_recording(length: int) -> None:
    """Voters are different chunks, each in the middle of an equal part of the recording, at most `MAX_VOTES`."""
    voters = spread(length, MAX_VOTES)
    assert len(voters) == len(set(voters)) == min(length, MAX_VOTES)
    middles = [(part + 0.5) * length / len(voters) for part in range(len(voters))]
    assert all(index <= middle < index + 1 for index, middle in zip(sorted(voters), middles, strict=True))


def test_the_middle_votes_first() -> None:
    """The beginning, which is often not like the rest, is not what decides a short vote."""
    assert spread(60, 8)[0] in range(25, 40)


def test_two_votes_beat_one() -> None:
    """The language of most of the speech wins, with its mean probability."""
    votes = [Vote({"it": 0.9, "en": 0.1}, 30), Vote({"en": 0.8, "it": 0.2}, 30), Vote({"en": 0.9, "it": 0.1}, 30)]
    winner = count(votes)
    assert winner.code == "en"
    assert winner.probability == pytest.approx(0.6)


def test_a_vote_weighs_as_much_as_its_speech() -> None:
    """Two scraps of 2 s do not outvote 30 s of speech."""
    votes = [Vote({"it": 0.9, "en": 0.1}, 2), Vote({"it": 0.9, "en": 0.1}, 2), Vote({"en": 0.7, "it": 0.3}, 30)]
    assert count(votes).code == "en"


marks = st.lists(st.integers(0, 400), max_size=16, unique=True).map(
    lambda edges: list(zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False))
)


@given(marks, marks)
def test_faint_speech_is_added_only_where_there_is_no_clear_speech(
    faint: list[tuple[int, int]], clear: list[tuple[int, int]]
) -> None:
    """Sample by sample: what is added is faint speech outside the clear, and of that only short rests are left out."""
    added = list(between(faint, clear, 10))
    samples = {sample for start, end in added for sample in range(start, end)}
    loud = {sample for start, end in clear for sample in range(start, end)}
    rest = {sample for start, end in faint for sample in range(start, end)} - loud
    assert added == sorted(added)
    assert sum(end - start for start, end in added) == len(samples)
    assert samples <= rest
    left_out = sorted(rest - samples)
    runs = np.split(np.array(left_out), np.flatnonzero(np.diff(left_out) > 1) + 1) if left_out else []
    assert all(len(run) < 10 for run in runs)
