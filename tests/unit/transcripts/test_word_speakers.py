"""Every word has the speaker who said it, as far as the turns and the text tell, and stays what and where it was."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transcript import Diarization, Segment, SpeakerTurn, Transcription, Word
from tasks.stages.merge import merge
from tasks.stages.word_speakers import REACH_S, REACH_WORDS, attribute

STEP_S = 0.25


def sentences(*texts: str, pauses: tuple[int, ...] = ()) -> list[Segment]:
    """A segment per text, its words `STEP_S` each; before the words numbered in `pauses` there is a pause as long."""
    segments: list[Segment] = []
    time, count = 0.0, 0
    for text in texts:
        words = []
        for word in text.split():
            time += STEP_S * (count in pauses)
            words.append(Word(time, time + STEP_S, f" {word}", 0.9))
            time, count = time + STEP_S, count + 1
        segments.append(Segment(len(segments), words[0].start, words[-1].end, text, 0.9, None, tuple(words)))
    return segments


def who(segments: list[Segment], changes: list[tuple[int, str]]) -> list[str]:
    """`A: words` per stretch of one speaker, where the diarization hears each change just before a word's number."""
    words = [word for segment in segments for word in segment.words]
    starts = [words[number].start for number, _ in changes]
    ends = [*starts[1:], words[-1].end]
    turns = [SpeakerTurn(start, end, name) for start, end, (_, name) in zip(starts, ends, changes, strict=True)]
    all_words = [word for segment in attribute(segments, turns) for word in segment.words]
    return [
        f"{speaker}:{''.join(word.text for word in run)}"
        for speaker, run in groupby(all_words, key=lambda word: word.speaker)
    ]


@pytest.mark.parametrize(
    ("texts", "change", "expected"),
    [
        (["I live here.", "And I'm Sheila in Texas."], 5, ["A: I live here.", "B: And I'm Sheila in Texas."]),
        (["I live here too.", "And you?"], 3, ["A: I live here too.", "B: And you?"]),
        (["我 住 在 这里。", "我 是 李 明。"], 6, ["A: 我 住 在 这里。", "B: 我 是 李 明。"]),
        (["أنا أسكن هنا.", "وأنا أيضا أسكن هناك."], 4, ["A: أنا أسكن هنا.", "B: وأنا أيضا أسكن هناك."]),
        (["मैं यहाँ रहता हूँ।", "और मैं वहाँ।"], 5, ["A: मैं यहाँ रहता हूँ।", "B: और मैं वहाँ।"]),
        (["ฉัน อยู่ ที่นี่", "ฉัน ก็ อยู่ ที่นั่น"], 4, ["A: ฉัน อยู่ ที่นี่", "B: ฉัน ก็ อยู่ ที่นั่น"]),
    ],
)
def test_a_change_inside_a_sentence_moves_to_its_end(texts: list[str], change: int, expected: list[str]) -> None:
    """Backwards or forwards, in every script, as a segment is a sentence whatever it ends with."""
    assert who(sentences(*texts), [(0, "A"), (change, "B")]) == expected


@pytest.mark.parametrize(
    "text",
    [
        "well I know, but she is right",
        "我 知道 了， 可是 她 很 对",  # noqa: RUF001
        "أنا أعرف ذلك، لكنها على حق",
        "मैं जानता हूँ, पर वह सही है",
    ],
)
@pytest.mark.parametrize("change", [2, 4, 5])
def test_a_change_inside_a_clause_moves_to_a_comma(text: str, change: int) -> None:
    """Where no sentence ends nearby."""
    words = text.split()
    first, second = " ".join(words[:3]), " ".join(words[3:])
    assert who(sentences(text), [(0, "A"), (change, "B")]) == [f"A: {first}", f"B: {second}"]


def test_a_change_inside_a_phrase_moves_to_a_pause() -> None:
    """Where there is no punctuation at all."""
    spoken = sentences("so then we went home you know it", pauses=(5,))
    spoken = [replace(s, words=tuple(replace(w, end=w.end - 0.1) for w in s.words)) for s in spoken]
    assert who(spoken, [(0, "A"), (3, "B")]) == ["A: so then we went home", "B: you know it"]


def test_the_end_of_a_sentence_goes_before_a_comma() -> None:
    """Also when the comma is nearer."""
    assert who(sentences("Yes.", "Well, I am Sheila."), [(0, "A"), (3, "B")]) == ["A: Yes.", "B: Well, I am Sheila."]


