"""Finals: what an utterance says, heard once as a whole. docs/decisions/live.md has the figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from faster_whisper.transcribe import get_compression_ratio

from shared.transcript import SAMPLE_RATE, Word
from tasks.asr import checks
from tasks.asr.segments import Utterance
from tasks.asr.vad import Span
from tasks.engines.encoder_input import FULL_S, STEP_S
from tasks.engines.recogniser import Samples
from tasks.listening.decoder import BY_CHARACTER, Decoder, Encoded, Place
from tasks.listening.gaps import SLACK_S, fill, gaps, tighten
from tasks.listening.loops import is_loop
from tasks.listening.options import ListenOptions
from tasks.listening.words import key

SILENCE_S = 5
"""Behind the speech, more where the window is rounded up."""

BEAM_SIZE = 5

SURE = 0.8
LONG_ENOUGH_S = 2.0
"""Probability of a language, and speech that is behind it, at which it is kept for the session..."""

SURER = 0.95
LONGER_S = 4.0
"""...and at which another one takes its place: the first was a mistake, or somebody speaks another now."""


@dataclass(frozen=True, slots=True)
class FinalText:
    """What was said. Times are seconds of the samples.

    is_sure : whether the language may be kept
    model : the one that heard it
    """

    words: tuple[Word, ...]
    language: str
    is_sure: bool
    model: str

    @property
    def text(self) -> str:
        return "".join(word.text for word in self.words).strip()


class Finals:
    """The final passes of one session."""

    def __init__(self, decoder: Decoder, options: ListenOptions) -> None:
        self._decoder, self._hotwords = decoder, options.hotwords or ""
        self._only_language = options.language

    @property
    def languages(self) -> frozenset[str]:
        return self._decoder.languages

    def knows(self, language: str | None, languages: frozenset[str]) -> bool:
        """Whether it may be asked; for a language that is to be found out, it has to know all of `languages`."""
        return language in self.languages if language else languages <= self.languages

    def hear(self, samples: Samples, language: str | None, speech: Sequence[Span]) -> FinalText:
        """One pass over an utterance, a second where the first is a loop; no words where there is no reason to
        believe them: a loop is always likely, so where both passes are one, what is likely is no answer to the doubt
        that anybody spoke. `language` is the session's so far, `speech` where somebody speaks in it."""
        seconds = len(samples) / SAMPLE_RATE
        window = window_s(seconds)
        encoded = self._decoder.encode(samples, window)
        before = language
        language, is_sure = self._language(encoded, before)
        utterance, loops = self._pass(encoded, language)
        if loops and window < FULL_S:  # as Whisper was trained
            utterance, loops = self._pass(self._decoder.encode(samples, FULL_S), language)
        if (loops and utterance.no_speech_prob > checks.NO_SPEECH_PROBABILITY) or not self._is_believable(
            utterance, speech
        ):
            utterance = replace(utterance, words=())
        words = tighten(utterance.words, speech)
        if not words:  # what is no speech says nothing of the language
            return FinalText((), before or language, False, self._decoder.model)
        for gap in gaps(words, speech):
            words = fill(words, gap, self._in_gap(samples, language, gap, speech))
        return FinalText(tuple(words), language, is_sure, self._decoder.model)

    def _language(self, encoded: Encoded, language: str | None) -> tuple[str, bool]:
        """That of the utterance, and whether the session keeps it."""
        if self._only_language and not self._is_foreign(self._only_language):
            return self._only_language, True
        if language and len(self.languages) == 1:  # it takes everything for that
            return language, True
        likeliest, probability = self._decoder.language(encoded)
        if language and self._is_foreign(language):  # what it is likest to; the session's stays what it is
            return likeliest, False
        if language is None:
            return likeliest, probability >= SURE and encoded.seconds >= LONG_ENOUGH_S
        return (likeliest if probability >= SURER and encoded.seconds >= LONGER_S else language), True

    def _is_foreign(self, language: str) -> bool:
        """Whether a model of several languages cannot be asked for this one."""
        return len(self.languages) > 1 and language not in self.languages

    def _in_gap(self, samples: Samples, language: str, gap: Span, speech: Sequence[Span]) -> list[Word]:
        """The words of a stretch that the pass over the whole utterance has left out, in its times."""
        start = max(0.0, gap.start - SLACK_S)
        part = samples[round(start * SAMPLE_RATE) : round((gap.end + SLACK_S) * SAMPLE_RATE)]
        spans = [Span(max(0.0, span.start - start), span.end - start) for span in speech if span.end > start]
        utterance, loops = self._pass(self._decoder.encode(part, window_s(len(part) / SAMPLE_RATE)), language)
        if loops or not self._is_believable(utterance, spans):
            return []
        return [replace(word, start=word.start + start, end=word.end + start) for word in utterance.words]

    def _pass(self, encoded: Encoded, language: str) -> tuple[Utterance, bool]:
        """What is said, and whether it looks like a loop."""
        answer = self._decoder.decode(encoded, language, beam_size=BEAM_SIZE)
        places = self._decoder.places(encoded, answer.tokens, language) if answer.tokens else []
        words = placed_words(places, by_character=language in BY_CHARACTER)
        text = "".join(word.text for word in words)
        compression = get_compression_ratio(text) if text else 1.0
        keys = [part for word in words for part in spoken(word.text)]
        loops = (
            answer.is_full
            or compression > checks.MAX_COMPRESSION_RATIO
            or is_loop(keys, encoded.seconds, by_character=language in BY_CHARACTER)
        )
        start, end = (words[0].start, words[-1].end) if words else (0.0, encoded.seconds)
        utterance = Utterance(start, end, text, tuple(words), answer.avg_logprob, answer.no_speech_prob, compression)
        return utterance, loops

    def _is_believable(self, utterance: Utterance, speech: Sequence[Span]) -> bool:
        """Whether neither Whisper itself takes it for silence, nor is there too little voice for so many words."""
        if any(checks.unlikely([utterance])) or any(checks.echoes([utterance], speech, self._hotwords)):
            return False
        voice = sum(span.duration for span in speech)
        count = sum(len(spoken(word)) for word in utterance.text.split())
        return count < checks.MIN_ECHO_WORDS or voice >= checks.FASTEST_WORD_S * count


