"""How text is compared when the history is searched: one spelling for what was said, typed and asked for.

`fold` leaves words and spaces: compatible forms, capitals, accents, signs and invisible characters do not tell texts
apart. Scripts that do not separate words by spaces, and Korean, which glues particles to them, are found by any
stretch of characters: they are indexed by single characters and pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from unicodedata import category, digit, normalize

KEY_CHARS = 100
"""Of a word, in the index. PostgreSQL takes 2046 bytes; a longer word is a link or noise, compared in full later."""

_CHARACTER_SCRIPTS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aaf\uaa80-\uaadf"  # the scripts of Tai peoples
    "\u1b00-\u1b7f\ua980-\ua9df"  # Balinese, Javanese
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Korean
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u302f\u3031-\u3035\u3038-\u303c"  # Chinese signs and radicals
    "\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff\U0001aff0-\U0001b16f"  # Japanese, Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese
    "\ua000-\ua4cf"  # Yi
)
_BY_CHARACTER = re.compile(f"[{_CHARACTER_SCRIPTS}]")
_STRETCH = re.compile(f"[{_CHARACTER_SCRIPTS}]+|[^{_CHARACTER_SCRIPTS}]+")

_POINTS = (
    *((0x300, 0x36F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F)),  # accents
    (0x591, 0x5C7),  # Hebrew
    *((0x610, 0x61A), (0x64B, 0x65F), (0x670, 0x670), (0x6D6, 0x6ED)),  # Arabic
    *((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF)),  # variants of a sign
)
"""Marks that many leave out when they write."""

_LETTERS = {
    **{"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"},
    **{"ك": "ک", "ي": "ی", "ى": "ی"},  # Arabic's keys and Persian's
    "\u0640": None,  # Arabic's filling stroke
}
_APOSTROPHES = "\u02b9\u02ba\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u02ee\ua78b\ua78c"
"""Unicode's letters that look like apostrophes and are used as such."""

_ASCII = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}


class _Folding(dict[int, str | None]):
    """Character of a decomposed text -> what it is compared as; filled as characters come."""

    CACHED = 0x20000

    def __missing__(self, code: int) -> str | None:
        folded = self._folded(chr(code))
        if code < self.CACHED:
            self[code] = folded
        return folded

    @staticmethod
    def _folded(letter: str) -> str | None:
        kind = category(letter)
        if kind == "Nd":
            return str(digit(letter))
        if kind == "Cf" or (kind == "Mn" and any(first <= ord(letter) <= last for first, last in _POINTS)):
            return None
        return letter if letter.isalnum() or kind.startswith("M") else " "


_FOLDING = _Folding(str.maketrans({**_LETTERS, **dict.fromkeys(_APOSTROPHES, " ")}))


def fold(text: str) -> str:
    """`text` as it is compared. What is no part of a word is a space, each character one, so that places stay apart.

    The folded pieces of a text that was cut between characters (`pieces`), joined, are the folded text.
    """
    if text.isascii():
        return text.translate(_ASCII)
    decomposed = normalize("NFKD", normalize("NFKC", text).casefold())
    return normalize("NFC", decomposed.translate(_FOLDING))


def tokens(folded: str) -> Iterator[str]:
    """The words of a folded text, and its stretches of a script that is compared by characters."""
    for word in folded.split(" "):
        if word.isascii() or not _BY_CHARACTER.search(word):
            if word:
                yield word
        else:
            yield from _STRETCH.findall(word)


def is_by_character(token: str) -> bool:
    """Whether a token is found by any stretch of its characters, not only whole."""
    return bool(_BY_CHARACTER.match(token))


def keys(token: str) -> Sequence[str]:
    """What the index must hold where `token` is looked for."""
    if not is_by_character(token):
        return (token[:KEY_CHARS],)
    return [first + second for first, second in pairwise(token)] or (token,)


def all_keys(terms: Iterable[str]) -> set[str]:
    """What the index holds for a text with these tokens: every stretch of at least one character can be looked for."""
    result: set[str] = set()
    for token in set(terms):
        result.update(keys(token))
        if len(token) > 1 and is_by_character(token):
            result.update(token)
    return result


# ---- places in the text as it was


def pieces(text: str, size: int) -> Iterator[str]:
    """`text` in pieces of at least `size` characters, never cut within one as a reader sees it."""
    start = 0
    while start < len(text):
        end = start + size
        while end < len(text) and _is_joined(text[end]):
            end += 1
        yield text[start:end]
        start = end


def _is_joined(letter: str) -> bool:
    """Whether it belongs to the character before it: marks, Korean vowels and finals, half-width voicing; and what
    folds to nothing, behind which further marks may come."""
    if letter <= "\x7f":
        return False
    is_mark = category(letter).startswith("M") or "\u1160" <= letter <= "\u11ff" or letter in "ﾞﾟ"
    return is_mark or not fold(letter)


def origins(text: str) -> list[int]:
    """For every character of `fold(text)`, and for its end, the index in `text` that it comes from."""
    if text.isascii():
        return list(range(len(text) + 1))
    clusters = list(pieces(text, 1))
    starts = [0, *accumulate(map(len, clusters))]
    result = [start for start, cluster in zip(starts, clusters, strict=False) for _ in fold(cluster)]
    return [*result, len(text)]
