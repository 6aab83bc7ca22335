"""Chunks that a batch decoded badly, decoded again one by one.

A batch decodes each chunk once and keeps whatever comes out: a loop, a guess, or the first half of what was said.
Decoded alone, a chunk gets Whisper's own retries at rising temperatures and goes on behind its last time stamp
(Radford et al. 2022, section 4.5). That costs time, so only chunks that look wrong are decoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from tasks.asr.checks import MAX_COMPRESSION_RATIO
from tasks.engines.recogniser import Chunk, Piece

MIN_LOGPROB = -0.8
"""Mean log probability of a token below which a chunk is doubted. Whisper's own bound for a retry is -1; the mean over
a whole chunk hides a bad half."""

MAX_GAP_S = 2.5
"""Packed speech has no pauses, so nobody is silent for longer than this between two words."""

LIKELIER = 0.05
"""By how much the mean log probability of a second decoding has to be higher."""

FIRST_BATCHES = (1, 2, 4)
"""Sizes of the first batches: the first words are there after one chunk's time and not after a whole batch's."""

DecodeAlone = Callable[[Chunk], list[Piece]]
"""Decodes one chunk by itself, with retries. Times are those of the samples that hold all the chunks."""


def batches(chunks: Sequence[Chunk], size: int) -> Iterator[Sequence[Chunk]]:
    """The chunks in order, in batches that grow up to `size`."""
    start = 0
    sizes = iter(FIRST_BATCHES)
    while start < len(chunks):
        end = start + min(size, next(sizes, size))
        yield chunks[start:end]
        start = end


def repaired(pieces: Iterable[Piece], chunks: Sequence[Chunk], decode_alone: DecodeAlone) -> Iterator[Piece]:
    """The pieces of the chunks, in order; those of a doubtful chunk are the better ones of two decodings."""
    waiting = list(chunks)
    current: list[Piece] = []
    for piece in pieces:
        while piece.chunk_start > waiting[0][0]:
            yield from _better(waiting.pop(0), current, decode_alone)
            current = []
        current.append(piece)
    for chunk in waiting:
        yield from _better(chunk, current, decode_alone)
        current = []


def _better(chunk: Chunk, first: list[Piece], decode_alone: DecodeAlone) -> list[Piece]:
    if not doubtful(chunk, first):
        return first
    second = decode_alone(chunk)
    return second if is_better(second, first) else first


def doubtful(chunk: Chunk, pieces: Sequence[Piece]) -> bool:
    """Whether the text is too repetitive, too unlikely, or leaves out a part of the chunk."""
    if not _spoken(pieces):
        return True
    if _compression_ratio(pieces) > MAX_COMPRESSION_RATIO or _logprob(pieces) < MIN_LOGPROB:
        return True
    words = [word for piece in pieces for word in piece.words]
    edges = [chunk[0], *(time for word in words for time in (word.start, word.end)), chunk[1]]
    silences = [end - start for start, end in pairwise(edges)][::2]
    return bool(words) and max(silences) > MAX_GAP_S


def is_better(second: Sequence[Piece], first: Sequence[Piece]) -> bool:
    """Whether a second decoding goes in place of the first: it does not repeat itself, and the first does, is less
    likely, or has fewer words."""
    if not _spoken(second) or _compression_ratio(second) > MAX_COMPRESSION_RATIO:
        return False
    if not _spoken(first) or _compression_ratio(first) > MAX_COMPRESSION_RATIO:
        return True
    return _logprob(second) > _logprob(first) + LIKELIER or _count(second) > _count(first)


def _spoken(pieces: Sequence[Piece]) -> bool:
    return any(piece.text.strip() for piece in pieces)


def _compression_ratio(pieces: Sequence[Piece]) -> float:
    return max(piece.compression_ratio for piece in pieces)


def _logprob(pieces: Sequence[Piece]) -> float:
    """Of the pieces together, each weighted by its text."""
    lengths = [len(piece.text) for piece in pieces]
    weighted = (piece.avg_logprob * length for piece, length in zip(pieces, lengths, strict=True))
    return sum(weighted) / sum(lengths)


def _count(pieces: Sequence[Piece]) -> int:
    """How many words they hold, or characters where words are not told apart."""
    return sum(len(piece.words) or len(piece.text) for piece in pieces)
