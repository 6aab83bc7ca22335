"""Joining words and speakers: examples a reader can check by hand, then properties over arbitrary recordings."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transcript import (
    Caveat,
    Diarization,
    Segment,
    Speaker,
    SpeakerTurn,
    Transcript,
    Transcription,
    Word,
)
from tasks.stages.merge import merge
from tasks.stages.word_speakers import NEAREST_TURN_S


def segment_of(*words: tuple[float, float, str], number: int = 0) -> Segment:
    """A segment of (start, end, text) words."""
    spoken = tuple(Word(start, end, f" {text}", 0.9) for start, end, text in words)
    return Segment(number, spoken[0].start, spoken[-1].end, "".join(w.text for w in spoken), 0.8, None, spoken)


def shard(*segments: Segment, language: str = "en", probability: float = 0.9, duration: float = 30.0) -> Transcription:
    return Transcription(language, probability, duration, "base", segments)


def diarization_of(*turns: tuple[float, float, str]) -> Diarization:
    """A diarization without overlap of (start, end, speaker) turns."""
    spoken = tuple(SpeakerTurn(*turn) for turn in turns)
    return Diarization(spoken, spoken)


def lines(transcript: Transcript) -> list[tuple[str | None, str]]:
    return [(segment.speaker, segment.text) for segment in transcript.segments]


# ---- examples


def test_a_word_belongs_to_whoever_talks_most_during_it() -> None:
    """A word across a change of speakers goes to the one who covers more of it, summed over that speaker's turns."""
    words = segment_of((0.0, 1.0, "one"), (1.0, 2.0, "two"), (2.0, 3.0, "three"))
    diarization = diarization_of((0.0, 1.3, "A"), (1.3, 2.1, "B"), (2.1, 2.4, "C"), (2.4, 2.6, "B"), (2.6, 3.0, "C"))
    assert lines(merge([shard(words)], diarization)) == [("spk_1", "one"), ("spk_2", "two"), ("spk_3", "three")]


def test_a_segment_is_cut_where_the_speaker_changes() -> None:
    """Each piece has its own bounds, number, text and confidence, and carries its speaker in every word."""
    words = segment_of((0.0, 0.4, "Hello?"), (0.5, 0.9, "Hello,"), (1.0, 1.4, "Diane."))
    transcript = merge([shard(words)], diarization_of((0.0, 0.45, "A"), (0.45, 2.0, "B")))
    first, second = transcript.segments
    assert (first.id, first.start, first.end, first.text, first.speaker) == (0, 0.0, 0.4, "Hello?", "spk_1")
    assert (second.id, second.start, second.end, second.text, second.speaker) == (1, 0.5, 1.4, "Hello, Diane.", "spk_2")
    assert second.confidence == pytest.approx(0.9)
    assert {word.speaker for word in second.words} == {"spk_2"}


def test_a_segment_of_one_speaker_keeps_its_confidence() -> None:
    """Only a cut makes a new confidence necessary."""
    transcript = merge([shard(segment_of((0.0, 1.0, "whole")))], diarization_of((0.0, 1.0, "A")))
    assert transcript.segments[0].confidence == 0.8


@pytest.mark.parametrize(("gap", "speaker"), [(NEAREST_TURN_S - 0.01, "spk_1"), (NEAREST_TURN_S + 0.01, None)])
@pytest.mark.parametrize("before", [True, False])
def test_a_word_in_nobodys_turn_goes_to_the_nearest_one_within_reach(
    gap: float, speaker: str | None, before: bool
) -> None:
    """The distance counts from either side, and a word beyond it has no speaker."""
    turn = (2.0 - gap, 2.0, "A") if before else (5.0, 6.0, "A")
    start = 2.0 + gap if before else 5.0 - gap - 0.5
    transcript = merge([shard(segment_of((start, start + 0.5, "stray")))], diarization_of(turn))
    assert lines(transcript) == [(speaker, "stray")]


def test_a_word_of_no_length_belongs_to_the_turn_around_it() -> None:
    """Whisper gives some words the same start and end."""
    transcript = merge([shard(segment_of((1.0, 1.0, "oh")))], diarization_of((0.0, 0.9, "A"), (0.95, 3.0, "B")))
    assert lines(transcript) == [("spk_1", "oh")]
    assert transcript.turns[1] == SpeakerTurn(0.95, 3.0, "spk_1")


def test_a_word_of_nobody_between_words_of_one_speaker_is_theirs() -> None:
    """Between two speakers, or at the edge of a segment, it stays without one."""
    reach = NEAREST_TURN_S * 3
    far = [(t, t + 0.1, text) for t, text in ((0.0, "a"), (reach, "b"), (2 * reach, "c"), (3 * reach, "d"))]
    same = diarization_of((0.0, 0.1, "A"), (2 * reach, 2 * reach + 0.1, "A"))
    assert lines(merge([shard(segment_of(*far))], same)) == [("spk_1", "a b c"), (None, "d")]
    changed = diarization_of((0.0, 0.1, "A"), (2 * reach, 2 * reach + 0.1, "B"))
    assert lines(merge([shard(segment_of(*far))], changed)) == [
        ("spk_1", "a"),
        (None, "b"),
        ("spk_2", "c"),
        (None, "d"),
    ]