def test_a_change_at_a_comma_or_too_far_from_any_place_stays() -> None:
    """A place that is as good as any is left; nothing moves beyond its reach in words or in seconds."""
    assert who(sentences("No, but", "you do."), [(0, "A"), (1, "B")]) == ["A: No,", "B: but you do."]
    far = sentences("a b c d e f g h i j")
    assert who(far, [(0, "A"), (5, "B")]) == ["A: a b c d e", "B: f g h i j"]
    slow = sentences("One.", "two three four five")
    slow = [replace(s, words=tuple(replace(w, start=w.start * 4, end=w.end * 4) for w in s.words)) for s in slow]
    assert who(slow, [(0, "A"), (2, "B")]) == ["A: One. two", "B: three four five"]


@pytest.mark.parametrize("interjection", ["Yeah.", "mhm", "I see.", "對。", "نعم."])
def test_an_interjection_stays_with_its_speaker(interjection: str) -> None:
    """A few words of another, in the middle of a sentence that has commas nearby, are theirs and nothing else is."""
    count = len(interjection.split())
    for texts in ([f"So, we went {interjection} home, then."], ["So, we went", interjection, "home, then."]):
        spoken = who(sentences(*texts), [(0, "A"), (3, "B"), (3 + count, "A")])
        assert spoken == ["A: So, we went", f"B: {interjection}", "A: home, then."]


def test_a_short_sentence_in_between_is_complete() -> None:
    """Of a few words that begin or end a sentence of their own, the rest of it is theirs as well; one word proves
    nothing."""
    spoken = sentences("You were there?", "Neither did I know.", "Okay, then I left.")
    first = ["A: You were there?", "B: Neither did I know.", "A: Okay, then I left."]
    assert who(spoken, [(0, "A"), (3, "B"), (6, "A")]) == first
    assert who(spoken, [(0, "A"), (4, "B"), (7, "A")]) == first
    one = sentences("You were there?", "Yes I know.", "Okay, then I left.")
    assert who(one, [(0, "A"), (3, "B"), (4, "A")]) == ["A: You were there?", "B: Yes", "A: I know. Okay, then I left."]


def test_a_change_after_a_full_stop_stays() -> None:
    """Also where it looks like an abbreviation's, inside a segment; no change moves to such a place."""
    spoken = sentences("You were there?", "Neither did I. Okay.", "Then I left.")
    stays = ["A: You were there?", "B: Neither did I.", "A: Okay. Then I left."]
    assert who(spoken, [(0, "A"), (3, "B"), (6, "A")]) == stays
    doctor = sentences("we all know that Dr. Smith went away from here")
    assert who(doctor, [(0, "A"), (6, "B")]) == ["A: we all know that Dr. Smith", "B: went away from here"]


def test_an_interjection_between_two_pauses_stays_with_its_speaker() -> None:
    """Also where the speakers before and after it are two."""
    spoken = sentences("so, we went yeah home, then", pauses=(3, 4))
    spoken = [replace(s, words=tuple(replace(w, end=w.end - 0.1) for w in s.words)) for s in spoken]
    assert who(spoken, [(0, "A"), (3, "B"), (4, "C")]) == ["A: so, we went", "B: yeah", "C: home, then"]


def test_a_stretch_between_two_changes_keeps_a_word() -> None:
    """Both changes may move towards each other, and not past."""
    spoken = who(sentences("well we four, go now.", "Then home."), [(0, "A"), (1, "B"), (4, "C")])
    assert [line[0] for line in spoken] == ["A", "B", "C"]
    assert " ".join(line[3:] for line in spoken) == "well we four, go now. Then home."


def test_speakers_change_inside_a_segment_of_the_result() -> None:
    """merge cuts where words change hands: the moved change is the one that readers see."""
    spoken = sentences("I live here.", "And I'm Sheila.")
    turns = (SpeakerTurn(0.0, 1.25, "A"), SpeakerTurn(1.25, 1.5, "B"))
    transcript = merge([Transcription("en", 1.0, 2.0, "base", tuple(spoken))], Diarization(turns, turns))
    assert [(s.speaker, s.text) for s in transcript.segments] == [
        ("spk_1", "I live here."),
        ("spk_2", "And I'm Sheila."),
    ]


# ---- properties

