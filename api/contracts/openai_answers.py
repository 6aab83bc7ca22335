"""A finished transcript in OpenAI's shapes. Times are seconds."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil, log
from string import ascii_uppercase
from typing import Any

from api.contracts.openai_request import AnswerOptions
from api.transcripts import formats
from shared.languages import LANGUAGES
from shared.transcript import Segment, Transcript, Word

FRAMES_PER_S = 100
"""Whisper counts `seek` in frames of its spectrogram, 10 ms each."""

AUDIO_TOKENS_PER_S = 10
"""As OpenAI counts the audio of gpt-4o-transcribe."""

LEAST_PROBABILITY = 1e-10
"""In place of 0, which has no logarithm."""


def body(transcript: Transcript, options: AnswerOptions) -> str:
    """The answer in the format that was asked for."""
    match options.format:
        case "json":
            return _json(json_body(transcript, options))
        case "verbose_json":
            return _json(verbose_body(transcript, options))
        case "diarized_json":
            return _json(diarized_body(transcript, options))
        case "text":
            return transcript.text + "\n"
        case subtitles:
            return formats.render(transcript, subtitles)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def json_body(transcript: Transcript, options: AnswerOptions) -> dict[str, Any]:
    """The answer to response_format=json."""
    body: dict[str, Any] = {"text": transcript.text}
    if options.task == "transcribe":
        body["languages"] = [{"code": transcript.language}]
        body["usage"] = usage(transcript)
    if options.logprobs:
        body["logprobs"] = logprobs(confidences(words_of(transcript)))
    return body


def verbose_body(transcript: Transcript, options: AnswerOptions) -> dict[str, Any]:
    """The answer to response_format=verbose_json. A translation's language is the one that it is in."""
    spoken = LANGUAGES.get(transcript.language, transcript.language)
    body: dict[str, Any] = {
        "task": options.task,
        "language": ("English" if options.task == "translate" else spoken).lower(),
        "duration": _rounded(transcript.duration),
        "text": transcript.text,
    }
    if options.segments:
        body["segments"] = [verbose_segment(segment, options.temperature) for segment in transcript.segments]
    if options.words:
        body["words"] = [_word(word) for word in words_of(transcript)]
    if options.task == "transcribe":
        body["usage"] = usage(transcript)
    return body


def verbose_segment(segment: Segment, temperature: float) -> dict[str, Any]:
    """A segment as openai-whisper shows it.

    Sentences are not the decoder's own segments, so what belongs to those is derived: `seek` is the start,
    `avg_logprob` is over words, `compression_ratio` is that of the text. `tokens` is empty, and `no_speech_prob` is 0,
    because only what was found to be speech has been decoded.
    """
    return {
        "id": segment.id,
        "seek": round(segment.start * FRAMES_PER_S),
        "start": _rounded(segment.start),
        "end": _rounded(segment.end),
        "text": segment.text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": _avg_logprob(segment),
        "compression_ratio": _compression_ratio(segment.text),
        "no_speech_prob": 0.0,
    }


def diarized_body(transcript: Transcript, options: AnswerOptions) -> dict[str, Any]:
    """The answer to response_format=diarized_json. With words it is also what WhisperX's servers answer."""
    segments = list(diarized_segments(transcript, words=options.words))
    body: dict[str, Any] = {
        "task": "transcribe",
        "duration": _rounded(transcript.duration),
        "text": transcript.text,
        "segments": segments,
    }
    if options.words:
        body["word_segments"] = [word for segment in segments for word in segment["words"]]
    body["usage"] = usage(transcript)
    return body


def diarized_segments(
    transcript: Transcript, ids: Sequence[str] = (), *, words: bool = False
) -> Iterator[dict[str, Any]]:
    """Segments with their speakers, which are also the events of a stream, in which they have `ids`."""
    letters = speaker_letters(transcript)
    names = ids or [segment_id(segment.id) for segment in transcript.segments]
    for name, segment in zip(names, transcript.segments, strict=True):
        speaker = letters.get(segment.speaker, UNKNOWN)
        body: dict[str, Any] = {
            "type": "transcript.text.segment",
            "id": name,
            "start": _rounded(segment.start),
            "end": _rounded(segment.end),
            "text": segment.text,
            "speaker": speaker,
        }
        if words:
            body["words"] = [
                {**_word(word), "score": _rounded(word.confidence), "speaker": speaker} for word in segment.words
            ]
        yield body


def segment_id(number: int) -> str:
    """The id of a diarized segment."""
    return f"seg_{number}"


UNKNOWN = "unknown"
"""The speaker of a segment that was given to nobody."""


def speaker_letters(transcript: Transcript) -> Mapping[str | None, str]:
    """Our speakers' names in OpenAI's: A to Z, then AA, AB and so on, in the order of their first words."""
    speakers = dict.fromkeys(segment.speaker for segment in transcript.segments if segment.speaker)
    return {speaker: _letters(place) for place, speaker in enumerate(speakers)}


def usage(transcript: Transcript) -> dict[str, Any]:
    """What a request that is not streamed is counted as: seconds of audio."""
    return {"type": "duration", "seconds": _rounded(transcript.duration)}


def token_usage(transcript: Transcript) -> dict[str, Any]:
    """The same at the end of a stream, for which OpenAI's clients know tokens only, in whole numbers.

    A tenth of a second of audio is one, and so is a word of the text.
    """
    input_tokens = ceil(transcript.duration * AUDIO_TOKENS_PER_S)
    output_tokens = sum(1 for _ in words_of(transcript))
    return {
        "type": "tokens",
        "input_tokens": input_tokens,
        "input_token_details": {"audio_tokens": input_tokens, "text_tokens": 0},
        "output_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
    }


def logprobs(words: Iterable[tuple[str, float]]) -> list[dict[str, Any]]:
    """Of words with their confidence. OpenAI gives these per token; here each word is one."""
    return [
        {"token": text, "logprob": _logprob(confidence), "bytes": list(text.encode())} for text, confidence in words
    ]


def confidences(words: Iterable[Word]) -> Iterator[tuple[str, float]]:
    """Each word's text and confidence."""
    return ((word.text, word.confidence) for word in words)


def words_of(transcript: Transcript) -> Iterator[Word]:
    """All words in order."""
    return (word for segment in transcript.segments for word in segment.words)


def _word(word: Word) -> dict[str, Any]:
    return {"word": word.text.strip(), "start": _rounded(word.start), "end": _rounded(word.end)}


def _avg_logprob(segment: Segment) -> float:
    confidences: Sequence[float] = [word.confidence for word in segment.words] or [segment.confidence]
    return round(sum(_logprob(confidence) for confidence in confidences) / len(confidences), 4)


def _logprob(probability: float) -> float:
    return round(log(max(probability, LEAST_PROBABILITY)), 4)


def _compression_ratio(text: str) -> float:
    """As openai-whisper computes it: above 2.4 the text repeats itself."""
    encoded = text.encode()
    return round(len(encoded) / len(zlib.compress(encoded)), 4)


def _letters(place: int) -> str:
    rest, letter = divmod(place, len(ascii_uppercase))
    return (_letters(rest - 1) if rest else "") + ascii_uppercase[letter]


def _rounded(value: float) -> float:
    return round(value, 3)
