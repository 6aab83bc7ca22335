"""Segments joined into paragraphs: examples a reader can check by hand, then properties of any transcript."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from api.transcripts.formats import as_dict, render
from api.transcripts.paragraphs import ENOUGH_S, LONG_PAUSE_S, TOO_MUCH_S, paragraphs
from shared.transcript import Segment, Transcript
from tests.unit.transcripts.spoken import letters, transcript_of, transcripts, utterance


def texts(*segments: Segment) -> list[str]:
    return [paragraph.text for paragraph in paragraphs(segments)]


def talk(text: str, count: int, each_s: float = 5.0) -> list[Segment]:
    """`text` said `count` times without a pause."""
    return [utterance(text, n * each_s, (n + 1) * each_s) for n in range(count)]


def test_sentences_said_in_one_go_are_one_paragraph() -> None:
    """A paragraph has the times of its first and last segment."""
    (whole,) = paragraphs([utterance("One.", 1.0, 2.0, "spk_1"), utterance("Two.", 2.5, 3.0, "spk_1")])
    assert (whole.start, whole.end, whole.speaker, whole.text) == (1.0, 3.0, "spk_1", "One. Two.")


def test_a_long_pause_ends_a_paragraph() -> None:
    """After a sentence two seconds are enough; in the middle of one it takes twice as long."""
    pause = LONG_PAUSE_S
    assert texts(utterance("One.", 0, 1), utterance("Two.", 1 + pause, 4)) == ["One.", "Two."]
    assert texts(utterance("One", 0, 1), utterance("two.", 1 + pause, 4)) == ["One two."]
    assert texts(utterance("One", 0, 1), utterance("two.", 1 + 2 * pause, 9)) == ["One", "two."]


def test_a_change_of_speaker_ends_a_paragraph() -> None:
    """Also from a speaker to nobody known, and in the middle of a sentence."""
    segments = [utterance("One", 0, 1, "spk_1"), utterance("two", 1, 2), utterance("three.", 2, 3, "spk_1")]
    assert [(p.speaker, p.text) for p in paragraphs(segments)] == [
        ("spk_1", "One"),
        (None, "two"),
        ("spk_1", "three."),
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "It is so.",
        "真的吗？",
        "是。",
        "क्या हाल है।",
        "هل هذا صحيح؟",
        "ነው።",
        "ہے۔",
        "Սա է։",
        "აქ.",
        "သည်။",
        "Oui ! »",
        "Really?”",
    ],
)
def test_a_monologue_is_cut_at_sentences(sentence: str) -> None:
    """Without any pause, every half minute the next sentence begins a paragraph, in any script."""
    parts = list(paragraphs(talk(sentence, 15)))
    assert [paragraph.end - paragraph.start for paragraph in parts] == [ENOUGH_S, ENOUGH_S, 15.0]


@pytest.mark.parametrize("words", ["and so on", "และอื่นๆ"])
def test_text_without_sentences_is_cut_all_the_same(words: str) -> None:
    """Where nothing marks the end of a sentence a paragraph is a minute and a half."""
    parts = list(paragraphs(talk(words, 30)))
    assert [paragraph.end - paragraph.start for paragraph in parts] == [TOO_MUCH_S, 60.0]


def test_sentences_are_joined_as_their_script_does() -> None:
    """With a space, but in Chinese and Japanese without."""
    assert texts(utterance("你好。", 0, 1), utterance("再见。", 1, 2)) == ["你好。再见。"]
    assert texts(utterance("ですか？", 0, 1), utterance("Yes.", 1, 2), utterance("はい。", 2, 3)) == [
        "ですか？Yes. はい。"
    ]
    assert texts(utterance("สวัสดี", 0, 1), utterance("ลาก่อน", 1, 2)) == ["สวัสดี ลาก่อน"]
    assert texts(utterance("안녕.", 0, 1), utterance("네.", 1, 2)) == ["안녕. 네."]


def test_text_follows_a_correction() -> None:
    """Paragraphs come from the segments as they are now: a word put right may end a sentence."""
    spoken = transcript_of(utterance("One", 0, 1), utterance("Two.", 1 + LONG_PAUSE_S, 4))
    first, second = spoken.segments
    assert render(spoken, "text") == "One Two.\n"
    corrected = replace(spoken, segments=(replace(first, text="One!"), second))
    assert render(corrected, "text") == "One!\n\nTwo.\n"


def test_the_same_paragraphs_are_in_json() -> None:
    """With their times and speakers."""
    spoken = transcript_of(utterance("One.", 0, 1.00049, "spk_1"), utterance("Two.", 2, 3, "spk_2"))
    assert as_dict(spoken, words=False)["paragraphs"] == [
        {"start": 0, "end": 1.0, "speaker": "spk_1", "text": "One."},
        {"start": 2, "end": 3, "speaker": "spk_2", "text": "Two."},
    ]


@given(transcripts())
def test_no_word_is_lost_or_moved(spoken: Transcript) -> None:
    """All text is there in its order, no paragraph is empty, and each has one line and one speaker."""
    parts = list(paragraphs(spoken.segments))
    assert letters("".join(p.text for p in parts)) == letters("".join(s.text for s in spoken.segments))
    assert all(p.text and "\n" not in p.text and p.start <= p.end for p in parts)
    speakers = [segment.speaker for segment in spoken.segments if letters(segment.text)]
    assert {p.speaker for p in parts} == set(speakers)
    assert [p.start for p in parts] == sorted(p.start for p in parts)
