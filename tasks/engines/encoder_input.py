"""What Whisper's encoder is given: speech with some silence behind it, not always 30 s.

Whisper was trained on 30 s, and faster-whisper fills up to that with zeros, which are no sound at all. The encoder's
time grows with the length, and takes most of a short recording's. Shorter input does as well if silence follows the
speech; without it the decoder repeats itself (docs/decisions/encoder-input.md).
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_whisper import BatchedInferencePipeline

FULL_S = 30
"""What the encoder was trained on, and the most that it takes."""

SILENCE_S = 10
"""Behind the speech. With 5 s there are more errors in single sentences."""

STEP_S = 5
"""Lengths are multiples of this."""

FRAMES_PER_SECOND = 100
"""Of the spectrogram."""

FLOOR = 2.0
"""How far silence is below the loudest value: 8 powers of ten, which the feature extractor divides by 4."""

SILENT = -1.5
"""The largest value where there is no sound at all."""

Features = npt.NDArray[np.float32]
"""Log-mel spectrograms, of shape (..., mels, frames)."""


def input_seconds(speech_s: float) -> int:
    """Length of the input for so many seconds of speech."""
    return min(FULL_S, STEP_S * int(-(-(speech_s + SILENCE_S) // STEP_S)))


def with_silence(features: Features, seconds: int) -> Features:
    """The spectrogram with silence behind it, `seconds` long: as if the samples had been followed by zeros."""
    missing = seconds * FRAMES_PER_SECOND - features.shape[-1]
    silence = np.full((features.shape[0], missing), features.max(initial=SILENT) - FLOOR, np.float32)
    return np.concatenate([features, silence], axis=-1)


class Batches(BatchedInferencePipeline):  # type: ignore[misc]
    """faster-whisper's, with an input as long as a chunk needs. Chunks with inputs of other lengths are no batch: what
    is said in one must not depend on those beside it."""

    def forward(
        self, features: Features, tokenizer: Any, chunks_metadata: list[dict[str, Any]], options: Any
    ) -> list[list[dict[str, Any]]]:
        segments: list[list[dict[str, Any]]] = []
        pairs = zip(features, chunks_metadata, strict=True)
        for seconds, group in groupby(pairs, lambda pair: input_seconds(pair[1]["duration"])):
            inputs, chunks = zip(*group, strict=True)
            if seconds < FULL_S:
                frames = [int(chunk["duration"] * FRAMES_PER_SECOND) for chunk in chunks]
                heads = (feature[..., :count] for feature, count in zip(inputs, frames, strict=True))
                inputs = tuple(with_silence(head, seconds) for head in heads)
            segments += super().forward(np.stack(inputs), tokenizer, list(chunks), options)
        return segments
