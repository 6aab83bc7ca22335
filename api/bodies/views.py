"""Rows -> response bodies."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from itertools import zip_longest

from api.bodies.admin import KeyInfo
from api.bodies.tasks import (
    Accepted,
    FileInfo,
    HistoryItem,
    Snippet,
    SnippetRun,
    StageInfo,
    TaskDetail,
    TaskError,
    TaskStatus,
)
from api.history.headlines import Place
from shared.callers.limits import Limits
from shared.config import link
from shared.errors import InvalidRequest
from shared.kernel.job_views import JobRow, StageRow, View, processing_time
from shared.models import ApiKey, Job
from shared.options import JobOptions, priority_name
from shared.states import JobState


def task_status(view: View) -> TaskStatus:
    """Body of GET /status."""
    job = view.job
    return TaskStatus(
        task_id=job.id,
        status=JobState(job.state),
        progress=view.progress,
        eta_seconds=view.eta_seconds,
        queue_position=view.queue_position,
        stage=view.stage,
        stage_detail=view.stage_detail,
        error=_error(job),
        created_at=job.created_at,
        updated_at=job.updated_at,
    )


def task_detail(view: View) -> TaskDetail:
    """Body of GET /tasks/{id}."""
    job = view.job
    return TaskDetail(
        **dict(task_status(view)),
        options=JobOptions.from_row(job.options),
        priority=priority_name(job.priority),
        file=FileInfo(name=job.filename, bytes=job.source_bytes, sha256=job.source_sha256, url=job.source_url),
        cached=job.cached,
        retry_of=job.retry_of,
        language=job.language,
        duration=job.duration,
        model=job.model,
        speakers=job.speakers,
        processing_time=processing_time(job),
        tags=job.tags,
        reference=job.reference,
        batch_id=job.batch_id,
        started_at=job.started_at,
        finished_at=job.finished_at,
        expires_at=job.expires_at,
        version=job.version,
        stages=[_stage(row) for row in view.stages],
    )


def history_item(job: Job, places: Sequence[Place] | None = None, starts: Sequence[float | None] = ()) -> HistoryItem:
    """One line of GET /history, with the places where words are that were looked for."""
    return HistoryItem(
        task_id=job.id,
        status=JobState(job.state),
        filename=job.filename,
        language=job.language,
        duration=job.duration,
        model=job.model,
        speakers=job.speakers,
        cached=job.cached,
        error=_error(job),
        tags=job.tags,
        reference=job.reference,
        batch_id=job.batch_id,
        created_at=job.created_at,
        updated_at=job.updated_at,
        finished_at=job.finished_at,
        expires_at=job.expires_at,
        snippets=None if places is None else [_snippet(*one) for one in zip_longest(places, starts)],
    )


def _snippet(place: Place, start: float | None) -> Snippet:
    second = None if start is None else round(start, 3)
    return Snippet(runs=[SnippetRun(text=run.text, is_match=run.is_match) for run in place.runs], start=second)


def key_info(row: ApiKey) -> KeyInfo:
    """A key without the key."""
    return KeyInfo(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=row.scopes,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        from_environment=bool(row.from_environment),
        **asdict(Limits.of(row)),
    )


def cursor_of(last_id: uuid.UUID | None) -> str | None:
    """The opaque cursor that goes on after this row."""
    return base64.urlsafe_b64encode(last_id.bytes).rstrip(b"=").decode() if last_id else None


def row_before(cursor: str | None) -> uuid.UUID | None:
    """The row after which a cursor goes on. Raises InvalidRequest."""
    if cursor is None:
        return None
    try:
        return uuid.UUID(bytes=base64.b64decode(cursor.encode() + b"==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("cursor must come from next_cursor of an earlier page.", parameter="cursor") from error


def _error(job: Job | JobRow) -> TaskError | None:
    return TaskError(code=job.error_code, message=job.error_message or "") if job.error_code else None


def _stage(row: StageRow) -> StageInfo:
    return StageInfo(
        name=row.name,
        shard=row.shard,
        state=row.state,
        progress=row.progress,
        attempts=row.attempt,
        error=TaskError(code=row.error_code, message=row.error_message or "") if row.error_code else None,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def accepted(task_id: uuid.UUID, status: JobState) -> Accepted:
    """The answer to a submission, whatever it came from."""
    is_done = status == JobState.DONE
    return Accepted(
        task_id=task_id,
        job_id=task_id,
        status=status,
        message="The transcript is ready." if is_done else "The recording was accepted.",
        status_url=link(f"/status/{task_id}"),
        result_url=link(f"/result/{task_id}"),
        eta_seconds=0 if is_done else None,
    )
