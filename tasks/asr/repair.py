"""Chunks that a batch decoded badly, decoded again one by one.

A batch decodes each chunk once and keeps whatever comes out: a loop, a guess, or the first half of what was said.
Decoded alone, a chunk gets Whisper's own retries at rising temperatures and goes on behind its last time stamp
(Radford et al. 2022, section 4.5). That costs time, so only chunks that look wrong are decoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from tasks.asr.checks import MAX_COMPRESSION_RATIO, MIN_REPEATED_WORDS, of_few_words, repeats, said_again, variety
from tasks.engines.recogniser import Chunk, Piece

MIN_LOGPROB = -0.8
"""Mean log probability of a token below which a chunk is doubted. Whisper's own bound for a retry is -1; the mean over
a whole chunk hides a bad half."""

MAX_GAP_S = 2.5
"""Packed speech has no pauses, so nobody is silent for longer than this between two words."""

LIKELIER = 0.05
"""By how much the mean log probability of a second decoding has to be higher."""

SPARE_WORDS = 2
"""How many different words fewer a second decoding may have in place of one that repeats itself."""

FIRST_BATCH = 4
"""Chunks of the first batch at the most, or half a batch where that is more: the first words of a long recording do not
wait for a whole one."""

DecodeAlone = Callable[[Chunk], list[Piece]]
"""Decodes one chunk by itself, with retries. Times are those of the samples that hold all the chunks."""


def batches(chunks: Sequence[Chunk], size: int) -> Iterator[Sequence[Chunk]]:
    """The chunks in order, in batches of up to `size`. What does not fill one comes first.

    Two chunks take 1.4 times as long as one on a processor, so there are no more batches than it takes, or one more.
    """
    remainder, limit = len(chunks) % size or size, max(FIRST_BATCH, (size + 1) // 2)
    sizes = [remainder - limit, limit] if remainder > limit else [remainder]
    start = 0
    while start < len(chunks):
        end = start + (sizes.pop(0) if sizes else size)
        yield chunks[start:end]
        start = end


def repaired(pieces: Iterable[Piece], chunks: Sequence[Chunk], decode_alone: DecodeAlone) -> Iterator[Piece]:
    """The pieces of the chunks, in order. Those of a doubtful chunk are the better ones of two decodings, with those
    of the gaps that both leave."""
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
    return list(_filled(chunk, second if is_better(second, first) else first, decode_alone))


def _filled(chunk: Chunk, pieces: Sequence[Piece], decode_alone: DecodeAlone) -> Iterator[Piece]:
    """The pieces, cut where a gap is, with what is said in the gap."""
    gaps = [gap for gap in _gaps(chunk, pieces) if gap[1] - gap[0] > MAX_GAP_S]
    for piece in pieces:
        rest = piece
        while gaps and rest.words and gaps[0][0] < rest.words[-1].end:
            before, rest = _cut(rest, gaps[0][1])
            if before.words:
                yield before
            yield from _said_in(gaps.pop(0), decode_alone)
        yield rest
    for gap in gaps:
        yield from _said_in(gap, decode_alone)


def _said_in(gap: Chunk, decode_alone: DecodeAlone) -> list[Piece]:
    pieces = decode_alone(gap)
    return pieces if _spoken(pieces) and not _loops(pieces) else []


def _cut(piece: Piece, time: float) -> tuple[Piece, Piece]:
    """The words of a piece that begin before a time, and the others."""
    parts = [word for word in piece.words if word.start < time], [word for word in piece.words if word.start >= time]
    before, after = (
        replace(piece, start=words[0].start, end=words[-1].end, text="".join(w.text for w in words), words=tuple(words))
        if words
        else replace(piece, text="", words=())
        for words in parts
    )
    return before, after


def _gaps(chunk: Chunk, pieces: Sequence[Piece]) -> list[Chunk]:
    """The times before, between and after the words; none where words have no times."""
    words = [word for piece in pieces for word in piece.words]
    if not words:
        return []
    edges = [chunk[0], *(time for word in words for time in (word.start, word.end)), chunk[1]]
    return list(zip(edges[::2], edges[1::2], strict=True))


def doubtful(chunk: Chunk, pieces: Sequence[Piece]) -> bool:
    """Whether the text is too repetitive, too unlikely, or leaves out a part of the chunk."""
    if not _spoken(pieces) or _stutters(pieces):
        return True
    if _compression_ratio(pieces) > MAX_COMPRESSION_RATIO or _logprob(pieces) < MIN_LOGPROB:
        return True
    return any(end - start > MAX_GAP_S for start, end in _gaps(chunk, pieces))


def is_better(second: Sequence[Piece], first: Sequence[Piece]) -> bool:
    """Whether a second decoding goes in place of the first: it is in no loop, and the first is, stutters more, is less
    likely, or has fewer words."""
    if not _spoken(second) or _loops(second):
        return False
    if not _spoken(first) or _loops(first):
        return True
    if _stutters(first) and _is_plainer(second, first):
        return True
    return _logprob(second) > _logprob(first) + LIKELIER or _count(second) > _count(first)


def _loops(pieces: Sequence[Piece]) -> bool:
    """Whether one phrase comes again and again. Text that zlib shrinks so far may be that, or people who use the same
    words in turn."""
    if _compression_ratio(pieces) <= MAX_COMPRESSION_RATIO:
        return False
    words = _words(pieces)
    return len(words) < MIN_REPEATED_WORDS or bool(repeats(words))


def _stutters(pieces: Sequence[Piece]) -> bool:
    """Whether a short input may have made the decoder repeat itself. It does so long before `_loops` can tell, sure of
    itself, and people do it as well."""
    words = _words(pieces)
    return any(piece.short_input for piece in pieces) and (said_again(words) > 0 or of_few_words(words))


def _is_plainer(second: Sequence[Piece], first: Sequence[Piece]) -> bool:
    """Whether it repeats less, and that is not because it holds little."""
    before, after = _words(first), _words(second)
    if said_again(before):
        return said_again(after) < said_again(before) and variety(after) + SPARE_WORDS >= variety(before)
    return not of_few_words(after) and variety(after) >= variety(before)


def _words(pieces: Sequence[Piece]) -> list[str]:
    return [word for piece in pieces for word in ([w.text for w in piece.words] or piece.text.split())]


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
