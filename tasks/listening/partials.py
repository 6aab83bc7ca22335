"""Partials: passes over the last seconds of an utterance that goes on."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from math import ceil

from shared.transcript import SAMPLE_RATE
from tasks.engines.recogniser import Samples
from tasks.listening.decoder import BY_CHARACTER, Decoder, Encoded, Place
from tasks.listening.draft import Draft
from tasks.listening.loops import is_loop
from tasks.listening.words import DraftWord, tokens

SILENCE_S = 5.0
"""Behind the speech. With 2 s every fourth word is wrong and one pass in 25 is a loop; with 5 s one in 160."""

WINDOW_S = 5.0
"""Speech of one pass, and..."""

KEPT_S = 3.0
"""...what is left of it where it gets longer, or all that is not committed."""

SURE = 0.8
"""Probability at which a language is taken for that of the utterance."""

LONG_ENOUGH_S = 2.0
"""Speech from which on the likeliest language is."""


class Partials:
    """The passes over one utterance. Times are seconds of the session.

    start : where the next pass begins to listen
    """

    def __init__(self, decoder: Decoder, start: float, language: str | None, carried: list[DraftWord]) -> None:
        self.draft = Draft(carried)
        self.language = language
        self.start = start
        self._decoder = decoder
        self._last: tuple[Encoded, float] | None = None

    def hear(self, samples: Samples) -> bool:
        """One pass over the samples, which begin at `start`. False where it showed nothing."""
        if self.language and self.language not in self._decoder.languages:
            return False
        seconds = len(samples) / SAMPLE_RATE
        encoded = self._decoder.encode(samples, min(30, ceil(seconds + SILENCE_S)))
        self._last = encoded, self.start
        language = self.language or self._find_language(encoded)
        answer = self._decoder.decode(encoded, language, self.draft.forced)
        mark, words = self._decoder.words(answer.tokens, language)
        keys = [word.key for word in (*self.draft.inside, *words)]
        shows = not answer.is_full and not is_loop(keys, seconds, by_character=language in BY_CHARACTER, at_end=True)
        if shows:
            self.draft.hear(mark, words, commits=self.language is not None)
        if seconds > WINDOW_S:
            self._shorten(seconds)
        return shows

    def carried(self, cut: float) -> list[DraftWord]:
        """The committed words behind a cut, which are those of the next utterance."""
        if not self._known_ends():
            return []
        words = self.draft.behind(cut)
        del self.draft.committed[len(self.draft.committed) - len(words) :]
        return words

    def _find_language(self, encoded: Encoded) -> str:
        language, probability = self._decoder.language(encoded)
        if probability >= SURE or encoded.seconds >= LONG_ENOUGH_S:
            self.language = language
        return language

    def _shorten(self, seconds: float) -> None:
        """Let the next pass begin behind a word."""
        now = self.start + seconds
        end = self.draft.forget(now - KEPT_S) if self._known_ends() else None
        self.start = max(self.start, now - KEPT_S if end is None else end)

    def _known_ends(self) -> bool:
        """Whether the ends of all words are known now."""
        draft = self.draft
        inside = [*draft.inside, *draft.tail]
        if len(draft.ends) == draft.offset + len(inside):
            return True
        if self._last is None or self.language is None:
            return False
        encoded, start = self._last
        places = self._decoder.places(encoded, tokens(inside), self.language)
        del draft.ends[draft.offset :]
        draft.ends += [start + end for end in _ends(inside, places, encoded.seconds)]
        return True


def _ends(words: Sequence[DraftWord], places: Sequence[Place], last: float) -> list[float]:
    """When each word ends, its mark aside; `last` where the places do not tell."""
    ends = []
    passed = 0
    counts = list(accumulate(len(place.tokens) for place in places))
    for word in words:
        place = bisect_left(counts, passed + len(word.tokens))
        ends.append(places[place].end if place < len(places) else last)
        passed += len(word.tokens) + len(word.mark[1])
    return ends
