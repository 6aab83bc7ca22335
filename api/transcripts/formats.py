"""The formats in which a transcript is handed out: `render(transcript, "srt")`. docs/formats.md shows each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from api.transcripts import subtitles
from api.transcripts.options import FormatOptions
from api.transcripts.paragraphs import Paragraph, paragraphs
from api.transcripts.writers import ebu_tt, elan, nist, prose, tables, word_document
from shared.errors import InvalidRequest
from shared.transcript import Quality, Segment, Speaker, Stretch, Transcript, Word

_SURROGATES = re.compile("[\ud800-\udfff]")
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@dataclass(frozen=True, slots=True)
class Format:
    """One entry of `FORMATS`; `suffix` is that of a file name, with its dot."""

    media_type: str
    suffix: str
    render: Callable[[Transcript, FormatOptions], str | bytes]


def encoded(transcript: Transcript, format: str, options: FormatOptions | None = None) -> bytes:
    """The file of `transcript` in the format of that name. Raises InvalidRequest for a name not in `FORMATS`."""
    if format not in FORMATS:
        raise InvalidRequest(f"format must be one of {', '.join(FORMATS)}", parameter="format")
    body = FORMATS[format].render(transcript, options or FormatOptions())
    return body if isinstance(body, bytes) else body.encode()


def render(transcript: Transcript, format: str, options: FormatOptions | None = None) -> str:
    """The same as text, for all formats but docx."""
    return encoded(transcript, format, options).decode()


def as_dict(transcript: Transcript, *, words: bool) -> dict[str, Any]:
    """What GET /result answers, without the fields of the task. Times in seconds, to the millisecond.

    The text of a word has no space around it; that of a segment has the spaces of its language.
    """
    return {
        "language": transcript.language,
        "language_probability": _rounded(transcript.language_probability),
        "script": transcript.script,
        "duration": _rounded(transcript.duration),
        "model": transcript.model,
        "segments": [_segment(segment, words) for segment in transcript.segments],
        "paragraphs": [_paragraph(paragraph) for paragraph in paragraphs(transcript.segments)],
        "speakers": [_speaker(speaker) for speaker in transcript.speakers],
        "full_text": transcript.text,
        "text": transcript.text,
        "warnings": [asdict(warning) for warning in transcript.warnings],
        "quality": _quality(transcript.quality) if transcript.quality else None,
    }


def _paragraph(paragraph: Paragraph) -> dict[str, Any]:
    return {
        "start": _rounded(paragraph.start),
        "end": _rounded(paragraph.end),
        "speaker": paragraph.speaker,
        "text": paragraph.text,
    }


def _quality(quality: Quality) -> dict[str, Any]:
    return {
        "speech_seconds": _rounded(quality.speech_seconds),
        "dropped_seconds": _rounded(quality.dropped_seconds),
        "overlap_seconds": None if quality.overlap_seconds is None else _rounded(quality.overlap_seconds),
        "words": quality.words,
        "uncertain_words": quality.uncertain_words,
        "mean_confidence": None if quality.mean_confidence is None else _rounded(quality.mean_confidence),
        "dropped": [_stretch(stretch) for stretch in quality.dropped],
        "loops": [_stretch(stretch) for stretch in quality.loops],
        "low_confidence": [_stretch(stretch) for stretch in quality.low_confidence],
        "damaged": [_stretch(stretch) for stretch in quality.damaged],
    }


def _stretch(stretch: Stretch) -> dict[str, float]:
    return {"start": _rounded(stretch.start), "end": _rounded(stretch.end)}


def _segment(segment: Segment, words: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": segment.id,
        "start": _rounded(segment.start),
        "end": _rounded(segment.end),
        "speaker": segment.speaker,
        "text": segment.text.strip(),
        "confidence": _rounded(segment.confidence),
    }
    if words:
        body["words"] = [_word(word) for word in segment.words]
    return body


def _speaker(speaker: Speaker) -> dict[str, Any]:
    named = {"name": speaker.name} if speaker.name else {}
    return {"id": speaker.id, **named, "seconds": _rounded(speaker.seconds)}


def _word(word: Word) -> dict[str, Any]:
    return {
        "word": word.text.strip(),
        "start": _rounded(word.start),
        "end": _rounded(word.end),
        "confidence": _rounded(word.confidence),
        "speaker": word.speaker,
    }


def _rounded(value: float) -> float:
    return round(value, 3)


def _json(transcript: Transcript, options: FormatOptions) -> str:
    return encodable(json.dumps(as_dict(transcript, words=options.words), ensure_ascii=False)) + "\n"


def encodable(text: str) -> str:
    """`text` as UTF-8 can hold it: half a pair of surrogates is a replacement character."""
    return _SURROGATES.sub("\ufffd", text)


def _srt(transcript: Transcript, options: FormatOptions) -> str:
    return subtitles.srt(transcript, **options.limits(options.language_of(transcript)))


def _vtt(transcript: Transcript, options: FormatOptions) -> str:
    return subtitles.vtt(transcript, **options.limits(options.language_of(transcript)))


FORMATS = {
    "json": Format("application/json", ".json", _json),
    "text": Format("text/plain; charset=utf-8", ".txt", prose.text),
    "srt": Format("application/x-subrip; charset=utf-8", ".srt", _srt),
    "vtt": Format("text/vtt; charset=utf-8", ".vtt", _vtt),
    "tsv": Format("text/tab-separated-values; charset=utf-8", ".tsv", tables.tsv),
    "rttm": Format("text/plain; charset=utf-8", ".rttm", nist.rttm),
    "csv": Format("text/csv; charset=utf-8", ".csv", tables.table),
    "md": Format("text/markdown; charset=utf-8", ".md", prose.markdown),
    "docx": Format(_WORD, ".docx", word_document.docx),
    "ttml": Format("application/ttml+xml; charset=utf-8", ".ttml", ebu_tt.ebu_tt),
    "eaf": Format("application/xml; charset=utf-8", ".eaf", elan.eaf),
    "ctm": Format("text/plain; charset=utf-8", ".ctm", nist.ctm),
}
"""Every format by the name that requests use."""
