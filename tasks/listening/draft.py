"""The text of an utterance that goes on. It grows at its end only: what three passes agree on is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.listening.words import DraftWord, Token, agreed, as_text, tokens


class Draft:
    """Words so far. The window of the next pass begins behind `offset` of them, which are kept and not heard again.

    committed : stay as they are; three passes in a row have said each of them
    tail : as the last pass heard what follows
    ends : of all words, in seconds of the session, as far as they are known
    """

    def __init__(self, carried: Sequence[DraftWord] = ()) -> None:
        self.committed = list(carried)
        self.tail: list[DraftWord] = []
        self._tail_before: list[DraftWord] = []
        self.ends: list[float] = []
        self.offset = 0

    @property
    def inside(self) -> list[DraftWord]:
        """The committed words that the next pass hears."""
        return self.committed[self.offset :]

    @property
    def forced(self) -> list[int]:
        """The tokens with which the answer of the next pass has to begin."""
        return tokens(self.inside)

    @property
    def text(self) -> tuple[str, str]:
        """The committed words, and what may follow directly behind them. The mark behind the last of them may still
        change, and is no part of them yet."""
        committed = as_text(self.committed, open_end=True).strip()
        whole = as_text([*self.committed, *self.tail]).strip()
        return committed, whole.removeprefix(committed)

    def hear(self, mark: Token, words: Sequence[DraftWord], *, commits: bool = True) -> None:
        """Take what a pass heard behind `forced`."""
        fresh = list(words)
        del self.ends[self.offset :]
        if self.inside and (mark[0] or fresh):
            self.committed[-1] = replace(self.committed[-1], mark=mark)
        elif mark[0] and fresh:  # it opens the first word: a dash, a quotation mark
            fresh[0] = replace(fresh[0], text=mark[0] + fresh[0].text, tokens=(*mark[1], *fresh[0].tokens))
        new = min(agreed(tail, fresh) for tail in (self.tail, self._tail_before)) if commits else 0
        self.committed += fresh[:new]
        self._tail_before, self.tail = self.tail[new:], fresh[new:]

    def forget(self, before: float) -> float | None:
        """Leave out of the next pass the words that end before this time, or the first where none does; what of them
        was not committed is, as nothing will be heard of it again. `ends` has to be known of all.

        Returns the end of the last of them; None without any word.
        """
        places = range(self.offset, len(self.ends))
        if not places:
            return None
        last = max((place for place in places if self.ends[place] <= before), default=self.offset)
        new = max(0, last + 1 - len(self.committed))
        self.committed += self.tail[:new]
        self._tail_before, self.tail = self._tail_before[new:], self.tail[new:]
        self.offset = last + 1
        return self.ends[last]

    def behind(self, cut: float) -> list[DraftWord]:
        """The last committed words, the middle of each of which lies behind `cut`. `ends` has to be known of all."""
        count = 0
        for place in range(len(self.committed) - 1, -1, -1):
            before = self.ends[place - 1] if place else cut
            if (before + self.ends[place]) / 2 <= cut:
                break
            count += 1
        return self.committed[len(self.committed) - count :]
