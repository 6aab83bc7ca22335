"""Lines end where the typography of each script lets them, and cues where a sentence or a clause does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.transcripts.formats import render
from api.transcripts.line_breaks import clean, may_break, units_of
from api.transcripts.options import FormatOptions
from shared.transcript import Segment, Word
from tests.unit.transcripts.spoken import transcript_of, utterance


def cues(spoken: Segment, width: int = 42) -> list[list[str]]:
    """The lines of each cue of a sentence."""
    rendered = render(transcript_of(spoken), "srt", FormatOptions(subtitles={"max_line_length": width}))
    return [block.split("\n")[2:] for block in rendered.rstrip("\n").split("\n\n")]


def lines(text: str, width: int) -> list[str]:
    return [line for cue in cues(utterance(text, 0, 9), width) for line in cue]


def letter_by_letter(text: str) -> Segment:
    """As Whisper gives scripts without spaces."""
    return Segment(0, 0, 9, text, 0.9, None, tuple(Word(n / 5, n / 5 + 0.2, each, 0.9) for n, each in enumerate(text)))


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("On Monday afternoon we went to see Dr. Smith about the results of the test that she had taken", "Dr."),
        ("Most of the old houses in the U.S. are very expensive this year and nobody can buy one here", "U.S."),
        ("Das Treffen findet am 3. März im Rathaus statt und alle Bürger der Stadt sind eingeladen", "3."),
        ("The train leaves at 9 a.m. from the main station and arrives in the city a little after noon", "a.m."),
        ("Then they told us to look for platform No. 5 at the other end of the station behind the hall", "No."),
        ("It was said by the famous author J. Smith in a book that nobody reads any more in our time", "J."),
    ],
)
@pytest.mark.parametrize("width", [20, 30, 36, 42])
def test_no_cue_ends_behind_an_abbreviation(text: str, short: str, width: int) -> None:
    """Wherever the lines of the cue end."""
    blocks = cues(utterance(text, 0, 9), width)
    assert len(blocks) > 1
    assert not any(cue[-1].endswith(f" {short}") for cue in blocks)


@pytest.mark.parametrize(
    ("sentences", "mark"),
    [
        (["یہ پہلا جملہ ہے جو یہاں ختم ہوتا ہے۔", "یہ دوسرا جملہ ہے جو کافی لمبا ہے۔"], "۔"),
        (["Սա առաջին նախադասությունն է։", "Սա երկրորդ նախադասությունն է, որը երկար է։"], "։"),
        (["ይህ የመጀመሪያው ዓረፍተ ነገር ነው።", "ይህ ሁለተኛው ዓረፍተ ነገር ሲሆን በጣም ረጅም ነው።"], "።"),
        (["यह पहला वाक्य है जो यहाँ समाप्त होता है।", "यह दूसरा वाक्य है जो काफी लंबा है।"], "।"),
        (["ეს არის პირველი წინადადება აქ.", "ეს არის მეორე, უფრო გრძელი წინადადება."], "."),
    ],
)
def test_a_cue_ends_with_its_sentence(sentences: list[str], mark: str) -> None:
    """In every script."""
    blocks = cues(utterance(" ".join(sentences * 2), 0, 12))
    assert all(cue[-1].endswith(mark) for cue in blocks)


@pytest.mark.parametrize(
    "text", ["ဒီဟာပထမဝါကျဖြစ်ပါတယ်။ဒါကဒုတိယဝါကျဖြစ်ပါတယ်။", "สวัสดีครับวันนี้อากาศดีมาก เราจะไปเที่ยวทะเลกันเถอะนะ"]
)
def test_scripts_without_spaces_are_cut_at_marks_and_at_the_spaces_they_have(text: str) -> None:
    """A space stands where a sentence or a phrase ends."""
    ends = {"".join(cue) for cue in cues(letter_by_letter(text * 2), 42)}
    assert any(re.search(r"။$|ดีมาก$", end) for end in ends)


@pytest.mark.parametrize("width", range(12, 40))
@pytest.mark.parametrize("space", [" ", "\u00a0", "\u202f"])
def test_no_line_begins_with_a_french_mark(space: str, width: int) -> None:
    """Whether the space before it is a no-break one or not, which stays as it is; nor does « end one."""
    text = (
        f"Est-ce que tu crois qu'il viendra demain{space}? Il a dit{space}: «{space}Non{space}!{space}» à la réunion."
    )
    rows = lines(text, width)
    assert not any(re.match(r"[?!;:»\s]", line) or line.endswith("«") for line in rows)
    assert " ".join(rows) == text


@pytest.mark.parametrize(
    "amount", ["10\u202f000\u202f000\u00a0€", "10 000 000 €", "10\u202f000 €", "12\u00a0%", "5 %", "§\u00a07"]
)
def test_amounts_stay_whole(amount: str) -> None:
    """With no-break spaces, which are kept, and with plain ones, whatever the width."""
    for width in range(14, 30):
        assert amount in "\n".join(lines(f"Le budget de la bibliothèque est de {amount} cette année.", width))


def test_words_on_no_break_spaces_alone_are_cut_at_them() -> None:
    """What is wider than a line is not cut inside its words."""
    rows = lines("\u00a0".join(["budget"] * 9), 20)
    assert [line.split() for line in rows] == [["budget"] * 3] * 3


def test_white_space_becomes_one_space() -> None:
    """A no-break one where all of it was."""
    assert clean(" a \t b\u00a0\u202fc\u00a0 d\u00a0") == "a b\u00a0c d"


@pytest.mark.parametrize("width", range(12, 30))
def test_japanese_lines_begin_and_end_as_printed_ones(width: int) -> None:
    """No small kana, long vowel, iteration mark or closing mark begins a line, and no opening one ends it."""
    text = "このプロジェクトの「スケジュール」については、チームでしっかりチェックして人々と（ゆっくり）決めたい！"
    rows = [line for cue in cues(letter_by_letter(text), width) for line in cue]
    assert "".join(rows) == text
    assert not any(re.match(r"[ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶー々、。」）！？・]", line) for line in rows)
    assert not any(re.search(r"[「（]$", line) for line in rows)


@pytest.mark.parametrize(
    "number", ["１２３４", "２０２６", "１，０００", "１２：３０", "ＡＢＣ", "１０％", "￥５００", "２５℃", "ｷｬｯﾁ"]
)
def test_full_width_numbers_and_words_stay_whole(number: str) -> None:
    """As far as they fit on a line: a full-width character takes two columns."""
    text = f"予算は来月の計画では{number}になると思いますがまだ話します"
    for width in range(14, 30):
        assert any(number in line for cue in cues(letter_by_letter(text), width) for line in cue)


def test_burmese_is_cut_between_syllables() -> None:
    """Whether the words are letters or all in one; a consonant without its vowel ends a syllable."""
    text = "ဖြစ်ပါတယ်အင်္ဂလိပ်"
    for spoken in (letter_by_letter(text), utterance(text, 0, 9)):
        assert [unit.text for unit in units_of(spoken, 42)] == ["ဖြစ်", "ပါ", "တယ်", "အင်္ဂ", "လိပ်"]


@pytest.mark.parametrize(
    ("pair", "allowed"),
    [
        *(("中文", True), ("はっ", False), ("スー", False), ("年１", True), ("１年", True), ("１２", False)),
        *(("กา", False), ("เก", False), ("ကက", True), ("\u1039က", False), ("བོ", False), ("་བ", True)),
        *(("A中", True), ("ab", False)),
    ],
)
def test_a_break_between_two_letters(pair: str, allowed: bool) -> None:
    """Only where one of them is of a script without spaces, and where its rules allow."""
    assert may_break(*pair) is allowed


pieces = st.lists(
    st.sampled_from(["a", " ", "\u00a0", "?", "«", "»", "中", "っ", "１", "3", "€", "เ", "\u2060"]), max_size=40
)


@given(pieces.map("".join), st.integers(12, 42))
def test_units_are_the_words(text: str, room: int) -> None:
    """Whatever is put together or cut, each letter is there once, none is too wide or begins with a space."""
    units = units_of(Segment(0, 0, 1, text, 0.9), room)
    assert "".join("".join(unit.text.split()) for unit in units) == "".join(text.split())
    assert all(unit.width <= room and unit.text.strip() == unit.text for unit in units)
