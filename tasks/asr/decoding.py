"""Decoding: packed speech in, what is said in it out, with times of the recording. faster-whisper's two decoders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from faster_whisper import BatchedInferencePipeline, WhisperModel

from shared.transcript import Progress, Word
from tasks.asr.packing import Packing
from tasks.asr.segments import Utterance
from tasks.asr.vad import Read, Samples, Span, close_gaps
from tasks.engines.speech_errors import engine_errors
from tasks.engines.step_down import Footing

MAX_INNER_SILENCE_S = 1.2
"""Longest silence left inside the audio of accurate mode. With the padding of speech that is a pause of 2 s, as in
faster-whisper's default; in batches every pause longer than the padding is taken out."""

FALLBACK_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Tried in turn while a step fails Whisper's own checks (Radford et al. 2022, section 4.5)."""

MAX_CONTEXT_TOKENS = 223
"""Tokens of prompt that the decoder can see: half its 448 tokens, less the token that starts the prompt."""


@dataclass(frozen=True, slots=True)
class TranscribeOptions:
    """What is asked of the recogniser.

    language : code such as "en", or None to detect it
    prompt, hotwords : shown to the decoder before every 30 s step; of the two together the last 223 tokens count
    temperature : of sampling; None starts at 0 and rises where decoding fails (in accurate mode)
    mode : "batched" decodes `batch_size` steps together, "accurate" one after another, with retries. A temperature
        above 0 is always decoded as in accurate mode, because batches cannot sample
    """

    model: str
    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    prompt: str | None = None
    hotwords: str | None = None
    temperature: float | None = None
    mode: Literal["batched", "accurate"] = "batched"
    batch_size: int = 8
    word_timestamps: bool = True

    @property
    def sequential(self) -> bool:
        """Whether steps are decoded one after another, whatever `batch_size` is."""
        return self.mode == "accurate" or bool(self.temperature)


def decode(
    read: Read,
    packings: list[Packing],
    options: TranscribeOptions,
    model: WhisperModel,
    progress: Progress,
    footing: Footing,
) -> Iterator[Utterance]:
    """What is said in the packed speech, window after window."""
    total = sum(packing.duration for packing in packings)
    before = done = 0.0
    for packing in packings:
        if options.sequential:
            packing = Packing(close_gaps(packing.spans, MAX_INNER_SILENCE_S))
        samples = packing.samples(read)
        decode = _one_by_one if options.sequential else _in_batches
        for segment in _guarded(footing.keep(partial(decode, samples, packing, options, model))):
            done = max(done, min(before + segment.end, total))
            progress(min(1.0, done / total))
            if segment.text.strip():
                yield _utterance(segment, packing)
        before += packing.duration


def _one_by_one(
    samples: Samples, packing: Packing, options: TranscribeOptions, model: WhisperModel, _: int, last: Any
) -> Iterator[Any]:
    """faster-whisper's sequential decoder over the packed audio behind the segment `last`."""
    segments, _ = model.transcribe(
        samples,
        vad_filter=False,
        clip_timestamps=[last.end if last else 0.0],
        # One bad step must not spoil the next, and a part must say the same whatever came before it.
        condition_on_previous_text=False,
        **_common(options, model),
    )
    yield from segments


def _in_batches(
    samples: Samples, packing: Packing, options: TranscribeOptions, model: WhisperModel, batch_size: int, last: Any
) -> Iterator[Any]:
    """faster-whisper's batched decoder over the packed audio behind the piece that `last` is from. It yields a batch
    at a time, and does not retry."""
    clips, start = [], 0.0
    for chunk in packing.chunks():
        # `seek` is where the piece of a segment starts, in frames, up to two of them rounded off; pieces are longer
        if last is None or start * model.frames_per_second > last.seek + 2:
            clips.append({"start": start, "end": start + chunk.duration})
        start += chunk.duration
    if not clips:
        return
    # A pipeline of its own for each window: an abandoned one remembers where it was.
    segments, _ = BatchedInferencePipeline(model).transcribe(
        samples,
        clip_timestamps=clips,
        batch_size=batch_size,
        without_timestamps=True,  # with them, a batch loses what is said after its last timestamp
        **_common(options, model),
    )
    yield from segments


def _common(options: TranscribeOptions, model: WhisperModel) -> dict[str, Any]:
    temperatures = list(FALLBACK_TEMPERATURES) if options.temperature is None else [options.temperature]
    return {
        "language": options.language,
        "task": options.task,
        "temperature": temperatures,
        "hotwords": context(options, model),
        "word_timestamps": options.word_timestamps,
    }


def context(options: TranscribeOptions, model: WhisperModel) -> str | None:
    """Prompt and hotwords as one text: the decoder reads both in the same place, and no more than its last tokens.

    faster-whisper would show a prompt of its own only before the first step, and overflow where both are long.
    """
    text = " ".join(part.strip() for part in (options.prompt, options.hotwords) if part and part.strip())
    tokens = model.hf_tokenizer.encode(" " + text, add_special_tokens=False).ids
    if len(tokens) > MAX_CONTEXT_TOKENS:
        text = model.hf_tokenizer.decode(tokens[-MAX_CONTEXT_TOKENS:]).strip()
    return text or None


def _guarded(segments: Iterator[Any]) -> Iterator[Any]:
    """The same segments; only what the engine raises becomes a TranscriptionError, not what their reader raises."""
    while True:
        with engine_errors("speech recognition"):
            segment = next(segments, None)
        if segment is None:
            return
        yield segment


def _utterance(segment: Any, packing: Packing) -> Utterance:
    words = []
    for word in segment.words or ():
        span = packing.restore(float(word.start), float(word.end))
        words.append(Word(span.start, span.end, word.word, min(1.0, max(0.0, float(word.probability)))))
    span = Span(words[0].start, words[-1].end) if words else packing.restore(float(segment.start), float(segment.end))
    return Utterance(
        span.start,
        span.end,
        segment.text,
        tuple(words),
        float(segment.avg_logprob),
        float(segment.no_speech_prob),
        float(segment.compression_ratio),
    )
