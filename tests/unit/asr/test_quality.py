"""The report on a transcript, on speech made up here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.transcripts.formats import as_dict
from shared.transcript import (
    Caveat,
    Diarization,
    Segment,
    SpeakerTurn,
    Stretch,
    Transcript,
    Transcription,
    Word,
    from_json,
)
from tasks.asr.quality import MIN_DROPPED_S, dropped, dropped_speech, overlapped, silent_turns
from tasks.asr.vad import Span
from tasks.stages.merge import merge

WHOLE = Span(0, 60)


def segment_at(start: float, *confidences: float) -> Segment:
    """A word a second from `start` on."""
    words = tuple(Word(start + n, start + n + 0.8, f" word{n}", c) for n, c in enumerate(confidences))
    mean = sum(confidences) / len(confidences)
    return Segment(0, words[0].start, words[-1].end, "".join(w.text for w in words).strip(), mean, words=words)


def shard(*segments: Segment) -> Transcription:
    return Transcription("en", 0.9, 60.0, "base", segments)


# ---- speech without words


def test_a_sentence_that_is_missing_is_found() -> None:
    """Speech between two words, or after the last, is reported from its beginning to its end, pauses not counted."""
    speech = [Span(1, 3), Span(3.2, 6), Span(6.5, 8), Span(20, 24)]
    losses = dropped([segment_at(1, 0.9, 0.9), segment_at(7, 0.9)], speech, WHOLE)
    assert [stretch for stretch, _ in losses] == [Stretch(2.8, 7), Stretch(20, 24)]
    assert [seconds for _, seconds in losses] == pytest.approx([0.2 + 2.8 + 0.5, 4])
    assert [(c.code, c.start, c.end) for c in dropped_speech(s for s, _ in losses)] == [
        ("dropped_speech", 2.8, 7),
        ("dropped_speech", 20, 24),
    ]


def test_a_laugh_or_an_inexact_time_is_no_missing_sentence() -> None:
    """Less than a second of speech between words is not reported, however long the pause."""
    assert dropped([segment_at(0, 0.9), segment_at(30, 0.9)], [Span(0, 1.5), Span(10, 10.9), Span(30, 31)], WHOLE) == []


def test_speech_of_which_nothing_was_recognised_is_all_missing() -> None:
    """Without any word the whole of it is reported."""
    assert dropped([], [Span(5, 9)], WHOLE) == [(Stretch(5, 9), 4)]
    assert dropped([], [], WHOLE) == []


moments = st.integers(0, 120).map(lambda half: half / 2)


@given(st.lists(st.tuples(moments, moments), max_size=8), st.lists(moments, max_size=16, unique=True))
def test_what_is_missing_is_speech_and_has_no_words(spoken: list[tuple[float, float]], edges: list[float]) -> None:
    """Whatever was said: a reported stretch holds at least a second of speech, and no word begins inside it."""
    words = sorted((min(pair), max(pair)) for pair in spoken)
    segments = [Segment(n, start, end, "word", 0.9) for n, (start, end) in enumerate(words)]
    ordered = sorted(edges)
    speech = [Span(a, b) for a, b in zip(ordered[::2], ordered[1::2], strict=False)]
    for stretch, seconds in dropped(segments, speech, WHOLE):
        assert MIN_DROPPED_S <= seconds <= stretch.end - stretch.start + 1e-9
        assert not any(stretch.start < start < stretch.end for start, _ in words)


def test_a_turn_without_words_is_missing_speech() -> None:
    """A quiet voice that only the diarization hears: its turn is in `dropped`, with a warning, once."""
    turns = (SpeakerTurn(0, 2, "A"), SpeakerTurn(5, 6.7, "B"), SpeakerTurn(10, 10.8, "B"), SpeakerTurn(20, 24, "A"))
    transcription = replace(
        shard(segment_at(0, 0.9, 0.9)),
        dropped=(Stretch(20.5, 23.0),),
        dropped_seconds=2.5,
        warnings=tuple(dropped_speech([Stretch(20.5, 23.0)])),
    )
    transcript = merge([transcription], Diarization(turns, turns))
    assert transcript.quality is not None
    assert transcript.quality.dropped == (Stretch(5, 6.7), Stretch(20.5, 23.0))
    assert transcript.quality.dropped_seconds == pytest.approx(1.7 + 2.5)
    assert [(c.start, c.end) for c in transcript.warnings if c.code == "dropped_speech"] == [(20.5, 23.0), (5, 6.7)]


@given(st.lists(st.tuples(moments, moments), max_size=8), st.lists(st.tuples(moments, moments), max_size=8))
def test_a_turn_with_a_word_in_it_is_not_missing(
    spoken: list[tuple[float, float]], talked: list[tuple[float, float]]
) -> None:
    segments = [Segment(n, min(pair), max(pair), "word", 0.9) for n, pair in enumerate(spoken)]
    turns = sorted((SpeakerTurn(min(pair), max(pair), "A") for pair in talked), key=lambda turn: turn.start)
    silent = set(silent_turns(turns, segments, []))
    for turn in turns:
        has_words = any(s.start < turn.end and s.end > turn.start for s in segments)
        is_silent = turn.end - turn.start >= MIN_DROPPED_S and not has_words
        assert (Stretch(turn.start, turn.end) in silent) is is_silent


# ---- the report


def test_the_report_counts() -> None:
    """Words, those that are uncertain, their mean, segments below a half, and what recognition noticed."""
    loop = Caveat("repetition_loop", "again and again", 3.0, 5.0)
    more = Caveat("repetition_loop", "compressible", 4.0, 6.0)
    noise = Caveat("text_on_silence", "nobody", 1.0, 2.0)
    damage = Caveat("damaged_recording", "zeros", 7.0, 8.0)
    transcription = replace(
        shard(segment_at(0, 0.9, 0.4, 0.8), segment_at(10, 0.3, 0.2)),
        warnings=(noise, loop, more, damage),
        speech_seconds=9.5,
        dropped_seconds=2.5,
        dropped=(Stretch(20.0, 23.0),),
    )
    quality = merge([transcription], None).quality
    assert quality is not None
    assert (quality.words, quality.uncertain_words) == (5, 3)
    assert quality.mean_confidence == pytest.approx(0.52)
    assert (quality.low_confidence, quality.loops) == ((Stretch(10, 11.8),), (Stretch(3.0, 6.0),))
    assert (quality.speech_seconds, quality.dropped_seconds, quality.dropped) == (9.5, 2.5, (Stretch(20.0, 23.0),))
    assert quality.damaged == (Stretch(7.0, 8.0),)
    assert quality.overlap_seconds is None


def test_segments_without_words_count_theirs() -> None:
    """A translation, whose words have no times, is counted by its text."""
    quality = merge([shard(Segment(0, 0, 4, "four words of text", 0.4))], None).quality
    assert quality is not None
    assert (quality.words, quality.uncertain_words) == (4, 4)
    assert quality.mean_confidence == pytest.approx(0.4)


def test_silence_has_a_report_too() -> None:
    """With no words there is no mean."""
    quality = merge([shard()], Diarization((), ())).quality
    assert quality is not None
    assert (quality.words, quality.mean_confidence, quality.overlap_seconds) == (0, None, 0.0)


def test_overlap_is_when_two_talk() -> None:
    """Three at once count once, and the turns of one speaker do not overlap each other."""
    turns = [(0, 10, "A"), (4, 6, "B"), (5, 8, "C"), (9, 12, "A"), (11, 20, "B"), (20, 21, "A")]
    assert overlapped(SpeakerTurn(*turn) for turn in turns) == pytest.approx(4 + 1)
    assert overlapped([]) == 0


@given(st.lists(st.tuples(moments, moments, st.sampled_from("ABC")), max_size=10))
def test_overlap_is_what_counting_half_seconds_gives(turns: list[tuple[float, float, str]]) -> None:
    """Against the obvious way, slice by slice."""
    spoken = [SpeakerTurn(min(a, b), max(a, b), who) for a, b, who in turns]
    slices = [{turn.speaker for turn in spoken if turn.start <= n / 2 < turn.end} for n in range(120)]
    assert overlapped(spoken) == pytest.approx(sum(len(talking) > 1 for talking in slices) / 2)


def test_a_transcript_from_before_has_no_report() -> None:
    """What was stored without one is read, and shown as null."""
    stored = b'{"language":"en","language_probability":1,"duration":1,"model":"base","segments":[]}'
    old = from_json(Transcript, stored)
    assert (old.quality, as_dict(old, words=False)["quality"]) == (None, None)
    old_words = from_json(Transcription, stored)
    assert (old_words.dropped, old_words.turns) == ((), None)
    assert merge([old_words], None).quality is not None
