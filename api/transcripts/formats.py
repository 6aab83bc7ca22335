"""The formats in which a transcript is handed out: `render(transcript, "srt")`. docs/formats.md shows each of them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from api.transcripts import subtitles
from api.transcripts.cells import guarded
from api.transcripts.line_breaks import clean
from api.transcripts.paragraphs import Paragraph, paragraphs
from api.transcripts.subtitles import UNKNOWN_SPEAKER
from shared.errors import InvalidRequest
from shared.transcript import Quality, Segment, Speaker, Stretch, Transcript, Word

MIN_LINE_LENGTH = 12
"""Room for the label of a hundredth speaker (9 columns) and one full-width character beside it."""


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """Choices of the reader. 42 columns, 2 lines and 7 s are the limits of Netflix's timed text style guide.

    `words` puts the words into json; `uri` names the recording in rttm; the rest shapes srt and vtt.
    Raises InvalidRequest, naming the option in `detail.parameter`, when a limit leaves no room for text.
    """

    words: bool = False
    max_line_length: int = 42
    max_lines: int = 2
    max_cue_s: float = 7.0
    uri: str = "recording"

    def __post_init__(self) -> None:
        least = {"max_line_length": MIN_LINE_LENGTH, "max_lines": 1, "max_cue_s": 1}
        for name, minimum in least.items():
            if not getattr(self, name) >= minimum:
                raise InvalidRequest(f"{name} must be at least {minimum}", parameter=name)


@dataclass(frozen=True, slots=True)
class Format:
    """One entry of `FORMATS`; `suffix` is that of a file name, with its dot."""

    media_type: str
    suffix: str
    render: Callable[[Transcript, FormatOptions], str]


def render(transcript: Transcript, format: str, options: FormatOptions | None = None) -> str:
    """`transcript` in the format of that name. Raises InvalidRequest for a name not in `FORMATS`."""
    if format not in FORMATS:
        raise InvalidRequest(f"format must be one of {', '.join(FORMATS)}", parameter="format")
    return FORMATS[format].render(transcript, options or FormatOptions())


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
    return json.dumps(as_dict(transcript, words=options.words), ensure_ascii=False) + "\n"


def _text(transcript: Transcript, _: FormatOptions) -> str:
    """Paragraphs with an empty line between; where there are speakers, each begins with its own."""
    spoken = list(paragraphs(transcript.segments))
    if all(paragraph.speaker is None for paragraph in spoken):
        return "\n".join(f"{paragraph.text}\n" for paragraph in spoken)
    return "\n".join(f"{clean(paragraph.speaker or UNKNOWN_SPEAKER)}: {paragraph.text}\n" for paragraph in spoken)


def _tsv(transcript: Transcript, _: FormatOptions) -> str:
    """The columns of openai-whisper, times in whole milliseconds, and `speaker` after them if there are speakers.

    It is CSV with tabs: a cell with a quote in it is quoted, as a spreadsheet would else take what begins with one for
    quoted, over the ends of rows. A cell that begins like a formula has an apostrophe in front.
    """
    diarized = any(segment.speaker is not None for segment in transcript.segments)
    rows = [["start", "end", "text", "speaker"]]
    for segment in transcript.segments:
        start_ms, end_ms = round(segment.start * 1000), round(segment.end * 1000)
        text, speaker = guarded(clean(segment.text)), guarded(clean(segment.speaker or ""))
        rows.append([str(start_ms), str(end_ms), text, speaker])
    out = io.StringIO(newline="")
    csv.writer(out, delimiter="\t", lineterminator="\n").writerows(row if diarized else row[:3] for row in rows)
    return out.getvalue()


def _rttm(transcript: Transcript, options: FormatOptions) -> str:
    """NIST's Rich Transcription Time Marked: a SPEAKER line per turn of at least 1 ms. No diarization, no lines.

    Its fields cannot hold spaces: in a speaker's name they become underscores.
    """
    uri = re.sub(r"[^\w.-]+", "_", options.uri) or "recording"
    lines = []
    for turn in transcript.turns:
        start_ms, end_ms = round(turn.start * 1000), round(turn.end * 1000)
        if end_ms > start_ms:
            span = f"{start_ms / 1000:.3f} {(end_ms - start_ms) / 1000:.3f}"
            lines.append(f"SPEAKER {uri} 1 {span} <NA> <NA> {_token(turn.speaker)} <NA> <NA>\n")
    return "".join(lines)


def _token(name: str) -> str:
    """`name` as one field, which `<NA>`, RTTM's word for nothing, is not."""
    return re.sub(r"\s", "_", clean(name)).replace("<NA>", "_NA_") or "_"


def _srt(transcript: Transcript, options: FormatOptions) -> str:
    return subtitles.srt(
        transcript,
        max_line_length=options.max_line_length,
        max_lines=options.max_lines,
        max_cue_s=options.max_cue_s,
    )


def _vtt(transcript: Transcript, options: FormatOptions) -> str:
    return subtitles.vtt(
        transcript,
        max_line_length=options.max_line_length,
        max_lines=options.max_lines,
        max_cue_s=options.max_cue_s,
    )


FORMATS = {
    "json": Format("application/json", ".json", _json),
    "text": Format("text/plain; charset=utf-8", ".txt", _text),
    "srt": Format("application/x-subrip; charset=utf-8", ".srt", _srt),
    "vtt": Format("text/vtt; charset=utf-8", ".vtt", _vtt),
    "tsv": Format("text/tab-separated-values; charset=utf-8", ".tsv", _tsv),
    "rttm": Format("text/plain; charset=utf-8", ".rttm", _rttm),
}
"""Every format by the name that requests use."""
