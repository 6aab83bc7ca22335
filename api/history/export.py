"""The history as a file, line by line: flat memory for any length, and no transaction longer than a portion of rows."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from api.history import search
from api.history.search import Filters
from api.transcripts.cells import guarded
from shared.db import session
from shared.models import Job

IDS = 5000
"""Ids that one search gives: 5000 of them are 0.5 MB, and a search of words costs the same for one as for them all."""

ROWS = 500
"""Rows that are read at once, at about 1 kB each."""

ROWS_WITH_TEXT = 10
"""The same with transcripts, of which eight hours are 400 kB."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of an export."""

    task_id: str
    status: str
    filename: str | None
    url: str | None
    language: str | None
    duration: float | None
    model: str | None
    speakers: int | None
    bytes: int | None
    cached: bool
    tags: Sequence[str]
    reference: str | None
    error_code: str | None
    error_message: str | None
    created_at: str
    finished_at: str | None
    expires_at: str | None


def ndjson(owner_id: uuid.UUID, filters: Filters, *, texts: bool) -> Iterator[str]:
    """One JSON object for each task, newest first, with `text` if wanted. Raises InvalidRequest at the first step."""
    for job in _jobs(owner_id, filters, texts=texts):
        text = {"text": job.full_text} if texts else {}
        yield json.dumps(asdict(_row(job)) | text, ensure_ascii=False, separators=(",", ":")) + "\n"


def spreadsheet(owner_id: uuid.UUID, filters: Filters, *, texts: bool) -> Iterator[str]:
    """CSV (RFC 4180) with a header. Formulas get an apostrophe in front (api/transcripts/cells.py)."""
    line = io.StringIO(newline="")
    writer = csv.writer(line)
    writer.writerow([*Row.__dataclass_fields__, *(["text"] if texts else [])])
    for job in _jobs(owner_id, filters, texts=texts):
        cells = [*asdict(_row(job)).values(), *([job.full_text] if texts else [])]
        writer.writerow([_cell(value) for value in cells])
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()


def _jobs(owner_id: uuid.UUID, filters: Filters, *, texts: bool) -> Iterator[Job]:
    before, size = None, ROWS_WITH_TEXT if texts else ROWS
    while True:
        with session() as work:
            ids = search.ids(work, owner_id, limit=IDS, before=before, filters=filters)
        for start in range(0, len(ids), size):
            with session() as work:
                rows = search.rows(work, ids[start : start + size], texts=texts)
            yield from rows
        if len(ids) < IDS:
            return
        before = ids[-1]


def _row(job: Job) -> Row:
    return Row(
        task_id=str(job.id),
        status=job.state,
        filename=job.filename,
        url=job.source_url,
        language=job.language,
        duration=job.duration,
        model=job.model,
        speakers=job.speakers,
        bytes=job.source_bytes,
        cached=job.cached,
        tags=job.tags,
        reference=job.reference,
        error_code=job.error_code,
        error_message=job.error_message,
        created_at=_moment(job.created_at) or "",
        finished_at=_moment(job.finished_at),
        expires_at=_moment(job.expires_at),
    )


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    text = ",".join(value) if isinstance(value, list) else value
    return guarded(text) if isinstance(text, str) else text
