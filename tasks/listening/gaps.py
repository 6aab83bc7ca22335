"""Speech of an utterance for which its text has no words: a decoder that hears several sentences at once may leave out
a whole one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from shared.transcript import Word
from tasks.asr import checks
from tasks.asr.vad import Span
from tasks.listening.words import key

LONGEST_WORD_S = 1.2
"""A longer word stands over speech that was left out: the decoder's attention has nowhere else to put it..."""

LETTERS, DIGITS = 12, 2
"""...unless it has more than so many letters or digits, as telephone numbers, addresses and whole sentences of scripts
without spaces have, which are one word here."""

SENTENCE_ENDS = tuple(".?!\u3002\uff1f\uff01\u061f\u0964")

SLACK_S = 0.2
"""How far a word's times may be off: those of cross-attention are."""

MIN_GAP_S = 0.6
"""Less speech may be a breath or a drawn-out end of a word."""


def tighten(words: Sequence[Word], speech: Sequence[Span]) -> list[Word]:
    """The words without what they are stretched over: the first of a sentence was said at its end, others at their
    beginning. `speech` is in order; times are seconds, of words and speech the same."""
    tight: list[Word] = []
    for word in words:
        longest_s = _longest_s(word.text)
        if word.end - word.start > longest_s:
            if not tight or tight[-1].text.endswith(SENTENCE_ENDS):
                earliest = word.end - longest_s
                begins = [span.start for span in speech if earliest < span.start < word.end]
                word = replace(word, start=max(begins, default=earliest))
            else:
                latest = word.start + longest_s
                ends = [span.end for span in speech if word.start < span.end < latest]
                word = replace(word, end=min(ends, default=latest))
        tight.append(word)
    return tight


def gaps(words: Iterable[Word], speech: Sequence[Span]) -> list[Span]:
    """The stretches of `speech` that no word stands for, with the pauses within them."""
    if not speech:
        return []
    spans = [(word.start - SLACK_S, word.end + SLACK_S) for word in words]
    edges = [speech[0].start, *(edge for span in spans for edge in span), speech[-1].end]
    free = (Span(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end)
    return [_spoken(gap, speech) for gap in free if checks.overlap(gap, speech) >= MIN_GAP_S]


def fill(words: Sequence[Word], gap: Span, missing: Sequence[Word]) -> list[Word]:
    """The words in order, and those of the gap in its place, without a word beside it that was heard twice."""
    place = sum(word.start < gap.start for word in words)
    before, after = words[:place], words[place:]
    inside = [*missing]
    if before and inside and key(inside[0].text) == key(before[-1].text):
        inside = inside[1:]
    if after and inside and key(inside[-1].text) == key(after[0].text):
        inside = inside[:-1]
    return [*before, *inside, *after]


def _longest_s(text: str) -> float:
    """How long the text may last that is written as one word."""
    digits = sum(letter.isdigit() for letter in text)
    letters = sum(letter.isalpha() for letter in text)
    return LONGEST_WORD_S * max(1.0, letters / LETTERS + digits / DIGITS)


def _spoken(gap: Span, speech: Sequence[Span]) -> Span:
    """The gap without silence at its ends."""
    inside = [span for span in speech if span.start < gap.end and span.end > gap.start]
    return Span(max(gap.start, inside[0].start), min(gap.end, inside[-1].end))
