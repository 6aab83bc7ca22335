"""Chinese text in the script that was asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.options import JobOptions
from shared.stages import plan
from shared.transcript import Segment, Speaker, Transcript, Word
from tasks.stages.script import FROM_SIMPLIFIED, in_script, rewrite

SIMPLIFIED = "皇后在公里之外。她的头发和以后的发展。"
TAIWAN = "皇后在公里之外。她的頭髮和以後的發展。"


def segment(text: str, *words: str, start: float = 0.0) -> Segment:
    """A segment whose words are single characters, as Whisper's are, unless they are given."""
    spoken = tuple(
        Word(start + place, start + place + 0.9, word, 0.5 + place / 100, "spk_1")
        for place, word in enumerate(words or text)
    )
    return Segment(0, start, start + len(spoken), text, 0.8, "spk_1", spoken)


def transcript(*segments: Segment, language: str = "zh") -> Transcript:
    return Transcript(language, 0.9, 60.0, "base", segments, (Speaker("spk_1", 3.0),))


def text_in(text: str, script: str) -> str:
    (result,) = in_script([segment(text)], script)
    assert "".join(word.text for word in result.words) == result.text
    return result.text


@pytest.mark.parametrize(
    ("script", "text", "result"),
    [
        ("Hant", SIMPLIFIED, TAIWAN),
        ("Hans", TAIWAN, SIMPLIFIED),
        ("Hans", SIMPLIFIED, SIMPLIFIED),
        ("Hant", TAIWAN, TAIWAN),
        ("Hant", "为了里面说着的话", "為了裡面說著的話"),
        ("Hant-HK", "为了里面说着的话", "為了裏面説着的話"),
        ("Hant", "爲了裏面說着的話", "為了裡面說著的話"),
        ("Hant", "范先生說", "范先生說"),  # traditional already, so 范 is the surname
        ("Hant", "這个國家", "這個國家"),  # both within a sentence
        ("Hant", "软件", "軟件"),  # the word stays, though Taiwan says 軟體
        ("Hans", "我哋喺香港講廣東話", "我哋喺香港讲广东话"),
        ("Hant", "OK 国家 123", "OK 國家 123"),
        ("Hant", "\U00020000国", "\U00020000國"),
        ("Hant", "国\0国", "國\0國"),
        ("Hant", "国という字", "国という字"),  # Japanese
        ("Hans", "漢字와 한글", "漢字와 한글"),
        ("Hant", "Only English.", "Only English."),
    ],
)
def test_characters_change_and_nothing_else(script: str, text: str, result: str) -> None:
    """By the words around them, in both directions; other languages stay as they are."""
    assert text_in(text, script) == result


@pytest.mark.parametrize("words", [(" 头", "发", "和", "发", "展"), (" 头发", "和发", "展"), (" 头发和发展",)])
def test_words_keep_their_number_times_and_confidence(words: tuple[str, ...]) -> None:
    """However they were cut, each is converted in the light of its neighbours: 发 is 髮 behind 頭, and 發 before 展."""
    before = segment("头发和发展", *words)
    (after,) = in_script([before], "Hant")
    assert [word.text for word in after.words] == _cut(" 頭髮和發展", words)
    assert [replace(word, text="") for word in after.words] == [replace(word, text="") for word in before.words]
    assert replace(after, text="", words=()) == replace(before, text="", words=())


def _cut(text: str, words: tuple[str, ...]) -> list[str]:
    pieces = []
    for word in words:
        pieces.append(text[: len(word)])
        text = text[len(word) :]
    return pieces


@given(st.text(), st.sampled_from(sorted(FROM_SIMPLIFIED)))
def test_any_text_keeps_its_length(text: str, script: str) -> None:
    """So that no word is lost or made, whatever a model writes."""
    (result,) = in_script([segment(text)], script)
    assert [len(word.text) for word in result.words] == [1] * len(text)
    assert len(result.text) == len(text)


@pytest.mark.parametrize("script", sorted(FROM_SIMPLIFIED))
def test_a_second_time_changes_nothing(script: str) -> None:
    """What is in the script stays in it."""
    once = in_script([segment(SIMPLIFIED), segment(TAIWAN), segment("里面说着话")], script)
    assert in_script(once, script) == once


def test_a_segment_without_words_is_converted_too() -> None:
    """Some models give none."""
    (result,) = in_script([replace(segment("头发"), words=())], "Hant")
    assert (result.text, result.words) == ("頭髮", ())


def test_a_transcript_says_its_script() -> None:
    """If something in it is Chinese; all else in it stays."""
    before = transcript(segment(SIMPLIFIED), segment("Hello."))
    after = rewrite(before, "Hant")
    assert (after.script, after.text) == ("Hant", f"{TAIWAN} Hello.")
    assert replace(after, script=None, segments=before.segments) == before
    assert rewrite(transcript(segment("Hello."), language="en"), "Hant").script is None
    assert rewrite(transcript(segment("國家"), language="en"), "Hans").text == "国家"


@pytest.mark.parametrize("language", ["ja", "ko"])
def test_other_languages_keep_their_characters(language: str) -> None:
    """Also in a segment without a letter of their own."""
    before = transcript(segment("国家"), language=language)
    assert rewrite(before, "Hant") == before


def test_a_recording_is_recognised_once_for_all_scripts() -> None:
    """Only merge and store have another answer; without a script it is called as before there were any."""
    plain, taiwan, china = (
        plan("ab" * 32, JobOptions.model_validate({"language": "zh", "script": script}).model_dump())
        for script in (None, "Hant", "Hans")
    )
    for stage in ("convert", "transcribe"):
        assert plain[stage] == taiwan[stage] == china[stage]
    for stage in ("merge", "store"):
        assert len({plain[stage], taiwan[stage], china[stage]}) == 3
    before = JobOptions(language="zh").model_dump()
    del before["script"]
    assert plan("ab" * 32, before) == plain
