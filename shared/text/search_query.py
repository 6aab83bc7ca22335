"""The query of a search, as people write it: `word other` (both), `"a phrase"`, `one or other`, `-not`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.text.search_terms import KEY_CHARS, fold, is_by_character, keys, tokens

_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»＂〝〞〟", '"') | {"－": "-", "﹣": "-"})
_GERSHAYIM = re.compile('(?<=[\u05d0-\u05ea])"(?=[\u05d0-\u05ea])')
"""Hebrew's mark of an abbreviation is typed as a quote."""

_PIECE = re.compile(r'(?P<minus>-?)"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+)')


@dataclass(frozen=True, slots=True)
class Clause:
    """Words that follow one another; with `is_excluded`, that must not. `COVID-19` is two words, as is `o'clock`."""

    tokens: Sequence[str]
    is_excluded: bool = False

    @property
    def keys(self) -> Sequence[str]:
        """What the index must hold for every text with these words."""
        return list(dict.fromkeys(key for token in self.tokens for key in keys(token)))

    @property
    def is_in_index(self) -> bool:
        """Whether the keys alone tell that the words are there. If not, the text has to be looked at."""
        return len(self.tokens) == 1 and len(self.keys) == 1 and len(self.tokens[0]) <= KEY_CHARS

    @property
    def text(self) -> str:
        """What `spaced` of a text contains if the words are there."""
        start = "" if is_by_character(self.tokens[0]) else " "
        end = "" if is_by_character(self.tokens[-1]) else " "
        return start + " ".join(self.tokens) + end


Query = Sequence[Sequence[Clause]]
"""Alternatives, each a list of clauses that must all be true."""


def spaced(words: Sequence[str]) -> str:
    """Tokens of a text -> what is looked through for the words of a clause."""
    return f" {' '.join(words)} " if words else ""


def parse(text: str) -> Query:
    """What is looked for; nothing when `text` holds no word. Raises nothing: every text means something."""
    parts = list(_parts(_GERSHAYIM.sub("״", text.translate(_QUOTES))))
    alternatives: list[list[Clause]] = [[]]
    for number, part in enumerate(parts):
        if not isinstance(part, str):
            alternatives[-1].append(part)
        elif alternatives[-1] and number + 1 < len(parts) and not isinstance(parts[number + 1], str):
            alternatives.append([])
        else:  # with nothing on one side it is a word
            alternatives[-1].append(Clause((part,)))
    query = [clauses for clauses in alternatives if clauses]
    match query:
        case [[Clause(is_excluded=True) as only]] if only.tokens[0][0].isdigit():  # -5 and nothing else is a number
            return [[Clause(only.tokens)]]
    return query


def _parts(text: str) -> Iterator[Clause | str]:
    """Clauses, and "or" between them."""
    for match in _PIECE.finditer(text):
        word, phrase = match["word"], match["phrase"]
        if word is None:
            is_excluded, content = bool(match["minus"]), phrase
        elif word.casefold() == "or":
            yield "or"
            continue
        else:
            is_excluded, content = word.startswith("-") and not word.startswith("--"), word
        if terms := tuple(tokens(fold(content))):
            yield Clause(terms, is_excluded)