def test_a_segment_without_words_keeps_its_text_and_takes_who_talks_most() -> None:
    """The model may give no word times at all."""
    segment = Segment(7, 0.0, 10.0, " No word times.", 0.5)
    transcript = merge([shard(segment)], diarization_of((0.0, 4.0, "A"), (4.0, 10.0, "B")))
    assert transcript.segments == (Segment(0, 0.0, 10.0, " No word times.", 0.5, "spk_1"),)


def test_speakers_are_those_with_words_and_turns_are_all_voices() -> None:
    """Seconds count overlapped speech; a voice without a word is numbered last and only shows in the turns."""
    turns = (SpeakerTurn(5.0, 9.0, "A"), SpeakerTurn(0.0, 6.0, "B"), SpeakerTurn(20.0, 21.0, "cough"))
    exclusive = (SpeakerTurn(0.0, 6.0, "B"), SpeakerTurn(6.0, 9.0, "A"), SpeakerTurn(20.0, 21.0, "cough"))
    words = segment_of((1.0, 2.0, "first"), (7.0, 8.0, "second"))
    transcript = merge([shard(words)], Diarization(turns, exclusive))
    assert transcript.speakers == (Speaker("spk_1", 6.0), Speaker("spk_2", 4.0))
    assert transcript.turns == (
        SpeakerTurn(0.0, 6.0, "spk_1"),
        SpeakerTurn(5.0, 9.0, "spk_2"),
        SpeakerTurn(20.0, 21.0, "spk_3"),
    )


def test_without_diarization_nobody_speaks() -> None:
    """The words come through with neither speakers nor turns."""
    transcript = merge([shard(segment_of((0.0, 1.0, "alone")))], None)
    assert (transcript.speakers, transcript.turns, lines(transcript)) == ((), (), [(None, "alone")])


def test_shards_are_joined_in_order() -> None:
    """Segments are numbered on, durations add up and each warning is kept once."""
    loop, noise = Caveat("repetition", "The same words again", 1.0, 2.0), Caveat("noisy", "Much noise")
    first = Transcription("en", 0.9, 10.0, "base", (segment_of((1.0, 2.0, "one")),), (loop, noise))
    second = Transcription("en", 0.9, 5.0, "base", (segment_of((11.0, 12.0, "two")),), (noise,))
    transcript = merge([first, second], None)
    assert [(segment.id, segment.text) for segment in transcript.segments] == [(0, "one"), (1, "two")]
    assert (transcript.duration, transcript.warnings, transcript.text) == (15.0, (loop, noise), "one two")


def test_the_language_of_most_speech_wins() -> None:
    """A shard votes with its seconds of speech times its probability, however long its silence is."""
    english = shard(segment_of((0.0, 2.0, "hi")), language="en", probability=0.9, duration=600.0)
    german = shard(
        segment_of(
            (600.0, 608.0, "Guten"),
        ),
        language="de",
        probability=0.8,
        duration=30.0,
    )
    transcript = merge([english, german], None)
    assert transcript.language == "de"
    assert transcript.language_probability == pytest.approx(8 * 0.8 / 10)


def test_silence_still_has_a_language() -> None:
    """Where nobody speaks the shards vote with their length."""
    transcript = merge([shard(language="en", probability=0.4), shard(language="nn", duration=5.0)], None)
    assert (transcript.language, transcript.segments) == ("en", ())
    assert transcript.language_probability == pytest.approx(30 * 0.4 / 35)


def test_times_that_run_backwards_are_raised() -> None:
    """Where two shards meet, the second may begin a little before the first has ended its last word."""
    transcript = merge(
        [shard(segment_of((9.8, 10.3, "end"))), shard(segment_of((9.7, 9.75, "start"), (10.4, 10.6, "on")))], None
    )
    assert [(word.start, word.end) for segment in transcript.segments for word in segment.words] == [
        (9.8, 10.3),
        (9.8, 9.8),
        (10.4, 10.6),
    ]


def test_nothing_cannot_be_merged() -> None:
    """A recording has at least one shard, be it a silent one."""
    with pytest.raises(ValueError, match="at least one shard"):
        merge([], None)


# ---- properties

moments = st.integers(0, 4000).map(lambda n: n / 100)
probabilities = st.floats(0, 1)
spoken_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    start, end = sorted((draw(moments), draw(moments)))
    words = draw(st.lists(st.builds(Word, moments, moments, spoken_text, probabilities), max_size=6))
    return Segment(draw(st.integers(0, 9)), start, end, draw(spoken_text), draw(probabilities), None, tuple(words))


