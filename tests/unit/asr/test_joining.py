"""Joining shards: whichever way a recording is cut, its words are all there, each once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transcript import Caveat, Segment, Shard, SpeakerTurn, Stretch, Transcription, Word
from tasks.asr.segments import MAX_SEGMENT_S, PAUSE_S, sentences
from tasks.asr.shard_join import MAX_DRIFT_S, join, within
from tasks.asr.shard_plan import OVERLAP_S, Seam, cut
from tasks.asr.vad import Span
from tasks.stages.merge import merge

VOCABULARY = ("no", "yes", "the", "a", "Yes.", "house", "is", "on", "fire,", "and", "nobody", "goes", "home.")


@st.composite
def talks(draw: st.DrawFn, most: int = 60) -> list[Word]:
    """Words one after another, few different ones, with pauses here and there."""
    words, now = [], 0.0
    for _ in range(draw(st.integers(1, most))):
        now += draw(st.sampled_from([0.0, 0.05, 0.1, 0.3, 1.2]))
        length = draw(st.sampled_from([0.2, 0.3, 0.45]))
        text = draw(st.sampled_from(VOCABULARY))
        words.append(Word(round(now, 3), round(now + length, 3), f" {text}", 0.9))
        now += length
    return words


def hearing(words: Sequence[Word], shard: Shard, drift_s: float = 0.0) -> Transcription:
    """What a shard says of a talk: every word that it hears, all later by `drift_s`."""
    inside = [word for word in words if word.start >= shard.heard_from and word.end <= shard.heard_to]
    late = [
        replace(word, start=max(0.0, round(word.start + drift_s, 3)), end=round(word.end + drift_s, 3))
        for word in inside
    ]
    segments = tuple(replace(segment, id=number) for number, segment in enumerate(sentences(late)))
    return Transcription("en", 0.9, shard.end - shard.start, "base", segments, shard=shard)


def spoken(transcription: Transcription) -> list[str]:
    return [word.text for segment in transcription.segments for word in segment.words]


@given(talks(), st.data())
def test_any_seam_gives_the_words_of_the_whole(words: list[Word], data: st.DataObject) -> None:
    """Seams through words and pauses, wherever they are: joined, words and segments are those of the whole."""
    duration = words[-1].end + 1
    at = sorted(data.draw(st.sets(st.floats(0.5, duration - 0.4).map(lambda time: round(time, 3)), max_size=3)))
    shards = cut([Seam(time, in_silence=False) for time in at], duration)
    long = all(shard.end - shard.start > 2 for shard in shards)
    joined = join([hearing(words, shard) for shard in shards])
    if long:  # else a word may be longer than what both hear
        assert spoken(joined) == [word.text for word in words]
    if long and duration < MAX_SEGMENT_S:  # where a longer one is cut depends on all of it
        whole = [(segment.start, segment.end, segment.text) for segment in sentences(words)]
        assert [(segment.start, segment.end, segment.text) for segment in joined.segments] == whole
    assert joined.duration == pytest.approx(duration)


@given(talks(), st.data(), st.floats(-0.045, 0.045), st.floats(-0.045, 0.045))
def test_times_may_differ_between_shards(words: list[Word], data: st.DataObject, one: float, other: float) -> None:
    """Both hear the words a little earlier or later than they are said: still each is there once, in order of time."""
    duration = words[-1].end + 1
    at = data.draw(st.floats(min(2.0, duration / 2), max(duration - 2.0, duration / 2)))
    first, second = cut([Seam(at, in_silence=False)], duration)
    joined = join([hearing(words, first, one), hearing(words, second, other)])
    if first.heard_to - second.heard_from > 2:
        assert spoken(joined) == [word.text for word in words]
    times = [time for segment in joined.segments for word in segment.words for time in (word.start, word.end)]
    assert times == sorted(times)


@pytest.mark.parametrize("seed", range(20))
def test_different_words_are_found_again_at_any_drift(seed: int) -> None:
    """Where few words repeat, the shards may be as far apart as Whisper's times ever are."""
    dice = random.Random(seed)
    words = [Word(n * 0.4, n * 0.4 + 0.35, f" word{dice.randrange(40)}-{n % 5}", 0.9) for n in range(75)]
    at = dice.uniform(8, 22)
    first, second = cut([Seam(at, in_silence=False)], 30.0)
    drift = dice.uniform(-0.9, 0.9) * MAX_DRIFT_S
    assert spoken(join([hearing(words, first), hearing(words, second, drift)])) == [word.text for word in words]


