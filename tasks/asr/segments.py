"""From what the decoder said to the segments of a transcript: times in order, one sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp

from shared.text.sentences import ends_sentence
from shared.transcript import Segment, Word

PAUSE_S = 1.0
"""A longer pause ends a segment, with or without a full stop."""

MAX_SEGMENT_S = 30.0
"""Without full stops a segment still ends here at the latest: one step of Whisper, which cannot say more at once."""

MS = 3
"""Decimals kept of a time: milliseconds. Whisper's own resolution is 20 ms."""

LAST_WORDS = 3
"""Read at the end of a sentence: French puts a space before `?` and `»`, which may then be words of their own."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One segment as the decoder gave it, in the recording's times. `words` may be empty, `text` never is."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float


def to_segments(utterances: Iterable[Utterance], start: float, end: float) -> tuple[Segment, ...]:
    """All that `Segmenter` makes of the utterances."""
    segmenter = Segmenter(start, end)
    for utterance in utterances:
        segmenter.add(utterance)
    segmenter.close()
    return tuple(segmenter.segments)


class Segmenter:
    """Utterances in, segments out, each as soon as nothing that is said later can change it.

    `segments` are numbered from 0, their times in milliseconds, in order and within `start`..`end`. A segment is a
    sentence, or what lies between two pauses of `PAUSE_S`, whatever the decoder's own segments were: in batches those
    are merely 30 s long. Its confidence is the mean probability of its words; where the decoder gave no words, the
    geometric mean of its tokens' probabilities. Every word that went in comes out.
    """

    def __init__(self, start: float, end: float) -> None:
        self.segments: list[Segment] = []
        self._low, self._end = start, end
        self._words: list[Word] = []  # of a sentence that may go on
        self._last: Segment | None = None  # without words, and its end may have to yield to what follows

    def add(self, utterance: Utterance) -> tuple[Segment, ...]:
        """The segments that are finished now."""
        pieces = [self._last] if self._last else []
        if utterance.words:
            self._last = None
            self._words += utterance.words
            ends = (i for i in range(len(self._words) - 1, 0, -1) if _is_end(self._words, i))
            cut = next(ends, 0)
            pieces += sentences(self._words[:cut])
            del self._words[:cut]
            return self._finish(pieces, Segment(0, self._words[0].start, self._words[-1].end, "", 0.0))
        pieces += sentences(self._words)
        self._words.clear()
        confidence = min(1.0, exp(utterance.avg_logprob))
        self._last = Segment(0, utterance.start, utterance.end, utterance.text.strip(), confidence)
        return self._finish(pieces, self._last)

    def close(self) -> tuple[Segment, ...]:
        """The segments that were not finished yet."""
        pieces = [self._last] if self._last else []
        return self._finish([*pieces, *sentences(self._words)])

    def _finish(self, pieces: list[Segment], following: Segment | None = None) -> tuple[Segment, ...]:
        tidied = in_order([*pieces, following] if following else pieces, self._low, self._end)[: len(pieces)]
        finished = tuple(replace(segment, id=len(self.segments) + i) for i, segment in enumerate(tidied))
        self.segments += finished
        if finished:
            self._low = (finished[-1].words or finished)[-1].start
        return finished


def in_order(segments: Sequence[Segment], start: float, end: float) -> tuple[Segment, ...]:
    """`segments` with ids from 0 and times that never go back, never overlap and stay within `start`..`end`.

    Where two overlap, the later start wins and the earlier end yields.
    """
    tidied: list[Segment] = []
    units = [unit for segment in segments for unit in (segment.words or (segment,))]
    bounds = iter(_bounds([(unit.start, unit.end) for unit in units], start, end))
    for segment in segments:
        words = tuple(
            replace(word, start=low, end=high) for word, (low, high) in zip(segment.words, bounds, strict=False)
        )
        low, high = (words[0].start, words[-1].end) if words else next(bounds)
        tidied.append(replace(segment, id=len(tidied), start=low, end=high, words=words))
    return tuple(tidied)


def _bounds(times: Sequence[tuple[float, float]], low: float, high: float) -> list[tuple[float, float]]:
    starts: list[float] = []
    for time, _ in times:
        starts.append(min(max(round(time, MS), low, starts[-1] if starts else low), high))
    limits = [*starts, high][1:]  # each word may last until the next begins
    return [
        (start, max(start, min(round(end, MS), limit)))
        for start, (_, end), limit in zip(starts, times, limits, strict=True)
    ]


def sentences(words: Sequence[Word]) -> Iterator[Segment]:
    """`words` in segments, all numbered 0, of at most `MAX_SEGMENT_S` where there is more than one word."""
    first = 0
    for last in range(len(words)):
        if last + 1 == len(words) or _is_end(words, last + 1):
            yield from _short_enough(words[first : last + 1])
            first = last + 1


def _is_end(words: Sequence[Word], place: int) -> bool:
    """Whether a segment ends before the word at `place`."""
    if words[place].start - words[place - 1].end >= PAUSE_S:
        return True
    first = place - 1
    while first > max(0, place - LAST_WORDS) and words[first].start - words[first - 1].end < PAUSE_S:
        first -= 1
    return ends_sentence("".join(word.text for word in words[first:place]), words[place].text)


def _short_enough(words: Sequence[Word]) -> Iterator[Segment]:
    if len(words) > 1 and words[-1].end - words[0].start > MAX_SEGMENT_S:
        cut = max(range(1, len(words)), key=lambda i: (words[i].start - words[i - 1].end, -abs(2 * i - len(words))))
        yield from _short_enough(words[:cut])
        yield from _short_enough(words[cut:])
        return
    text = "".join(word.text for word in words).strip()
    confidence = sum(word.confidence for word in words) / len(words)
    yield Segment(0, words[0].start, words[-1].end, text, confidence, words=tuple(words))