shards = st.lists(
    st.builds(
        Transcription,
        st.sampled_from(["en", "de", "ja"]),
        probabilities,
        moments,
        st.just("base"),
        st.lists(segments(), max_size=4).map(tuple),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def diarizations(draw: st.DrawFn) -> Diarization:
    """Turns that overlap as they like, and an exclusive version of them."""
    edges = sorted(draw(st.sets(moments, max_size=16)))
    labels = st.sampled_from(["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"])
    exclusive = tuple(
        SpeakerTurn(start, end, draw(labels)) for start, end in zip(edges[::2], edges[1::2], strict=False)
    )
    overlapping = draw(st.lists(st.tuples(moments, st.integers(1, 500), labels), max_size=4))
    others = tuple(SpeakerTurn(start, start + length / 100, label) for start, length, label in overlapping)
    return Diarization(exclusive + others, exclusive)


anyone = st.none() | diarizations()


@given(shards, anyone)
def test_no_word_is_lost_altered_or_moved(parts: list[Transcription], diarization: Diarization | None) -> None:
    """All words come out in the order they went in, with their text and confidence."""
    before = [(w.text, w.confidence) for part in parts for segment in part.segments for w in segment.words]
    after = [(w.text, w.confidence) for segment in merge(parts, diarization).segments for w in segment.words]
    assert after == before


@given(shards, anyone)
def test_times_never_run_backwards(parts: list[Transcription], diarization: Diarization | None) -> None:
    """Segments and words start in order, end after they start, and words lie within their segment."""
    merged = merge(parts, diarization).segments
    assert all(a.start <= b.start for a, b in pairwise(merged))
    for segment in merged:
        assert segment.start <= segment.end
        assert all(segment.start <= word.start <= word.end <= segment.end for word in segment.words)
    assert all(a.start <= b.start for a, b in pairwise(word for segment in merged for word in segment.words))


@given(shards, anyone)
def test_times_in_order_are_left_alone(parts: list[Transcription], diarization: Diarization | None) -> None:
    """What merge has put in order once, it does not touch again."""
    once = merge(parts, diarization)
    again = merge([Transcription("en", 1.0, once.duration, once.model, once.segments)], None)
    unnamed = [replace(s, speaker=None, words=tuple(replace(w, speaker=None) for w in s.words)) for s in once.segments]
    assert again.segments == tuple(unnamed)


@given(shards, anyone)
def test_a_segment_is_its_words_by_one_speaker(parts: list[Transcription], diarization: Diarization | None) -> None:
    """Its text is their text, its speaker is everyone's; segments are numbered from 0."""
    merged = merge(parts, diarization).segments
    assert [segment.id for segment in merged] == list(range(len(merged)))
    for segment in merged:
        assert all(word.speaker == segment.speaker for word in segment.words)
        if segment.words:
            assert segment.text == "".join(word.text for word in segment.words).strip()


@given(shards, diarizations())
def test_speakers_are_numbered_as_they_appear(parts: list[Transcription], diarization: Diarization) -> None:
    """The first voice is spk_1, and the list of speakers is exactly those with a segment, in that order."""
    transcript = merge(parts, diarization)
    appeared = list(dict.fromkeys(segment.speaker for segment in transcript.segments if segment.speaker))
    assert appeared == [f"spk_{number}" for number in range(1, len(appeared) + 1)]
    assert [speaker.id for speaker in transcript.speakers] == appeared
    assert {turn.speaker for turn in transcript.turns} == {
        f"spk_{number}" for number in range(1, len({turn.speaker for turn in diarization.turns}) + 1)
    }


@given(shards, anyone, st.randoms(use_true_random=False))
def test_the_order_of_turns_does_not_matter(
    parts: list[Transcription], diarization: Diarization | None, random: Random
) -> None:
    """The same recording gives the same transcript, in whatever order the diarization lists its turns."""
    if diarization is None:
        assert merge(parts, None) == merge(parts, None)
        return
    turns, exclusive = list(diarization.turns), list(diarization.exclusive)
    random.shuffle(turns)
    random.shuffle(exclusive)
    assert merge(parts, Diarization(tuple(turns), tuple(exclusive))) == merge(parts, diarization)


def test_eight_hours_look_at_each_turn_a_few_times() -> None:
    """The work grows with words + turns: 80,000 words against 20,000 turns read few turns each."""
    reads = 0

    class CountedTurn(SpeakerTurn):
        __slots__ = ()

        def __getattribute__(self, name: str) -> object:
            nonlocal reads
            reads += name == "start"
            return super().__getattribute__(name)

    turns = tuple(CountedTurn(i * 1.44, i * 1.44 + 1.4, f"S{i % 3}") for i in range(20_000))
    words = [(i * 0.36, i * 0.36 + 0.3, "word") for i in range(80_000)]
    talk = [segment_of(*words[i : i + 20]) for i in range(0, len(words), 20)]
    transcript = merge([shard(*talk, duration=28_800.0)], Diarization(turns, turns))
    assert sum(len(segment.words) for segment in transcript.segments) == 80_000
    assert reads < 10 * (len(words) + len(turns))
