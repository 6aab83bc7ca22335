"""Decoding: packed speech in, what is said in it out, with times of the recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Literal

from shared.transcript import SAMPLE_RATE, Progress
from tasks.asr.packing import Packing
from tasks.asr.repair import batches, repaired
from tasks.asr.segments import Utterance
from tasks.asr.vad import Read, Samples, Span
from tasks.engines.recogniser import Chunk, DecodingOptions, Piece, Recogniser
from tasks.engines.speech_errors import engine_errors
from tasks.engines.step_down import StepDown


@dataclass(frozen=True, slots=True)
class TranscribeOptions:
    """What is asked of the recogniser.

    language : code such as "en", or None to detect it
    languages : codes of those that may be spoken; none are all that the model knows
    prompt, hotwords : shown to the decoder before every 30 s step; of the two together the last 223 tokens count
    temperature : of sampling; None starts at 0 and rises where a piece is decoded again
    batch_size : pieces decoded together; with a temperature above 0 it is 1, because batches cannot sample
    """

    model: str
    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    prompt: str | None = None
    hotwords: str | None = None
    temperature: float | None = None
    batch_size: int = 8
    word_timestamps: bool = True
    languages: tuple[str, ...] = ()

    @property
    def one_by_one(self) -> bool:
        """Whether each chunk is decoded alone, whatever `batch_size` is."""
        return bool(self.temperature)


def decode(
    read: Read,
    packings: list[Packing],
    options: TranscribeOptions,
    recogniser: Recogniser,
    progress: Progress,
    step_down: StepDown,
    *,
    repairs: bool = True,
) -> Iterator[Utterance]:
    """What is said in the packed speech, window after window; with `repairs`, doubtful chunks are decoded again."""
    how = DecodingOptions(
        options.language or "",
        options.task,
        context(options, recogniser),
        options.temperature,
        word_timestamps=options.word_timestamps,
    )
    alone = options.one_by_one and recogniser.seeks
    total = sum(packing.duration for packing in packings)
    before = position = 0.0
    for packing in packings:
        samples = packing.samples(read)
        work = (
            partial(_one_by_one, samples, packing, how, recogniser)
            if alone
            else partial(_in_batches, samples, packing, how, recogniser, repairs and recogniser.seeks)
        )
        for piece in _guarded(step_down.keep(work)):
            position = max(position, min(before + piece.end, total))
            progress(min(1.0, position / total))
            if piece.text.strip():
                yield _utterance(piece, packing)
        before += packing.duration


def _in_batches(
    samples: Samples,
    packing: Packing,
    how: DecodingOptions,
    recogniser: Recogniser,
    repairs: bool,
    batch_size: int,
    last: Piece | None,
) -> Iterator[Piece]:
    """The pieces of the packed audio behind `last`."""
    for batch in batches(_chunks_behind(packing, last), batch_size):
        pieces = recogniser.decode(samples, batch, how, batch_size)
        yield from repaired(pieces, batch, partial(_alone, samples, how, recogniser)) if repairs else pieces


def _one_by_one(
    samples: Samples, packing: Packing, how: DecodingOptions, recogniser: Recogniser, _: int, last: Piece | None
) -> Iterator[Piece]:
    """The same, each chunk decoded alone."""
    for chunk in _chunks_behind(packing, last):
        yield from _alone(samples, how, recogniser, chunk)


def _chunks_behind(packing: Packing, last: Piece | None) -> list[Chunk]:
    lengths = [chunk.duration for chunk in packing.chunks()]
    bounds = zip(accumulate(lengths, initial=0.0), accumulate(lengths), strict=False)
    return [(start, end) for start, end in bounds if last is None or start > last.chunk_start]


def _alone(samples: Samples, how: DecodingOptions, recogniser: Recogniser, chunk: Chunk) -> list[Piece]:
    """The pieces of one chunk, decoded step by step with retries."""
    start, end = chunk
    samples = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    pieces = recogniser.decode(samples, [(0.0, end - start)], replace(how, sequential=True), 1)
    return [piece.moved(start) for piece in pieces]


def context(options: TranscribeOptions, recogniser: Recogniser) -> str | None:
    """Prompt and hotwords as one text: the decoder reads both in the same place, and no more than its last tokens.

    faster-whisper would show a prompt of its own only before the first step, and overflow where both are long.
    """
    text = " ".join(part.strip() for part in (options.prompt, options.hotwords) if part and part.strip())
    return recogniser.context(text) or None if text else None


def _guarded(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The same pieces; only what the engine raises becomes a TranscriptionError, not what their reader raises."""
    while True:
        with engine_errors("speech recognition"):
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def _utterance(piece: Piece, packing: Packing) -> Utterance:
    words = []
    for word in piece.words:
        span = packing.restore(word.start, word.end)
        words.append(replace(word, start=span.start, end=span.end))
    span = Span(words[0].start, words[-1].end) if words else packing.restore(piece.start, piece.end)
    return Utterance(
        span.start,
        span.end,
        piece.text,
        tuple(words),
        piece.avg_logprob,
        piece.no_speech_prob,
        piece.compression_ratio,
    )
