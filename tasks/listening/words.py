"""Words of a text that is still being found, and how two texts are compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import takewhile

HYPHEN = re.compile("[-\u2010\u2011\u2013\u2014]")

Token = tuple[str, tuple[int, ...]]
"""A piece of text as the tokenizer splits words, and its tokens."""


@dataclass(frozen=True, slots=True)
class DraftWord:
    """A word with the model's own leading space, and what stands behind it: a comma, a full stop.

    The mark is open until the next word is known: what a pass hears as the end may be the middle.
    """

    text: str
    tokens: tuple[int, ...]
    mark: Token = ("", ())

    @property
    def key(self) -> str:
        return key(self.text)


def key(text: str) -> str:
    """Letters and digits without case: what two passes have to agree on."""
    return "".join(c for c in text.casefold() if c.isalnum())


def to_words(tokens: Iterable[Token]) -> tuple[Token, list[DraftWord]]:
    """The mark that stands before the first word, and the words."""
    first: Token = ("", ())
    words: list[DraftWord] = []
    for text, ids in tokens:
        if key(text):
            words.append(DraftWord(text, ids))
        elif words:
            words[-1] = replace(words[-1], mark=_joined(words[-1].mark, (text, ids)))
        else:
            first = _joined(first, (text, ids))
    return first, words


def tokens(words: Sequence[DraftWord]) -> list[int]:
    """All tokens of the words but those of the last mark, which is open."""
    closed = [token for word in words[:-1] for token in (*word.tokens, *word.mark[1])]
    return closed + [token for word in words[-1:] for token in word.tokens]


def as_text(words: Sequence[DraftWord], *, open_end: bool = False) -> str:
    """The words as text; with `open_end`, without the mark behind the last."""
    text = "".join(word.text + word.mark[0] for word in words)
    return text.removesuffix(words[-1].mark[0]) if open_end and words else text


def agreed(one: Sequence[DraftWord], other: Sequence[DraftWord]) -> int:
    """How many words both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0].key == pair[1].key, zip(one, other, strict=False)))


def changed(before: Iterable[str], after: Iterable[str]) -> tuple[str, ...]:
    """The words of `before` that `after` has not, or says otherwise; case, punctuation and hyphens aside."""
    old = [(key(part), part) for word in before for part in HYPHEN.split(word.strip()) if key(part)]
    new = [key(part) for word in after for part in HYPHEN.split(word) if key(part)]
    matcher = SequenceMatcher(None, [plain for plain, _ in old], new, autojunk=False)
    matches = {place for block in matcher.get_matching_blocks() for place in range(block.a, block.a + block.size)}
    return tuple(part for place, (_, part) in enumerate(old) if place not in matches)


def _joined(one: Token, other: Token) -> Token:
    return one[0] + other[0], (*one[1], *other[1])
