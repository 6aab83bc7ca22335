"""Service v1: transcription below /api/v1, waited for or as a job.

Two older APIs share these paths. What a request looks like decides which of them answers:
a form with `lang`, `format` or `diarization` makes a task, as POST /transcribe does, and so does an id with dashes.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from api import deletion
from api.bodies import catalog, views
from api.bodies.results import Result
from api.bodies.schemas import file_form
from api.bodies.submission import Parameters, names
from api.bodies.tasks import Accepted, Languages, Models, TaskStatus
from api.bodies.views import accepted
from api.contracts.contract_request import (
    SUBMITTING,
    WAITING,
    ContractRequest,
    ContractRequestDep,
    Finished,
    fetched,
)
from api.contracts.service_bodies import JobAccepted, JobList, JobStatus, Status
from api.delivery import check_is_done, show
from api.dependencies import (
    CallerDep,
    DetachedCallerDep,
    JobPollDep,
    PollDep,
    SessionDep,
    SettingsDep,
    StorageDep,
    TranscriptViewDep,
)
from api.errors import responses
from api.history import search
from api.history.filters import Cursor, Limit
from api.intake import parameters
from api.intake.ingest import Upload
from api.intake.parameters import JobSpec
from api.transcripts.formats import FORMATS, as_dict, encoded
from shared.config import link
from shared.errors import (
    DatabaseUnavailable,
    Forbidden,
    InvalidRequest,
    NotFound,
    StorageUnavailable,
    Unauthorized,
    WrongState,
)
from shared.kernel import fleet, job_views, jobs
from shared.kernel.job_views import JobRow
from shared.models import Job
from shared.options import JobOptions
from shared.states import JobState

router = APIRouter(prefix="/api/v1", tags=["service v1"])

OF_TASKS = frozenset({"lang", "format", "diarization"})
"""Fields that only the API of tasks has."""

NAMES = names(Parameters)

SHOWN: dict[str, Any] = {kind.media_type.partition(";")[0]: {} for name, kind in FORMATS.items() if name != "json"}
"""Media types besides JSON that a transcript may come in, for OpenAPI."""

STATUS: Mapping[JobState, Status] = {
    JobState.LIVE: "processing",
    JobState.QUEUED: "pending",
    JobState.PROCESSING: "processing",
    JobState.CANCELLING: "processing",
    JobState.DONE: "completed",
    JobState.ERROR: "failed",
    JobState.CANCELLED: "cancelled",
}
STATES: Mapping[Status, JobState] = {
    status: state for state, status in STATUS.items() if state not in (JobState.CANCELLING, JobState.LIVE)
}
USUAL = (Unauthorized, Forbidden, NotFound, DatabaseUnavailable)


@router.post(
    "/transcribe",
    response_model=None,
    summary="Transcribe a recording and wait for it",
    openapi_extra=file_form(Parameters),
    responses={
        200: {"content": SHOWN, "description": "The transcript"},
        202: {"model": Accepted | JobAccepted, "description": "A task, or a job that takes too long"},
        **responses(*WAITING),
    },
)
async def transcribe(contract: ContractRequestDep) -> Response:
    """Answers with the transcript, as JSON or what `response_format` names; with 202 and a job when it takes too long.

    With `lang`, `format` or `diarization` in the form it answers 202 with a task at once.

        curl -H "Authorization: Bearer $API_KEY" -F file=@audio.mp3 -F language=en $URL/api/v1/transcribe
    """
    job, is_task = await _submit(contract)
    if is_task:
        answer = accepted(job.id, JobState(job.state))
        urls = {"status_url": link(f"/api/v1/status/{job.id}"), "result_url": link(f"/api/v1/result/{job.id}")}
        return JSONResponse(answer.model_copy(update=urls).model_dump(mode="json"), 202)
    if not await contract.until_ended(job.id):
        return JSONResponse(_accepted(job), 202)
    outcome = await contract.finished(job.id)
    format_name = JobOptions.from_row(outcome.job.options).format
    if format_name == "json":
        return JSONResponse(_result(outcome))
    return Response(encoded(outcome.transcript, format_name), media_type=FORMATS[format_name].media_type)


@router.post(
    "/transcribe-async",
    status_code=202,
    response_model=None,
    summary="Transcribe a recording as a job",
    openapi_extra=file_form(Parameters),
    responses={202: {"model": JobAccepted}, **responses(*SUBMITTING)},
)
async def transcribe_async(contract: ContractRequestDep) -> dict[str, Any]:
    """Poll `status_url`; a finished job's status holds the transcript.

    curl -H "Authorization: Bearer $API_KEY" -F file=@audio.mp3 -F model=base $URL/api/v1/transcribe-async
    """
    job, _ = await _submit(contract)
    return _accepted(job)


@router.get(
    "/status/{job_id}",
    response_model=None,
    summary="Where a job stands, and its transcript",
    responses={200: {"model": TaskStatus | JobStatus}, **responses(*USUAL, StorageUnavailable)},
)
async def status(poll: JobPollDep, request: Request, storage: StorageDep) -> dict[str, Any] | TaskStatus:
    """`pending`, `processing`, `completed`, `failed` or `cancelled`, with the transcript in `result`.

    For an id as tasks have them, which is one with dashes, the same as GET /status/{task_id}.

        curl -H "Authorization: Bearer $API_KEY" $URL/api/v1/status/$JOB_ID
    """
    view, job = poll.view, poll.view.job
    if "-" in request.path_params["job_id"]:
        return views.task_status(view)
    is_done = job.state == JobState.DONE  # hours of words are made in a thread: others wait for the event loop
    result = await to_thread.run_sync(lambda: _result(fetched(job, storage))) if is_done else None
    return {
        **_summary(job),
        "progress": view.progress,
        "estimated_time": view.eta_seconds,
        "result": result,
        "error": job.error_message,
        "error_code": job.error_code,
    }


@router.get(
    "/jobs",
    response_model=None,
    summary="All jobs of this key",
    responses={200: {"model": JobList}, **responses(*USUAL, InvalidRequest)},
)
def listing(
    caller: CallerDep,
    session: SessionDep,
    status: Annotated[Status | None, Query(description="Only jobs in this state")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Newest first, a page at a time.

    curl -H "Authorization: Bearer $API_KEY" "$URL/api/v1/jobs?status=processing"
    """
    state = STATES[status] if status else None
    before = views.row_before(cursor)
    rows, last = search.page(session, caller.id, limit=limit, before=before, filters=search.Filters(state=state))
    return {"jobs": [_summary(job) for job in rows], "next_cursor": views.cursor_of(last)}