texts = st.sampled_from([" yes", " no,", " well.", " 我", "，", " نعم،", " हाँ।", " ", "", "-known", " Dr."])  # noqa: RUF001


@st.composite
def talks(draw: st.DrawFn) -> list[Segment]:
    """Segments in order of time; words may have no length, and some segments no words."""
    time, segments = 0.0, []
    for number in range(draw(st.integers(0, 5))):
        words = []
        for _ in range(draw(st.integers(0, 7))):
            start = time + draw(st.sampled_from([0.0, 0.0, 0.1, 0.4, 2.0]))
            time = start + draw(st.sampled_from([0.0, 0.2, 0.5, 1.0]))
            words.append(Word(start, time, draw(texts), 0.5))
        start = words[0].start if words else time
        text = "".join(word.text for word in words).strip() or "no word times"
        segments.append(Segment(number, start, time, text, 0.5, None, tuple(words)))
    return segments


@st.composite
def exclusive_turns(draw: st.DrawFn) -> list[SpeakerTurn]:
    edges = sorted(draw(st.sets(st.integers(0, 300), max_size=30)))
    starts = pairwise(edges) if draw(st.booleans()) else zip(edges[::2], edges[1::2], strict=False)
    return [SpeakerTurn(a / 10, b / 10, draw(st.sampled_from(["A", "B", "C"]))) for a, b in starts]


def spoken_words(segments: list[Segment]) -> list[Word]:
    return [word for segment in segments for word in segment.words]


def unnamed(segments: list[Segment]) -> list[Segment]:
    return [replace(s, speaker=None, words=tuple(replace(w, speaker=None) for w in s.words)) for s in segments]


def most(word: Word, turns: list[SpeakerTurn]) -> set[str]:
    """Who talks most during the word, by a count of every turn; empty when nobody does."""
    talked: dict[str, float] = {}
    for turn in turns:
        seconds = min(word.end, turn.end) - max(word.start, turn.start)
        talked[turn.speaker] = talked.get(turn.speaker, 0.0) + max(0.0, seconds)
    top = max(talked.values(), default=0.0)
    return {speaker for speaker, seconds in talked.items() if top and seconds > top - 1e-9}


@given(talks(), exclusive_turns())
def test_no_word_is_lost_reordered_or_reworded(segments: list[Segment], turns: list[SpeakerTurn]) -> None:
    """Only speakers are added."""
    assert unnamed(attribute(segments, turns)) == segments


@given(talks(), exclusive_turns())
def test_a_word_is_its_loudest_speakers_unless_a_change_was_moved(
    segments: list[Segment], turns: list[SpeakerTurn]
) -> None:
    """Those that are not are at most `REACH_WORDS` in a row, next to whom they went to, and last `REACH_S` at most."""
    words = spoken_words(attribute(segments, turns))
    moved = [bool(most(word, turns)) and word.speaker not in most(word, turns) for word in words]
    for is_moved, run in groupby(range(len(words)), key=lambda n: (moved[n], words[n].speaker)):
        numbers = list(run)
        if is_moved[0]:
            first, last = numbers[0], numbers[-1]
            assert len(numbers) <= REACH_WORDS
            assert words[last].end - words[first].start <= REACH_S + 1e-9
            beside = {words[n].speaker for n in (first - 1, last + 1) if 0 <= n < len(words)}
            assert words[first].speaker in beside


@given(talks(), exclusive_turns())
def test_everybody_who_was_heard_in_words_has_words(segments: list[Segment], turns: list[SpeakerTurn]) -> None:
    """No move takes all of a speaker's words away."""
    words = spoken_words(attribute(segments, turns))
    speakers = {next(iter(loudest)) for word in words if len(loudest := most(word, turns)) == 1}
    assert speakers <= {word.speaker for word in words}


@given(talks(), exclusive_turns())
def test_segments_of_the_result_have_one_speaker_each(segments: list[Segment], turns: list[SpeakerTurn]) -> None:
    """Whatever was moved, the words of a segment are its speaker's."""
    diarization = Diarization(tuple(turns), tuple(turns))
    merged = merge([Transcription("en", 1.0, 60.0, "base", tuple(segments))], diarization)
    assert [word.text for s in merged.segments for word in s.words] == [word.text for word in spoken_words(segments)]
    for segment in merged.segments:
        assert all(word.speaker == segment.speaker for word in segment.words)
    assert all(a.start <= b.start for a, b in pairwise(merged.segments))
