"""Whisper by faster-whisper, as a `Recogniser`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from faster_whisper import BatchedInferencePipeline
from faster_whisper.audio import pad_or_trim

from shared.transcript import SAMPLE_RATE, Word
from tasks.engines.encoder_input import FULL_S, Batches, Features, input_seconds, with_silence
from tasks.engines.recogniser import Chunk, DecodingOptions, Piece, Samples
from tasks.engines.whisper import Whisper

FALLBACK_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Tried in turn while a step fails Whisper's own checks (Radford et al. 2022, section 4.5)."""

MAX_CONTEXT_TOKENS = 223
"""Tokens of prompt that the decoder can see: half its 448 tokens, less the token that starts the prompt."""

FRAME = 160
"""Samples per frame of the spectrogram."""

SEEK_SLACK = 2
"""Frames by which the seek of a segment may miss the start of its chunk: both are rounded. Chunks are longer."""


class FasterWhisper:
    """faster-whisper's two decoders over one model."""

    seeks = True

    def __init__(self, model: Whisper) -> None:
        self.model = model

    @property
    def name(self) -> str:
        """By which it is asked for."""
        return self.model.name

    @cached_property
    def languages(self) -> frozenset[str]:
        """Those that faster-whisper has for the model, and of which the model itself has the token: those before
        large-v3 have none for `yue`."""
        token_id = self.model.hf_tokenizer.token_to_id
        return frozenset(code for code in self.model.supported_languages if token_id(f"<|{code}|>") is not None)

    @property
    def can_translate(self) -> bool:
        return len(self.languages) > 1

    @property
    def device(self) -> str:
        """Where the model is now: "cpu" or "cuda"."""
        return self.model.device

    def detect_language(self, samples: Samples) -> Mapping[str, float]:
        features = self.model.feature_extractor(samples)[..., :-1]
        seconds = input_seconds(len(samples) / SAMPLE_RATE)
        return self._languages_of(pad_or_trim(features) if seconds == FULL_S else with_silence(features, seconds))

    def glance_language(self, samples: Samples) -> Mapping[str, float]:
        # the encoder takes fewer frames than those of 30 s, its convolutions an even number
        return self._languages_of(self.model.feature_extractor(samples)[..., : max(2, len(samples) // FRAME // 2 * 2)])

    def decode(
        self, samples: Samples, chunks: Sequence[Chunk], options: DecodingOptions, batch_size: int
    ) -> Iterator[Piece]:
        decoder = self._sequential if options.sequential else self._batched
        yield from decoder(samples, chunks, options, batch_size)

    def context(self, text: str) -> str:
        tokens = self.model.hf_tokenizer.encode(" " + text, add_special_tokens=False).ids
        if len(tokens) <= MAX_CONTEXT_TOKENS:
            return text
        return str(self.model.hf_tokenizer.decode(tokens[-MAX_CONTEXT_TOKENS:])).strip()

    def to_cpu(self) -> bool:
        return self.model.to_cpu()

    def unload(self) -> None:
        """Free the weights. It is of no use afterwards."""
        self.model.unload()

    def _languages_of(self, features: Features) -> dict[str, float]:
        (languages,) = self.model.model.detect_language(self.model.encode(features))
        return {token[2:-2]: probability for token, probability in languages}

    def _sequential(
        self, samples: Samples, chunks: Sequence[Chunk], options: DecodingOptions, _: int
    ) -> Iterator[Piece]:
        ((start, _end),) = chunks
        segments, _info = self.model.transcribe(
            samples,
            vad_filter=False,
            clip_timestamps=[start],
            # One bad step must not spoil the next, and a part must say the same whatever came before it.
            condition_on_previous_text=False,
            **_common(options),
        )
        for segment in segments:
            yield _piece(segment, start)

    def _batched(
        self, samples: Samples, chunks: Sequence[Chunk], options: DecodingOptions, batch_size: int
    ) -> Iterator[Piece]:
        """A batch at a time, without retries."""
        # A pipeline of its own for each window: an abandoned one remembers where it was.
        fits = options.task == "transcribe"
        pipeline = Batches if fits else BatchedInferencePipeline
        segments, _ = pipeline(self.model).transcribe(
            samples,
            clip_timestamps=[{"start": start, "end": end} for start, end in chunks],
            batch_size=batch_size,
            without_timestamps=True,  # with them, a batch loses what is said after its last timestamp
            **_common(options),
        )
        for segment in segments:
            frames = segment.seek + SEEK_SLACK
            start, end = max(chunk for chunk in chunks if chunk[0] * self.model.frames_per_second <= frames)
            yield _piece(segment, start, short_input=fits and input_seconds(end - start) < FULL_S)


def _common(options: DecodingOptions) -> dict[str, Any]:
    temperatures = list(FALLBACK_TEMPERATURES) if options.temperature is None else [options.temperature]
    return {
        "language": options.language,
        "task": options.task,
        "temperature": temperatures,
        "hotwords": options.context,
        "word_timestamps": options.word_timestamps,
    }


def _piece(segment: Any, chunk_start: float, *, short_input: bool = False) -> Piece:
    words = tuple(
        Word(float(word.start), float(word.end), word.word, min(1.0, max(0.0, float(word.probability))))
        for word in segment.words or ()
    )
    return Piece(
        float(segment.start),
        float(segment.end),
        segment.text,
        words,
        float(segment.avg_logprob),
        float(segment.no_speech_prob),
        float(segment.compression_ratio),
        chunk_start,
        short_input,
    )