@router.post(
    "/jobs/{job_id}/cancel", response_model=None, summary="Stop a job", responses=responses(*USUAL, WrongState)
)
def cancel(job_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> dict[str, Any]:
    """It is cancelled at once, or within seconds when a worker has it.

    curl -X POST -H "Authorization: Bearer $API_KEY" $URL/api/v1/jobs/$JOB_ID/cancel
    """
    jobs.cancel(session, caller.id, job_id)
    return {"job_id": job_id.hex, "status": "cancelled", "message": "The job is being stopped."}


@router.delete(
    "/jobs/{job_id}",
    response_model=None,
    summary="Delete a job",
    responses={202: {"description": "Deleted; storage will be emptied when it answers again"}, **responses(*USUAL)},
)
def delete(job_id: uuid.UUID, response: Response, caller: DetachedCallerDep, storage: StorageDep) -> dict[str, Any]:
    """Removes the recording and everything made of it, as DELETE /tasks/{task_id} does.

    curl -X DELETE -H "Authorization: Bearer $API_KEY" $URL/api/v1/jobs/$JOB_ID
    """
    receipt = deletion.delete_task(caller.id, job_id, storage)
    response.status_code = 200 if receipt.verified else 202
    return {"job_id": job_id.hex, "deleted": receipt.erased, "message": "The job has been deleted."}


@router.get(
    "/result/{task_id}",
    response_model=None,
    summary="The transcript of a task",
    responses={200: {"model": Result, "content": SHOWN}, **responses(*WAITING)},
)
async def result(poll: PollDep, storage: StorageDep, view: TranscriptViewDep) -> Response:
    """The same as GET /result/{task_id}.

    curl -OJ -H "Authorization: Bearer $API_KEY" "$URL/api/v1/result/$TASK_ID?format=srt"
    """
    check_is_done(poll.view.job)
    return await to_thread.run_sync(show, poll.view.job, storage, view)


@router.get(
    "/models",
    response_model=Models,
    summary="Available models",
    responses=responses(Unauthorized, Forbidden, DatabaseUnavailable),
)
def models(caller: CallerDep, work: SessionDep, config: SettingsDep) -> Models:
    """The same as GET /models."""
    return catalog.models(config, fleet.stock(work))


@router.get(
    "/languages",
    response_model=Languages,
    summary="Available languages",
    responses=responses(Unauthorized, Forbidden, DatabaseUnavailable),
)
def languages(caller: CallerDep) -> Languages:
    """The same as GET /languages."""
    return catalog.languages()


async def _submit(contract: ContractRequest) -> tuple[Job, bool]:
    """The job, and whether the form was one of tasks."""

    def read(upload: Upload) -> tuple[JobSpec, bool]:
        return parameters.parse(upload.fields, contract.config), not OF_TASKS.isdisjoint(upload.fields)

    return await contract.submit(read, field_names=NAMES)


def _accepted(job: Job) -> dict[str, Any]:
    is_done = job.state == JobState.DONE
    return {
        "job_id": job.id.hex,
        "status": STATUS[JobState(job.state)],
        "message": "The transcript is ready." if is_done else "Transcription job accepted and queued for processing",
        "status_url": link(f"/api/v1/status/{job.id.hex}"),
        "estimated_time": 0 if is_done else None,
    }


def _summary(job: Job | JobRow) -> dict[str, Any]:
    return {
        "job_id": job.id.hex,
        "status": STATUS[JobState(job.state)],
        "filename": job.filename,
        "created_at": job.created_at,
        "completed_at": job.finished_at,
    }


def _result(outcome: Finished) -> dict[str, Any]:
    words = JobOptions.from_row(outcome.job.options).timestamp_granularity == "word"
    return {
        **as_dict(outcome.transcript, words=words),
        "processing_time": job_views.processing_time(outcome.job),
    }
