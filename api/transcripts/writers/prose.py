"""Text to read, in paragraphs: plain (.txt) and Markdown (.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from api.transcripts.line_breaks import clean
from api.transcripts.options import FormatOptions
from api.transcripts.paragraphs import paragraphs
from api.transcripts.subtitles import UNKNOWN_SPEAKER
from shared.transcript import Transcript

_MARKUP = re.compile(r"[\\`*_\[\]<>&~|$^#]")
_BLOCK = re.compile(r"[-+=:]|\d{1,9}[.)]")
"""What makes a list, a heading or a rule of a line that begins with it."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph as documents show it. `start` is H:MM:SS; `speaker` is None where the transcript has none at all."""

    start: str
    speaker: str | None
    text: str


def passages(transcript: Transcript) -> Iterator[Passage]:
    """The paragraphs of `transcript`; one of nobody is `unknown` where others have a speaker."""
    spoken = list(paragraphs(transcript.segments))
    diarized = any(paragraph.speaker is not None for paragraph in spoken)
    for paragraph in spoken:
        minutes, seconds = divmod(int(max(0.0, paragraph.start)), 60)
        start = f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
        yield Passage(start, (clean(paragraph.speaker or "") or UNKNOWN_SPEAKER) if diarized else None, paragraph.text)


def text(transcript: Transcript, _: FormatOptions) -> str:
    """Paragraphs with an empty line between; where there are speakers, each begins with its own."""
    blocks = (
        passage.text if passage.speaker is None else f"{passage.speaker}: {passage.text}"
        for passage in passages(transcript)
    )
    return "\n".join(f"{block}\n" for block in blocks)


def markdown(transcript: Transcript, options: FormatOptions) -> str:
    """CommonMark. Who speaks and when is a line of its own, so that text from right to left begins at the right.

    Nothing of the text is markup: a backslash stands before every sign that could be.
    """
    blocks = [f"# {_escaped(options.uri) or 'recording'}"]
    for passage in passages(transcript):
        head = passage.start if passage.speaker is None else f"**{_escaped(passage.speaker)}** {passage.start}"
        blocks += [head, _escaped(passage.text)]
    return "\n\n".join(blocks) + "\n"


def _escaped(text: str) -> str:
    text = _MARKUP.sub(r"\\\g<0>", clean(text))
    block = _BLOCK.match(text)
    return f"{text[: block.end() - 1]}\\{text[block.end() - 1 :]}" if block else text
