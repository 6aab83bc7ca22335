"""Whisper on short stretches of speech: one run of the encoder, then whatever is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from shared.transcript import SAMPLE_RATE
from tasks.asr.loudness import leveled
from tasks.engines.encoder_input import FRAMES_PER_SECOND, with_silence
from tasks.engines.faster_whisper import FasterWhisper
from tasks.engines.recogniser import Samples
from tasks.listening.words import DraftWord, Token, to_words

MAX_TOKENS = 448
"""Of the decoder, prompt and answer together. CTranslate2 allows half of them for the answer."""

SPARE_TOKENS = 24
TOKENS_PER_SECOND = 16
"""Nobody speaks more for long, in scripts of several tokens a letter neither: a loop ends there."""

BY_CHARACTER = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages of which the tokenizer tells characters apart, not words."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder makes of so many seconds of sound, and silence behind them."""

    output: Any
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the decoder says, without the words that it was made to begin with.

    is_full : it would have gone on
    """

    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    is_full: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A piece of text, its tokens and when it is said, in seconds of the samples that were encoded."""

    text: str
    tokens: tuple[int, ...]
    start: float
    end: float
    probability: float


class Decoder:
    """One model and the hotwords of one session. Calls raise whatever the engine raises. `answered` is called with each
    answer of the model."""

    def __init__(
        self, recogniser: FasterWhisper, hotwords: str | None, on_answer: Callable[[], None] = lambda: None
    ) -> None:
        self._recogniser, self._on_answer = recogniser, on_answer
        self._hotwords = recogniser.context(hotwords.strip()) if hotwords and hotwords.strip() else ""
        self._tokenizer = cache(self._new_tokenizer)

    @property
    def model(self) -> str:
        """Its name."""
        return self._recogniser.name

    @property
    def languages(self) -> frozenset[str]:
        return self._recogniser.languages

    def encode(self, samples: Samples, window_s: int) -> Encoded:
        """The samples and silence behind them, `window_s` long together, at most 30 s."""
        whisper = self._recogniser.model
        features = whisper.feature_extractor(leveled(samples))[..., :-1][..., : window_s * FRAMES_PER_SECOND]
        output = whisper.encode(with_silence(features, window_s))
        self._on_answer()
        return Encoded(output, len(samples) / SAMPLE_RATE)

    def language(self, encoded: Encoded) -> tuple[str, float]:
        """The likeliest language and its probability."""
        if len(self.languages) == 1:
            return next(iter(self.languages)), 1.0
        ((first, *_),) = self._recogniser.model.model.detect_language(encoded.output)
        self._on_answer()
        return first[0][2:-2], float(first[1])

    def decode(self, encoded: Encoded, language: str, forced: Sequence[int] = (), beam_size: int = 1) -> Answer:
        """What is said, behind the `forced` tokens if there are any."""
        tokenizer = self._tokenizer(language)
        before = [tokenizer.sot_prev, *tokenizer.encode(f" {self._hotwords}")] if self._hotwords else []
        prompt = [*before, *tokenizer.sot_sequence, tokenizer.no_timestamps, *forced]
        most = SPARE_TOKENS + int(TOKENS_PER_SECOND * encoded.seconds)
        length = min(MAX_TOKENS, max(2 * most, len(prompt) + most))
        (result,) = self._recogniser.model.model.generate(
            encoded.output,
            [prompt],
            beam_size=beam_size,
            max_length=length,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            suppress_blank=not forced,  # else the end cannot come first, and a text that is complete is said again
            return_scores=True,
            return_no_speech_prob=True,
        )
        self._on_answer()
        tokens = result.sequences_ids[0]
        score = result.scores[0] * len(tokens) / (len(tokens) + 1)
        content = tuple(token for token in tokens[len(forced) :] if token < tokenizer.eot)  # it repeats the forced ones
        is_full = len(content) >= min(length // 2, length - len(prompt))
        return Answer(content, float(score), float(result.no_speech_prob), is_full)

    def exercise(self, encoded: Encoded, count: int, *, forced: int = 0, beam_size: int = 1) -> tuple[int, ...]:
        """As much work as `decode` has with an answer of `count` tokens behind `forced` ones. What they are means
        nothing."""
        tokenizer = self._tokenizer("en")
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps, *tokenizer.encode(" the" * forced)]
        (result,) = self._recogniser.model.model.generate(
            encoded.output,
            [prompt],
            beam_size=beam_size,
            max_length=max(2 * count, len(prompt) + count),
            suppress_tokens=[*get_suppressed_tokens(tokenizer, [-1]), tokenizer.eot],
            return_scores=True,
            return_no_speech_prob=True,
        )
        self._on_answer()
        return tuple(result.sequences_ids[0][-count:])

    def words(self, tokens: Sequence[int], language: str) -> tuple[Token, list[DraftWord]]:
        """The mark before the first word, and the words."""
        texts, parts = self._tokenizer(language).split_to_word_tokens(list(tokens))
        return to_words((text, tuple(part)) for text, part in zip(texts, parts, strict=True))

    def places(self, encoded: Encoded, tokens: Sequence[int], language: str) -> list[Place]:
        """When each piece of the text is said, by the decoder's attention."""
        tokenizer = self._tokenizer(language)
        frames = round(encoded.seconds * FRAMES_PER_SECOND)
        (pieces,) = self._recogniser.model.find_alignment(tokenizer, [list(tokens)], encoded.output, frames) or ([],)
        self._on_answer()
        return [
            Place(
                piece["word"],
                tuple(piece["tokens"]),
                min(float(piece["start"]), encoded.seconds),
                min(float(piece["end"]), encoded.seconds),
                min(1.0, max(0.0, float(piece["probability"]))),
            )
            for piece in pieces
        ]

    def _new_tokenizer(self, language: str) -> Tokenizer:
        whisper = self._recogniser.model
        return Tokenizer(whisper.hf_tokenizer, whisper.model.is_multilingual, "transcribe", language)
