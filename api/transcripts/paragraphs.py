"""Segments joined into paragraphs, as a reader expects of a text.

They are made anew whenever a transcript is shown, so that they follow corrections of its segments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from api.transcripts.line_breaks import clean
from shared.text.sentences import ends_sentence
from shared.transcript import Segment

LONG_PAUSE_S = 2.0
"""A silence this long after a sentence begins a paragraph; inside one, where speakers stop for effect, twice as long.
It is also where a subtitle is taken off the screen."""

ENOUGH_S = 30.0
"""Speech after which the next sentence begins a paragraph: 75 words at 150 a minute, five lines of print. Seconds and
not words, as they mean the same in every language."""

TOO_MUCH_S = 3 * ENOUGH_S
"""Where no sentence ever ends, as in unpunctuated text, a paragraph ends with the segment that reaches this."""

_UNSPACED_END = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uff65\U00020000-\U0003ffff]$")
"""Chinese and Japanese: no space between sentences. Thai, Lao and Khmer have none between words, but there they do."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Some segments of one speaker, or of nobody known, on one line of text."""

    start: float
    end: float
    speaker: str | None
    text: str


def paragraphs(segments: Iterable[Segment]) -> Iterator[Paragraph]:
    """All text of `segments`, in their order. A paragraph ends where the speaker changes, at a long pause, and at the
    end of a sentence when it is long enough."""
    run: list[Segment] = []
    for segment in segments:
        if not clean(segment.text):
            continue
        if run and _ends(run, segment):
            yield _paragraph(run)
            run = []
        run.append(segment)
    if run:
        yield _paragraph(run)


def _ends(run: Sequence[Segment], following: Segment) -> bool:
    """Whether a paragraph of the segments `run` is finished before `following`."""
    last = run[-1]
    if last.speaker != following.speaker:
        return True
    pause_s, length_s = following.start - last.end, last.end - run[0].start
    if ends_sentence(clean(last.text), following.text):
        return pause_s >= LONG_PAUSE_S or length_s >= ENOUGH_S
    return pause_s >= 2 * LONG_PAUSE_S or length_s >= TOO_MUCH_S


def _paragraph(run: Sequence[Segment]) -> Paragraph:
    text = ""
    for segment in run:
        space = "" if not text or _UNSPACED_END.search(text) else " "
        text += space + clean(segment.text)
    return Paragraph(run[0].start, max(segment.end for segment in run), run[0].speaker, text)
