"""Text in pieces that stay on one line: where a line may end, with and without spaces, and how wide it is.

Chinese and Japanese follow JIS X 4051 (kinsoku): closing marks, small kana, and signs that belong to what is before
them begin no line; opening marks and signs of money end none; numbers stay whole. No-break spaces are kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from shared.transcript import Segment, Word

_NEVER_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
NO_BREAK_SPACES = "\u00a0\u2007\u202f"
_SPACES = re.compile(r"\s+")
_BREAKABLE = re.compile(f"[^\\S{NO_BREAK_SPACES}]")
UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff01-\uff9f\U00020000-\U0003ffff]"
)  # Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han and their punctuation
_FULL_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")  # digits and Latin letters, written as words are
_SYLLABLE = re.compile("[\u0f40-\u0fbc]")  # Tibetan, between two of its dots
_STARTS_NO_LINE = {"Pe", "Pf", "Po", "Pd", "Mn", "Mc", "Me", "Lm", "Cf", "Zs"}
_ENDS_NO_LINE = {"Ps", "Pi", "Sc", "Zs"}
_NEVER_FIRST = frozenset(
    "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶㇰㇱㇲㇳㇴㇵㇶㇷㇸㇹㇺㇻㇼㇽㇾㇿｧｨｩｪｫｬｭｮｯ"  # small kana
    "゛゜～〜℃°‰¢"  # signs behind a letter or a number
    "ะาำๅະາຳຽ"  # vowels behind their consonant
)
_NEVER_LAST = frozenset("เแโใไເແໂໃໄ№＃\u1039\u17d2\u2060")
"""Vowels before their consonant, signs before a number, what joins two letters, and the word joiner."""

_FINAL_CONSONANT = re.compile("[\u1000-\u1021]\u1037?\u103a")
"""The end of a Burmese syllable; its sign comes behind the letter."""

_STAY_TOGETHER = re.compile(
    r"\S* (?:[?!;:»›)\]}‼⁇⁈⁉][^\w\s]*)|\S*\d [%‰€£$¥]\W*|\S*(?<!\d)\d{1,3} \d{3}\W*|[«‹([{] \S+"
)
"""Two words with a space between that stay together, as French writes marks, amounts, groups of digits and quotes."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Text that stays on one line. Times in seconds; `space`: white space stood before it; `width` in columns."""

    start: float
    end: float
    text: str
    space: bool
    width: int


def clean(text: str) -> str:
    """`text` on one line: control characters and runs of white space become one space, none at the ends. It is a
    no-break one where all of the run was."""
    return _SPACES.sub(_one_space, _NEVER_SHOWN.sub(" ", text)).strip()


def _one_space(run: re.Match[str]) -> str:
    return " " if _BREAKABLE.search(run[0]) else run[0][0]


def units_of(segment: Segment, room: int) -> list[Unit]:
    """The words of `segment`, each at most `room` columns wide; a break is allowed between any two units.

    Parts of a word share its time by their length, and so do the words of a segment that has only text.
    """
    units: list[Unit] = []
    gap = " "  # the white space before the next part
    for word in segment.words or (Word(segment.start, segment.end, segment.text, segment.confidence),):
        text = _SPACES.sub(_one_space, _NEVER_SHOWN.sub(" ", word.text))
        gap = _wider(gap, text[: len(text) - len(text.lstrip())])
        for inner_gap, part in _parts(replace(word, text=text.strip())):
            gap = inner_gap or gap
            last = units[-1] if units else None
            if last and _is_whole(last.text, gap, part.text, room):
                units[-1] = _unit(last.start, part.end, last.text + gap + part.text, last.space)
            else:
                units.append(_unit(part.start, part.end, part.text, gap != ""))
            if len(units) > 1 and not units[-1].space and _FINAL_CONSONANT.match(units[-1].text):
                final = units.pop()
                units[-1] = _unit(units[-1].start, final.end, units[-1].text + final.text, units[-1].space)
            gap = ""
        gap = _wider(gap, text[len(text.rstrip()) :])
    return [piece for unit in units for piece in ([unit] if unit.width <= room else _broken(unit, room))]


def _wider(gap: str, other: str) -> str:
    """Two runs of white space that follow each other, as one."""
    return _SPACES.sub(_one_space, gap + other)


def _is_whole(before: str, gap: str, after: str, room: int) -> bool:
    """Whether no line ends between these two, which `gap` parts. What is wider than a line is cut at its spaces."""
    if not gap:
        return not may_break(before[-1], after[0])
    is_whole = gap in NO_BREAK_SPACES or _STAY_TOGETHER.fullmatch(f"{before.split()[-1]} {after}")
    return bool(is_whole) and width(before) + 1 + width(after) <= room


def _unit(start: float, end: float, text: str, space: bool) -> Unit:
    return Unit(start, end, text, space, width(text))


def _parts(word: Word) -> Iterator[tuple[str, Unit]]:
    """`word` cut at white space, which is before each part, and between the characters of scripts without spaces."""
    per_character = (word.end - word.start) / max(1, len(word.text))
    for run in re.finditer(r"\S+", word.text):
        text, offset = run.group(), run.start()
        inner = [] if text.isascii() else [i for i in range(1, len(text)) if may_break(text[i - 1], text[i])]
        for first, last in zip([0, *inner], [*inner, len(text)], strict=True):
            start = word.start + per_character * (offset + first)
            end = word.end if offset + last == len(word.text) else word.start + per_character * (offset + last)
            gap = word.text[offset - 1] if offset and not first else ""
            yield gap, _unit(start, end, text[first:last], gap != "")


def may_break(before: str, after: str) -> bool:
    """Whether a line may end between these two characters, with no space between them."""
    if not (_is_unspaced(before) or _is_unspaced(after)):
        return False
    if after in _NEVER_FIRST or unicodedata.category(after) in _STARTS_NO_LINE:
        return False
    if before in _NEVER_LAST or unicodedata.category(before) in _ENDS_NO_LINE:
        return False
    if before in "，．：／" and _FULL_WIDTH.match(after):  # inside a number
        return False
    return not (_SYLLABLE.match(before) and _SYLLABLE.match(after))


def _is_unspaced(letter: str) -> bool:
    return bool(UNSPACED.match(letter)) and not _FULL_WIDTH.match(letter)


def _broken(unit: Unit, room: int) -> Iterator[Unit]:
    """`unit` in pieces of at most `room` columns, a mark left with its letter where that is possible."""
    text, first, space = unit.text, 0, unit.space
    per_character = (unit.end - unit.start) / len(text)
    while first < len(text):
        last, columns = first, 0
        while last < len(text) and (columns := columns + width(text[last])) <= room:
            last += 1
        last = max(last, first + 1)
        whole = last
        while first < whole < len(text) and unicodedata.category(text[whole])[0] == "M":
            whole -= 1
        last = whole if whole > first else last
        end = unit.end if last == len(text) else unit.start + per_character * last
        yield _unit(unit.start + per_character * first, end, text[first:last], space)
        first, space = last, False


def width(text: str) -> int:
    return len(text) + (0 if text.isascii() else sum(unicodedata.east_asian_width(c) in "WF" for c in text))
