"""What one channel of a call holds of another: the same sound, or its words, faintly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from shared.transcript import Segment, Word
from tasks.asr.language import VOTE_S, spread
from tasks.asr.packing import Packing
from tasks.asr.vad import Read, Samples, Span

MAX_DIFFERENCE = 0.1
"""Two channels are one when what remains of their difference is 20 dB below them: joint stereo codecs leave less, a
second voice or another microphone leaves far more."""

MAX_LOOKS = 8
"""Stretches of up to 10 s of speech that are compared."""

SLACK_S = 0.5
"""Words of two channels are said together when they are at most this far apart: cross-attention is off by 0.2 s on
each channel, and an echo that takes longer is cancelled in the telephone network."""

MIN_WORDS = 3
"""Shorter repetitions stay: two people do say goodbye at once."""

MIN_SHARE = 0.8
"""Of the words of a faint segment so many must be said on the other channel, in order: one in five may be misheard."""

MIN_LOUDER = 2.0
"""Amplitude of the voice itself over that of its leak, 6 dB; telephone circuits and headsets leak 15 dB and less."""


@dataclass(frozen=True, slots=True)
class Channel:
    """The words of one channel and where its samples are."""

    read: Read
    segments: tuple[Segment, ...]


def same_sound(one: Read, other: Read, speech: Sequence[Packing]) -> bool:
    """Whether both hold the same at the same loudness, wherever `speech` is."""
    chunks = [chunk for packing in speech for chunk in packing.chunks(VOTE_S)]
    return bool(chunks) and all(
        _rms(chunks[i].samples(one) - chunks[i].samples(other)) <= MAX_DIFFERENCE * _rms(chunks[i].samples(one))
        for i in spread(len(chunks), MAX_LOOKS)
    )


def leaked(faint: Channel, louder: Channel) -> Iterator[Segment]:
    """The segments of `faint` that only repeat, more quietly, what is said on `louder` at the same time."""
    words = [word for segment in louder.segments for word in segment.words]
    first = 0
    for segment in faint.segments:
        while first < len(words) and words[first].end < segment.start - SLACK_S:
            first += 1
        last = first
        while last < len(words) and words[last].start <= segment.end + SLACK_S:
            last += 1
        if _repeats(segment.words, words[first:last]) and _is_louder(louder.read, faint.read, segment):
            yield segment


def _repeats(words: Sequence[Word], reference: Sequence[Word]) -> bool:
    tokens, reference_tokens = _plain(words), _plain(reference)
    if len(tokens) < MIN_WORDS:
        return False
    matching = SequenceMatcher(None, tokens, reference_tokens, autojunk=False).get_matching_blocks()
    return sum(block.size for block in matching) >= MIN_SHARE * len(tokens)


def _plain(words: Sequence[Word]) -> list[str]:
    return ["".join(c for c in word.text.casefold() if c.isalnum()) for word in words]


def _is_louder(louder: Read, faint: Read, segment: Segment) -> bool:
    span = Span(segment.start, segment.end)
    return _rms(louder(span.start, span.end)) >= MIN_LOUDER * _rms(faint(span.start, span.end))


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
