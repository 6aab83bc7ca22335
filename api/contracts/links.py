"""Links: the address of a recording goes in as JSON {"url"} to POST /transcribe; this is what follows."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from sqlalchemy import ColumnElement, func, select, true

from api.contracts import links_files
from api.dependencies import CallerDep, DetachedAdminDep, DetachedCallerDep, JobPollDep, SessionDep
from api.errors import responses
from shared import db
from shared.errors import DatabaseUnavailable, Forbidden, NotFound, NotReady, Unauthorized
from shared.kernel import erasure, job_views
from shared.kernel.job_views import JobRow
from shared.models import Job, Stage
from shared.states import JobState, StageState

router = APIRouter(tags=["links"], responses=responses(Unauthorized, Forbidden, DatabaseUnavailable))
router.include_router(links_files.router)

PREVIEW_CHARS = 120
LISTED = 20
BATCH = 100
"""Jobs looked up at a time."""

STATUS: Mapping[JobState, str] = {
    JobState.LIVE: "PROCESSING",
    JobState.QUEUED: "QUEUED",
    JobState.PROCESSING: "PROCESSING",
    JobState.CANCELLING: "PROCESSING",
    JobState.DONE: "COMPLETE",
    JobState.ERROR: "FAILED",
    JobState.CANCELLED: "FAILED",  # its clients know no other end
}

CODES: Mapping[str, str] = {
    "invalid_url": "invalid_url",
    "blocked_address": "invalid_url",
    "extraction_error": "extraction_error",
    "source_unavailable": "extraction_error",
    "file_too_large": "extraction_error",
    "no_audio": "extraction_error",
    "unsupported_media": "extraction_error",
    "decode_failed": "extraction_error",
    "media_too_long": "media_too_long",
    "transcription_error": "transcription_error",
    "model_unavailable": "transcription_error",
    "stage_stalled": "transcription_error",
    "cancelled": "cancelled",
}
"""Our codes in the words of this API; any other is an unexpected_error."""


@router.get(
    "/transcribe/{job_id}",
    response_model=None,
    summary="A job, and its text when it is complete",
    responses=responses(NotFound),
)
async def status(poll: JobPollDep) -> dict[str, Any]:
    """`QUEUED`, `PROCESSING`, `COMPLETE` with the text, or `FAILED` with a code and a message.

    curl -H "Authorization: Bearer $API_KEY" $URL/transcribe/$JOB_ID
    """
    view, job = poll.view, poll.view.job
    body = {"status": STATUS[JobState(job.state)], "job_id": str(job.id)}
    match body["status"]:
        case "COMPLETE":
            return body | await to_thread.run_sync(_complete, job.owner_id, job.id)
        case "FAILED":
            return body | _failure(job)
        case _:
            return body | {"progress": view.progress, "stage_detail": view.stage_detail}


@router.get(
    "/transcript/{job_id}",
    response_model=None,
    summary="The transcript of a complete job",
    responses=responses(NotFound, NotReady),
)
def transcript(job_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> dict[str, Any]:
    """`content_hash` is the SHA-256 of the recording; 409 `not_ready` until the job is complete.

    curl -H "Authorization: Bearer $API_KEY" $URL/transcript/$JOB_ID
    """
    job = job_views.owned(session, caller.id, job_id)
    if job.state != JobState.DONE:
        raise NotReady("The transcript is not ready.", status=job.state)
    return links_files.transcript_body(job)


# ---- all jobs at once


@router.get("/jobs", response_model=None, summary="This key's jobs in numbers, and those that failed or are stuck")
def summary(caller: CallerDep, session: SessionDep) -> dict[str, Any]:
    """The latest failures, and jobs whose worker has gone silent, which the sweep gives to another within seconds.

    curl -H "Authorization: Bearer $API_KEY" $URL/jobs
    """
    by_owner = Job.owner_id == caller.id
    failed = select(Job).where(by_owner, Job.state == JobState.ERROR).order_by(Job.id.desc()).limit(LISTED)
    silent = select(Stage.job_id).where(Stage.state == StageState.RUNNING, Stage.lease_until < func.now())
    stuck = select(Job).where(by_owner, Job.id.in_(silent)).order_by(Job.id).limit(LISTED)
    return {
        "counts": _counts(session, caller.id),
        "failed": [{"job_id": str(job.id), **_failure(job)} for job in session.scalars(failed)],
        "stuck": [{"job_id": str(job.id), "updated_at": job.updated_at} for job in session.scalars(stuck)],
    }


@router.get("/jobs/all", response_model=None, summary="This key's jobs in numbers")
def all_jobs(caller: CallerDep, session: SessionDep) -> dict[str, Any]:
    """With a word on how to delete them."""
    return {
        "counts": _counts(session, caller.id),
        "tip": "DELETE /jobs/all deletes the jobs of all keys (scope admin).",
    }


@router.delete("/jobs/failed", response_model=None, summary="Delete all failed jobs of this key")
def delete_failed(caller: DetachedCallerDep) -> dict[str, int]:
    """Rows at once, objects by the sweep.

    curl -X DELETE -H "Authorization: Bearer $API_KEY" $URL/jobs/failed
    """
    return {"deleted": _erase((Job.owner_id == caller.id) & (Job.state == JobState.ERROR))}


@router.delete("/jobs/all", response_model=None, summary="Delete all jobs of all keys")
def delete_all(caller: DetachedAdminDep) -> dict[str, int]:
    """Needs the scope admin. Also jobs that are running; workers stop. Rows at once, objects by the sweep.

    curl -X DELETE -H "Authorization: Bearer $ADMIN_KEY" $URL/jobs/all
    """
    return {"deleted": _erase(true())}


router.add_api_route(
    "/jobs/clear", delete_all, methods=["POST"], response_model=None, summary="The same as DELETE /jobs/all"
)


def _counts(session: SessionDep, owner_id: uuid.UUID) -> dict[str, int]:
    by_state = select(Job.state, func.count()).where(Job.owner_id == owner_id).group_by(Job.state)
    counts = dict(session.execute(by_state).tuples().all())
    return {state.value: counts.get(state, 0) for state in JobState}


def _erase(which: ColumnElement[bool]) -> int:
    """Erase these jobs, each in a transaction of its own, up to the youngest that is there now."""
    erased = 0
    with db.session() as work:
        last = work.scalar(select(Job.id).where(which).order_by(Job.id.desc()).limit(1))
    while last:
        with db.session() as work:
            batch = select(Job.id, Job.owner_id).where(which, Job.id <= last).order_by(Job.id.desc()).limit(BATCH)
            rows = work.execute(batch).all()
        for job_id, owner_id in rows:
            with suppress(NotFound), db.session() as work:  # somebody else may be faster
                erasure.erase(work, owner_id, job_id)
                erased += 1
        last = uuid.UUID(int=rows[-1].id.int - 1) if rows else None
    return erased


def _complete(owner_id: uuid.UUID, job_id: uuid.UUID) -> dict[str, Any]:
    with db.session() as work:
        job = job_views.owned(work, owner_id, job_id)
        text = job.full_text
    return {
        "text": text,
        "text_preview": _preview(text or ""),
        "audio_url": links_files.audio_url(job),
        "transcript_url": links_files.transcript_url(job),
    }


def _failure(job: Job | JobRow) -> dict[str, Any]:
    code = job.error_code or ("cancelled" if job.state == JobState.CANCELLED else "unexpected_error")
    message = job.error_message or ("The task was cancelled." if code == "cancelled" else "The task failed.")
    return {"code": CODES.get(code, "unexpected_error"), "message": message, "raw_error": code}


def _preview(text: str) -> str:
    return text if len(text) <= PREVIEW_CHARS else text[:PREVIEW_CHARS].rsplit(" ", 1)[0] + "..."