def test_a_word_that_the_end_has_cut_is_taken_from_the_other() -> None:
    """What a shard makes of half a word, at the very end of what it hears, is nowhere in the result."""
    words = [Word(n * 0.5, n * 0.5 + 0.4, f" {text}", 0.9) for n, text in enumerate("abcdefghijkl")]
    first, second = cut([Seam(3.1, in_silence=False)], 6.0)
    left, right = hearing(words, first), hearing(words, second)
    torn = Word(first.heard_to - 0.1, first.heard_to, " torn", 0.2)
    garbled = Word(second.heard_from, second.heard_from + 0.1, " garbled", 0.2)
    left = replace(left, segments=(*left.segments, Segment(9, torn.start, torn.end, "torn", 0.2, words=(torn,))))
    start = Segment(0, garbled.start, garbled.end, "garbled", 0.2, words=(garbled,))
    right = replace(right, segments=(start, *right.segments))
    assert spoken(join([left, right])) == [word.text for word in words]


def test_what_is_understood_differently_is_told_once() -> None:
    """Without a word in common each shard has its own side of the seam."""
    words = [Word(n * 0.5, n * 0.5 + 0.4, f" w{n}", 0.9) for n in range(40)]
    first, second = cut([Seam(10.2, in_silence=False)], 20.0)
    other = [replace(word, text=f" v{n}") for n, word in enumerate(words)]
    joined = spoken(join([hearing(words, first), hearing(other, second)]))
    assert joined == [f" w{n}" for n in range(20)] + [f" v{n}" for n in range(20, 40)]


def test_in_silence_equal_words_on_both_sides_are_two_words() -> None:
    """Shards that do not overlap are not compared: who says "no" twice has said it twice."""
    words = [Word(9.0, 9.4, " No.", 0.9), Word(9.9, 10.3, " No.", 0.9)]
    first, second = cut([Seam(9.65, in_silence=True)], 20.0)
    joined = join([hearing(words, first), hearing(words, second)])
    assert (spoken(joined), [segment.text for segment in joined.segments]) == ([" No.", " No."], ["No.", "No."])


def test_a_sentence_goes_on_over_the_seam() -> None:
    """What the seam has cut is one segment; a pause, or a full stop, still ends it."""
    words = [Word(0.0, 0.4, " One", 0.5), Word(0.5, 0.9, " sentence.", 1.0), Word(0.9 + PAUSE_S, 2.4, " Next", 0.9)]
    for at, texts in ((0.45, ["One sentence.", "Next"]), (1.4, ["One sentence.", "Next"])):
        shards = cut([Seam(at, in_silence=True)], 3.0)
        joined = join([hearing(words, shard) for shard in shards])
        assert [segment.text for segment in joined.segments] == texts
        assert [segment.confidence for segment in joined.segments] == pytest.approx([0.75, 0.9])
        assert [segment.id for segment in joined.segments] == [0, 1]


def test_segments_without_words_are_told_once() -> None:
    """The model may give no words: then whole segments are compared."""
    shards = cut([Seam(10.0, in_silence=False)], 20.0)
    texts = [(2.0, "first"), (8.0, "second"), (12.0, "third"), (18.0, "fourth")]
    parts = [
        Transcription(
            "en",
            0.9,
            10.0,
            "base",
            tuple(Segment(0, t, t + 1, text, 0.5) for t, text in texts if s.heard_from <= t and t + 1 <= s.heard_to),
            shard=s,
        )
        for s in shards
    ]
    assert [len(one.segments) for one in parts] == [3, 3]
    assert [segment.text for segment in join(parts).segments] == [text for _, text in texts]


