"""Parakeet, Canary and others by onnx-asr, as a `Recogniser`. Needs no torch and no CTranslate2."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import exp
from pathlib import Path
from typing import Any

import onnx_asr
import onnxruntime

from shared.abilities import Abilities
from shared.errors import TranscriptionError
from shared.transcript import SAMPLE_RATE, Word
from tasks.engines.recogniser import Chunk, DecodingOptions, Piece, Samples

CUDA = "CUDAExecutionProvider"

LONGEST_END_S = 0.3
"""How long a word lasts after its last token began, unless the next word begins before. The decoders tell where a
token begins and not where it ends; a syllable takes some 0.2 s."""


class OnnxRecogniser:
    """A model that onnx-asr loads from a folder, whose config.json names its `model_type`."""

    seeks = False

    def __init__(self, folder: Path, able: Abilities, device: str, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        kind = json.loads((folder / "config.json").read_text())["model_type"]
        providers = [CUDA] if device == "cuda" else []
        self._model: Any = onnx_asr.load_model(
            kind, folder, sess_options=options, providers=[*providers, "CPUExecutionProvider"]
        ).with_timestamps()
        self._able = able
        self.device = device

    @property
    def languages(self) -> frozenset[str]:
        return self._able.languages

    @property
    def can_translate(self) -> bool:
        return self._able.translates

    def detect_language(self, samples: Samples) -> Mapping[str, float]:
        raise TranscriptionError("This model does not detect languages.")

    glance_language = detect_language

    def decode(
        self, samples: Samples, chunks: Sequence[Chunk], options: DecodingOptions, batch_size: int
    ) -> Iterator[Piece]:
        target = "en" if options.task == "translate" else options.language
        languages = {"language": options.language, "target_language": target} if len(self.languages) > 1 else {}
        for batch in groups(chunks, batch_size):
            sounds = [samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] for start, end in batch]
            for (start, end), result in zip(batch, self._model.recognize(sounds, **languages), strict=True):
                yield piece(result, start, end)

    def context(self, text: str) -> str:
        return ""

    def to_cpu(self) -> bool:
        return False

    def unload(self) -> None:
        """Let the weights go. It is of no use afterwards."""
        self._model = None


def groups(chunks: Sequence[Chunk], size: int) -> Iterator[Sequence[Chunk]]:
    """The chunks, at most `size` at a time."""
    for first in range(0, len(chunks), size):
        yield chunks[first : first + size]


def piece(result: Any, start: float, end: float) -> Piece:
    """What onnx-asr said of a chunk. A model without times of tokens gives its text without words."""
    words = tuple(_words(result, start, end)) if result.timestamps is not None else ()
    logprobs = result.logprobs or [0.0]
    return Piece(
        words[0].start if words else start,
        words[-1].end if words else end,
        result.text,
        words,
        avg_logprob=sum(logprobs) / len(logprobs),
        no_speech_prob=0.0,
        compression_ratio=1.0,
        chunk_start=start,
    )


def _words(result: Any, start: float, end: float) -> Iterator[Word]:
    """Tokens joined to words: one begins with each token that begins with a space."""
    logprobs = result.logprobs or [0.0] * len(result.tokens)
    tokens = list(zip(result.tokens, result.timestamps, logprobs, strict=True))
    firsts = [place for place, (text, _, _) in enumerate(tokens) if place == 0 or text.startswith(" ")]
    for first, after in zip(firsts, [*firsts[1:], len(tokens)], strict=True):
        word_tokens = tokens[first:after]
        text = "".join(token for token, _, _ in word_tokens)
        following = start + tokens[after][1] if after < len(tokens) else end
        yield Word(
            start + word_tokens[0][1],
            min(following, start + word_tokens[-1][1] + LONGEST_END_S),
            text if text.startswith(" ") else f" {text}",
            min(1.0, exp(sum(logprob for _, _, logprob in word_tokens) / len(word_tokens))),
        )
