"""Text in pieces that stay on one line: where a line may end, with and without spaces, and how wide it is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from shared.transcript import Segment, Word

_NEVER_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff01-\uff65\U00020000-\U0003ffff]"
)  # Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han and their punctuation
_STARTS_NO_LINE = {"Pe", "Pf", "Po", "Pd", "Mn", "Mc", "Me", "Lm", "Cf"}
_ENDS_NO_LINE = {"Ps", "Pi"}
_LEADING_VOWELS = frozenset("เแโใไເແໂໃໄ")  # written before the consonant they belong to


@dataclass(frozen=True, slots=True)
class Unit:
    """Text that stays on one line. Times in seconds; `space`: white space stood before it; `width` in columns."""

    start: float
    end: float
    text: str
    space: bool
    width: int


def clean(text: str) -> str:
    """`text` on one line: control characters and runs of white space become one space, none at the ends."""
    return " ".join(_NEVER_SHOWN.sub(" ", text).split())


def units_of(segment: Segment, room: int) -> list[Unit]:
    """The words of `segment`, each at most `room` columns wide; a break is allowed between any two units.

    Parts of a word share its time by their length, and so do the words of a segment that has only text.
    """
    units: list[Unit] = []
    space = True
    for word in segment.words or (Word(segment.start, segment.end, segment.text, segment.confidence),):
        text = _NEVER_SHOWN.sub(" ", word.text)
        space = space or text[:1].isspace()
        for part in _parts(replace(word, text=text.strip()), space):
            last = units[-1] if units else None
            if last and not part.space and not may_break(last.text[-1], part.text[0]):
                units[-1] = _unit(last.start, part.end, last.text + part.text, last.space)
            else:
                units.append(part)
            space = False
        space = space or text[-1:].isspace()
    return [piece for unit in units for piece in ([unit] if unit.width <= room else _broken(unit, room))]


def _unit(start: float, end: float, text: str, space: bool) -> Unit:
    return Unit(start, end, text, space, width(text))


def _parts(word: Word, space: bool) -> Iterator[Unit]:
    """`word` cut at white space and between the characters of scripts without spaces."""
    per_character = (word.end - word.start) / max(1, len(word.text))
    for run in re.finditer(r"\S+", word.text):
        text, offset = run.group(), run.start()
        inner = [] if text.isascii() else [i for i in range(1, len(text)) if may_break(text[i - 1], text[i])]
        for first, last in zip([0, *inner], [*inner, len(text)], strict=True):
            start = word.start + per_character * (offset + first)
            end = word.end if offset + last == len(word.text) else word.start + per_character * (offset + last)
            yield _unit(start, end, text[first:last], space if offset + first == 0 else first == 0)


def may_break(before: str, after: str) -> bool:
    """Whether a line may end between these two characters, with no space between them."""
    if not (UNSPACED.match(before) or UNSPACED.match(after)):
        return False
    if unicodedata.category(after) in _STARTS_NO_LINE:
        return False
    return unicodedata.category(before) not in _ENDS_NO_LINE and before not in _LEADING_VOWELS


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
