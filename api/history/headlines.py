"""Where in a transcript the words are that were looked for. What was said is hostile text: no markup is made of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.history.search import SIMPLE, tsquery
from shared.models import Job

SEARCHABLE_CHARS = 330_000
"""Of a transcript; the column `search` holds no more (shared/models/jobs.py)."""

START, END, BETWEEN = "\x01", "\x02", "\x03"
"""What PostgreSQL marks with. These are taken out of what was said, so that nobody can say a mark."""

OPTIONS = (
    f"StartSel={START}, StopSel={END}, FragmentDelimiter={BETWEEN}, "
    "MaxFragments=2, MinWords=5, MaxWords=20, ShortWord=0"
)


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of plain text, and whether it is one of the words that were looked for."""

    text: str
    is_match: bool


def headlines(
    session: Session, job_ids: Sequence[uuid.UUID], words: str
) -> Mapping[uuid.UUID, tuple[tuple[Run, ...], ...]]:
    """Up to two places of each of these transcripts, each as runs of plain text (not of HTML)."""
    full_text = func.translate(func.left(Job.full_text, SEARCHABLE_CHARS), START + END + BETWEEN, "")
    marked = func.ts_headline(SIMPLE, full_text, tsquery(words), OPTIONS)
    rows = session.execute(select(Job.id, marked).where(Job.id.in_(job_ids), Job.full_text.is_not(None))).tuples()
    return {job_id: tuple(runs(place) for place in text.split(BETWEEN)) for job_id, text in rows if text}


def runs(marked: str) -> tuple[Run, ...]:
    """Text with marks -> runs; in order, none of them empty."""
    pieces = re.split(f"([{START}{END}])", marked)
    result, is_match = [], False
    for piece in pieces:
        if piece in (START, END):
            is_match = piece == START
        elif piece:
            result.append(Run(piece, is_match))
    return tuple(result)