def window_s(seconds: float) -> int:
    """What the encoder is shown of so much sound and silence behind it."""
    return min(FULL_S, STEP_S * ceil((seconds + SILENCE_S) / STEP_S))


def spoken(word: str) -> list[str]:
    """What is said one after the other where a word is written: each number in it, else the word itself."""
    numbers = re.findall(r"\d+", word)
    return numbers if len(numbers) > 1 else [key(word)]


def _joined(word: Word, place: Place) -> Word:
    """The word and what is written directly behind it. A mark takes no time."""
    if not key(place.text):
        return replace(word, text=word.text + place.text)
    end, probability = max(word.end, place.end), min(word.confidence, place.probability)
    return replace(word, text=word.text + place.text, end=end, confidence=probability)


def placed_words(places: Iterable[Place], *, by_character: bool) -> list[Word]:
    """Words with the marks around them. Without a space before it a piece goes on with the word before, as behind a
    hyphen, unless each character is a word."""
    words: list[Word] = []
    opening = ""
    for place in places:
        goes_on = words and not opening and not place.text.startswith(" ")
        if goes_on and not (by_character and key(place.text)):
            words[-1] = _joined(words[-1], place)
        elif key(place.text):
            words.append(Word(place.start, max(place.start, place.end), opening + place.text, place.probability))
            opening = ""
        else:
            opening += place.text
    if words and opening:
        words[-1] = replace(words[-1], text=words[-1].text + opening)
    return words
