"""What a reader should know before trusting the text. Nothing is removed: the caller decides."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.transcript import Caveat, Segment
from tasks.asr.segments import Utterance
from tasks.asr.vad import Span

if TYPE_CHECKING:  # it has numpy behind it, which merge does without
    from tasks.asr.language import Language

MIN_REPEATS = 3
"""A phrase said once more than twice in a row..."""

MIN_REPEATED_WORDS = 10
"""...and over so many words is a loop: "no, no, no, no" is not, one sentence of four words three times is."""

MAX_PHRASE_WORDS = 40
"""Longest phrase looked for; a 30 s step of Whisper holds about 100 words, so it fits at least twice."""

AT_ONCE = {1: 2, 2: 2}
"""How often a phrase of so many words is commonly said in a row: "very, very", "I think, I think". Longer ones once."""

MIN_VARIETY, MIN_VARIED_WORDS = 0.5, 10
"""Share of different words in so many or more; of 16 that are spoken in a row, 9 or more are different."""

SYLLABLES = re.compile(r"(?=.{8})(.{1,20}?)\1{3,}")
"""A loop within a word, or in a script without spaces."""

MAX_COMPRESSION_RATIO = 2.4
"""Text that zlib shrinks further repeats itself (Whisper's own threshold, Radford et al. 2022, section 4.5)."""

NO_SPEECH_PROBABILITY = 0.6
MIN_AVG_LOGPROB = -1.0
"""Whisper calls a step silent above the one and below the other (same section)."""

MIN_SPEECH_SHARE = 0.1
"""A segment is text on silence when voice activity covers less of it. Real words keep a loud core even when their times
are off by the 0.2 s that cross-attention is."""

MIN_LANGUAGE_PROBABILITY = 0.5
"""Below it the other languages together are likelier than the one chosen."""

MIN_ECHO_WORDS = 3
"""Fewer words of the prompt may well have been spoken: it is there to be said."""

FASTEST_WORD_S = 0.12
"""Nobody speaks a longer run of words faster: 500 a minute, twice an auctioneer's conversation."""

SAID_APART = frozenset({"languages_mixed"})
"""Warnings that say something else each time: neighbours stay two where their words differ."""

SLACK_S = 0.2
"""How far a word's times may be off (see `MIN_SPEECH_SHARE`)."""


def no_speech() -> Caveat:
    """The recording holds nothing that was recognised as speech."""
    return Caveat("no_speech", "No speech was found in the recording.")


def language_doubt(language: Language) -> Iterator[Caveat]:
    """Says so when the language is a guess."""
    if language.probability < MIN_LANGUAGE_PROBABILITY:
        share = f"{language.probability:.0%}"
        yield Caveat(
            "language_uncertain", f"The language was taken to be {language.code!r} with only {share} probability."
        )


def loops(segments: Sequence[Segment]) -> Iterator[Caveat]:
    """Stretches where one phrase comes again and again, also across segments."""
    units = [unit for segment in segments for unit in _units(segment)]
    for first, last in repeats([text for text, _ in units]):
        message = "The same phrase is repeated many times; the recogniser may have been caught in a loop."
        yield Caveat("repetition_loop", message, units[first][1].start, units[last][1].end)


def compressible(utterances: Iterable[Utterance]) -> Iterator[Caveat]:
    """Decoded steps whose text is far more repetitive than speech is."""
    for utterance in utterances:
        if utterance.compression_ratio > MAX_COMPRESSION_RATIO:
            yield Caveat(
                "repetition_loop", "The text is more repetitive than speech is.", utterance.start, utterance.end
            )


def on_silence(segments: Iterable[Segment], speech: Sequence[Span]) -> Iterator[Caveat]:
    """Segments that lie where voice activity, unpadded and in order, hears nobody."""
    for segment in segments:
        span = Span(segment.start - SLACK_S, segment.end + SLACK_S)
        if overlap(span, speech) < MIN_SPEECH_SHARE * span.duration:
            yield Caveat("text_on_silence", "There is text here, but no voice was heard.", segment.start, segment.end)


def unlikely(utterances: Iterable[Utterance]) -> Iterator[Caveat]:
    """Decoded steps that Whisper itself takes for silence."""
    for utterance in utterances:
        if utterance.no_speech_prob > NO_SPEECH_PROBABILITY and utterance.avg_logprob < MIN_AVG_LOGPROB:
            yield Caveat(
                "text_on_silence", "The recogniser itself doubts that this was speech.", utterance.start, utterance.end
            )


def echoes(utterances: Iterable[Utterance], speech: Sequence[Span], context: str) -> Iterator[Caveat]:
    """Words of the prompt or the hotwords where there is too little voice, unpadded and in order, to have said them."""
    prompt = f" {' '.join(_plain(context.split()))} "
    for utterance in utterances:
        words = _plain(utterance.text.split())
        voice = overlap(Span(utterance.start - SLACK_S, utterance.end + SLACK_S), speech)
        if len(words) >= MIN_ECHO_WORDS and f" {' '.join(words)} " in prompt and voice < FASTEST_WORD_S * len(words):
            message = "This text repeats the prompt, and there is too little voice for so many words."
            yield Caveat("prompt_echo", message, utterance.start, utterance.end)


def repeats(words: Sequence[str]) -> list[tuple[int, int]]:
    """First and last index of every stretch in which a phrase is repeated, case and punctuation aside."""
    import numpy as np

    plain = np.array(_plain(words), dtype=np.str_)
    ids = np.unique(plain, return_inverse=True)[1]
    stretches: list[tuple[int, int]] = []
    for length in range(1, min(MAX_PHRASE_WORDS, len(ids) // MIN_REPEATS) + 1):
        same = np.concatenate(([False], ids[length:] == ids[:-length], [False]))
        edges = np.flatnonzero(same[1:] != same[:-1])
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            total = int(stop - start) + length
            if total >= max(MIN_REPEATED_WORDS, MIN_REPEATS * length):
                stretches.append((int(start), int(start) + total - 1))
    return _merged(stretches)


def said_again(words: Sequence[str]) -> int:
    """How many words are more than what people say in a row: those of a phrase that comes again and again at once.
    0 for ordinary speech; for people who do repeat themselves it is not.
    """
    plain = _plain(words)
    again = set[int]()
    for length in range(1, min(MAX_PHRASE_WORDS, len(plain) // 2) + 1):
        common, start = AT_ONCE.get(length, 1) * length, 0
        for index in range(length, len(plain) + 1):
            if index < len(plain) and plain[index] == plain[index - length]:
                continue
            if index - start >= common + length:
                again.update(range(start + common, index))
            start = index - length + 1
    within = (len(match[0]) // len(match[1]) - 2 for word in plain if (match := SYLLABLES.search(word)))
    return len(again) + sum(within)


def of_few_words(words: Sequence[str]) -> bool:
    """Whether the same few words come in any order."""
    return len(words) >= MIN_VARIED_WORDS and variety(words) < MIN_VARIETY * len(words)


def variety(words: Iterable[str]) -> int:
    """How many different words there are, case and punctuation aside."""
    return len(set(_plain(words)))


def overlap(span: Span, spans: Sequence[Span]) -> float:
    """Seconds of `span` that `spans`, in order and apart from each other, cover."""
    total = 0.0
    for other in spans[max(0, bisect_left(spans, span) - 1) :]:
        if other.start >= span.end:
            break
        total += max(0.0, min(span.end, other.end) - max(span.start, other.start))
    return total


def joined(caveats: Iterable[Caveat]) -> tuple[Caveat, ...]:
    """`caveats` in order of time; those of one code that touch or overlap, or are about the whole recording,
    become one, worded as the first."""
    result: list[Caveat] = []
    latest: dict[tuple[str, str], int] = {}
    for caveat in sorted(caveats, key=lambda c: (c.start or 0.0, c.code)):
        kind = caveat.code, caveat.message if caveat.code in SAID_APART else ""
        at = latest.get(kind, -1)
        last = result[at] if at >= 0 else None
        if last and last.end is None:
            continue  # it is about the whole recording
        if last and last.end is not None and caveat.start is not None and caveat.start <= last.end + SLACK_S:
            result[at] = replace(last, end=max(last.end, caveat.end or 0.0))
        else:
            latest[kind] = len(result)
            result.append(caveat)
    return tuple(result)


def _plain(words: Iterable[str]) -> list[str]:
    """`words` without case and punctuation."""
    return ["".join(c for c in word.casefold() if c.isalnum()) for word in words]


def _units(segment: Segment) -> list[tuple[str, Span]]:
    if segment.words:
        return [(word.text, Span(word.start, word.end)) for word in segment.words]
    return [(text, Span(segment.start, segment.end)) for text in segment.text.split()]


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged
