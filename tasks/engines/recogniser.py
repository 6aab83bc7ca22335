"""What an engine for speech recognition has to do. docs/how-to-add-an-engine.md goes through one that is added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from shared.transcript import Word

Samples = npt.NDArray[np.float32]
"""Mono, 16 kHz, in [-1, 1]; shape (samples,)."""

Chunk = tuple[float, float]
"""Where a chunk of the samples begins and ends, in seconds."""


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """How speech is decoded.

    language : a code of the engine's `languages`
    context : text that sets spelling and style, shown to the decoder before each chunk; None for none
    temperature : of sampling; None starts at 0 and rises where decoding fails, for engines that can
    sequential : step after step through one chunk, with retries, rather than several chunks at once
    """

    language: str
    task: Literal["transcribe", "translate"] = "transcribe"
    context: str | None = None
    temperature: float | None = None
    sequential: bool = False
    word_timestamps: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """What was said in a stretch of the samples. Times are seconds of the samples.

    words : empty where the engine gives no times of words; `text` is then all there is
    avg_logprob, no_speech_prob, compression_ratio : Whisper's own measures of doubt. An engine without one gives what
        raises no doubt: 0, 0 and 1
    chunk_start : where the chunk begins that it was decoded from
    short_input : whether the encoder was given less than what the model was trained on
    """

    start: float
    end: float
    text: str
    words: tuple[Word, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    chunk_start: float
    short_input: bool = False

    def moved(self, seconds: float) -> Piece:
        """The same piece, that much later."""
        words = tuple(replace(word, start=word.start + seconds, end=word.end + seconds) for word in self.words)
        start, end, chunk_start = (time + seconds for time in (self.start, self.end, self.chunk_start))
        return replace(self, start=start, end=end, words=words, chunk_start=chunk_start)


class Recogniser(Protocol):
    """A loaded model that recognises speech. Calls raise whatever its library raises; callers make errors of it."""

    @property
    def languages(self) -> frozenset[str]:
        """Codes of the languages that it knows. With one of them alone nothing is detected."""

    @property
    def can_translate(self) -> bool:
        """Whether it can give English text for speech in another language."""

    @property
    def seeks(self) -> bool:
        """Whether it finds its own way through a chunk, step after step with retries: `sequential` decoding."""

    def detect_language(self, samples: Samples) -> Mapping[str, float]:
        """The probability of each language, from up to 30 s. Called only where the model's abilities have it."""

    def glance_language(self, samples: Samples) -> Mapping[str, float]:
        """The same from up to 10 s, at a cost that shrinks with their length, where the engine can."""

    def decode(
        self, samples: Samples, chunks: Sequence[Chunk], options: DecodingOptions, batch_size: int
    ) -> Iterator[Piece]:
        """What is said in the chunks, in order, at most `batch_size` of them at once.

        A chunk is at most 30 s. With `sequential` there is one, and the engine takes its own steps in it.
        """

    def context(self, text: str) -> str:
        """The end of `text` that its decoder can see; "" for an engine that takes none."""

    def to_cpu(self) -> bool:
        """Leave the graphics card for good. False when it is on none, or there is no memory for it elsewhere."""

    @property
    def device(self) -> str:
        """Where it is now: "cpu" or "cuda"."""

    def unload(self) -> None:
        """Free the weights. It is of no use afterwards."""