def test_channels_are_joined_each_on_its_own() -> None:
    """People talk at once: a seam through the words of two speakers doubles and mixes neither."""
    left = [Word(n * 0.5, n * 0.5 + 0.4, f" l{n}", 0.9, "spk_1") for n in range(40)]
    right = [Word(n * 0.5 + 0.2, n * 0.5 + 0.6, f" r{n}", 0.9, "spk_2") for n in range(40)]
    shards = cut([Seam(10.3, in_silence=False)], 20.6)
    parts = []
    for shard in shards:
        segments = [
            replace(segment, speaker=words[0].speaker)
            for words in (left, right)
            for segment in hearing(words, shard).segments
        ]
        turns = tuple(SpeakerTurn(shard.start, shard.end, f"spk_{number}") for number in (1, 2))
        parts.append(Transcription("en", 0.9, 10.3, "base", tuple(segments), turns=turns, shard=shard))
    transcript = merge(parts, None)
    for words in (left, right):
        own = [segment for segment in transcript.segments if segment.speaker == words[0].speaker]
        assert [word for segment in own for word in segment.words] == words
    assert transcript.turns == (SpeakerTurn(0.0, 20.6, "spk_1"), SpeakerTurn(0.0, 20.6, "spk_2"))
    assert [speaker.seconds for speaker in transcript.speakers] == pytest.approx([20.6, 20.6])


def test_figures_add_up_and_silence_in_one_shard_is_no_news() -> None:
    """Seconds are summed, warnings that go on over a seam are one, and no_speech is said of silent recordings only."""
    first, second = cut([Seam(10.0, in_silence=True)], 20.0)
    same, silent = "identical_channels", Caveat("no_speech", "No speech.")
    one = Transcription(
        "en",
        0.8,
        10.0,
        "base",
        hearing([Word(1.0, 2.0, " hi", 0.9)], first).segments,
        (Caveat(same, "twins", 0.0, 10.0),),
        3.0,
        2.5,
        (Stretch(4.0, 7.0),),
        shard=first,
    )
    other = Transcription("en", 0.8, 10.0, "base", (), (Caveat(same, "twins", 10.0, 20.0), silent), shard=second)
    joined = join([one, other])
    assert joined.warnings == (Caveat(same, "twins", 0.0, 20.0),)
    assert (joined.speech_seconds, joined.dropped_seconds, joined.dropped) == (3.0, 2.5, (Stretch(4.0, 7.0),))
    assert joined.language == "en"
    assert joined.language_probability == pytest.approx(0.8)
    nothing = [replace(other, warnings=(silent,), shard=shard) for shard in (first, second)]
    assert join(nothing).warnings == (silent,)


@given(talks(), st.floats(1, 10))
def test_a_follower_is_told_only_what_a_shard_answers_for(words: list[Word], at: float) -> None:
    """Cut at a time, a talk has each word on one side, and no segment reaches over."""
    segments = tuple(sentences(words))
    before, after = within(segments, Span(-1, at)), within(segments, Span(at, 1e9))
    assert [w for s in (*before, *after) for w in s.words] == words
    assert all(segment.end <= at for segment in before)
    assert all(segment.start >= at for segment in after)


@given(st.lists(st.tuples(st.floats(1, 600), st.booleans()), max_size=6))
def test_shards_follow_each_other_without_a_gap(steps: list[tuple[float, bool]]) -> None:
    """Together they are the recording; beyond a seam in silence nobody hears anything, beyond another 5 s at most."""
    at, seams = 0.0, []
    for step, in_silence in steps:
        at += round(step, 1)
        seams.append(Seam(at, in_silence))
    shards = cut(seams, at + 10)
    assert (shards[0].start, shards[-1].end, len(shards)) == (0.0, at + 10, len(steps) + 1)
    for one, other, seam in zip(shards, shards[1:], seams, strict=False):
        assert one.end == other.start == seam.at
        overlap = (one.heard_to - one.end, other.start - other.heard_from)
        assert overlap == (0, 0) if seam.in_silence else 0 < min(overlap) <= max(overlap) <= OVERLAP_S + 1e-4
        assert one.heard_to <= other.end
        assert other.heard_from >= one.start
