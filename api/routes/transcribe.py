"""POST /transcribe: a recording comes in."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from uuid_utils.compat import uuid7

from api import delivery, limits
from api.bodies import views
from api.bodies.results import Result
from api.bodies.schemas import FILE, FORM, JSON, URLENCODED, form_schema, json_schema, request_body
from api.bodies.submission import Submission, UploadSubmission, UrlSubmission, names
from api.bodies.tasks import Accepted
from api.dependencies import IdempotencyKeyDep, SubmitterDep
from api.errors import responses
from api.intake import arrival, by_upload, by_url, fields, ingest, parameters, submission, transfer
from api.intake.parameters import JobSpec
from api.waiting import until_ended
from shared.callers.keys import Caller
from shared.config import Settings, link, settings
from shared.errors import (
    AdapterDisabled,
    BlockedAddress,
    DatabaseUnavailable,
    FileTooLarge,
    Forbidden,
    IdempotencyConflict,
    InvalidRequest,
    InvalidUrl,
    ModelNotAllowed,
    ModelNotInstalled,
    NoAudio,
    NotFound,
    StorageFull,
    StorageUnavailable,
    Unauthorized,
    WrongState,
)
from shared.models import Job
from shared.states import JobState
from shared.storage import Storage
from shared.storage import storage as store

router = APIRouter(tags=["transcribe"])

NAMES = names(UrlSubmission, UploadSubmission)
"""Every field but the file."""

WITHOUT_FILE = [form_schema(UrlSubmission), form_schema(UploadSubmission)]
BODIES = {
    FORM: {"oneOf": [form_schema(Submission, FILE), *WITHOUT_FILE]},
    JSON: {"oneOf": [json_schema(UrlSubmission), json_schema(UploadSubmission)]},
    URLENCODED: {"oneOf": WITHOUT_FILE},
}


@router.post(
    "/transcribe",
    status_code=202,
    response_model=None,
    summary="Transcribe a recording",
    openapi_extra=request_body(BODIES),
    responses={
        200: {"model": Result, "description": "With `wait`: the transcript in the task's format, as of GET /result"},
        202: {"model": Accepted, "description": "The new task"},
        **responses(
            InvalidRequest,
            Unauthorized,
            Forbidden,
            *transfer.REFUSALS,
            FileTooLarge,
            ModelNotAllowed,
            ModelNotInstalled,
            NoAudio,
            InvalidUrl,
            BlockedAddress,
            AdapterDisabled,
            NotFound,
            WrongState,
            IdempotencyConflict,
            *limits.REFUSALS,
            DatabaseUnavailable,
            StorageUnavailable,
            StorageFull,
        ),
    },
)
async def transcribe(
    request: Request,
    caller: SubmitterDep,
    idempotency_key: IdempotencyKeyDep = None,
    prefer: Annotated[str, Header(description="`wait=N`: answer with the result if it is ready within N seconds")] = "",
) -> Response:
    """Send a file, a URL or the id of an upload, and what to do with it; poll `status_url`, then fetch `result_url`.

        curl -H "Authorization: Bearer $API_KEY" -F file=@meeting.mp3 -F diarization=true $URL/transcribe
        curl -H "Authorization: Bearer $API_KEY" -F url=https://media.example/meeting.mp3 $URL/transcribe

    A recording or URL that was transcribed before with the same options is answered at once: `status` is `done`. With
    `wait` the answer is the result itself if it is ready in time, or the error that ended the task.
    """
    _refuse_misplaced(request)
    job_id, config, storage = uuid7(), settings(), store()  # no dependencies: each costs 0.05 ms
    request.state.task_id = job_id
    if fields.is_short(request):
        values = await fields.read(request, field_names=NAMES)
        job, spec = await _without_file(request, job_id, caller, config, values, idempotency_key)
    else:
        job, spec = await _by_form(request, job_id, caller, config, storage, idempotency_key)
    headers = {"Location": link(f"/status/{job.id}")}
    if job.id != job_id:
        headers["Idempotent-Replayed"] = "true"
    wait_s = spec.wait_s if spec.wait_s is not None else parameters.preferred_wait_s(prefer) or 0
    if wait_s and await until_ended(job.id, caller.id, min(wait_s, config.max_wait_s)):
        answer = await to_thread.run_sync(delivery.deliver, caller.id, job.id, storage, delivery.TranscriptView())
        answer.headers.update({**headers, "Content-Location": link(f"/result/{job.id}")})
        return answer
    # as it was at first, so that a repeated request gets the same answer
    state = JobState.DONE if job.cached else JobState.QUEUED
    return JSONResponse(views.accepted(job.id, state).model_dump(mode="json"), 202, headers)


async def _by_form(
    request: Request,
    job_id: uuid.UUID,
    caller: Caller,
    config: Settings,
    storage: Storage,
    idempotency_key: str | None,
) -> tuple[Job, JobSpec]:
    receive = partial(
        ingest.receive,
        request,
        field_names=NAMES,
        max_bytes=config.max_upload_bytes,
        instead=(by_url.URL, by_upload.UPLOAD_ID),
        takes_files=config.allow_upload_adapter,
    )

    def read(form: ingest.Upload) -> JobSpec | None:
        return parameters.parse(form.fields, config) if form.bytes else None

    arrived = await arrival.store(request, storage, caller.id, job_id, receive, read)
    spec = arrived.result
    if spec is None:
        await ingest.in_thread(submission.withdraw, job_id, arrived.writer)
        return await _without_file(request, job_id, caller, config, arrived.form.fields, idempotency_key)
    order = submission.Order(job_id, caller.id, arrived.source, spec, request.state.request_id, idempotency_key)
    return await submission.place(order, arrived.writer, storage), spec


async def _without_file(
    request: Request,
    job_id: uuid.UUID,
    caller: Caller,
    config: Settings,
    values: Mapping[str, str],
    idempotency_key: str | None,
) -> tuple[Job, JobSpec]:
    def place() -> tuple[Job, JobSpec]:
        make = by_upload.order if by_upload.is_named(values) else by_url.order
        order = make(values, config, job_id=job_id, owner_id=caller.id, request_id=request.state.request_id)
        order = replace(order, idempotency_key=idempotency_key)
        return submission.place_remote(order), order.spec

    return await ingest.in_thread(place)


def _refuse_misplaced(request: Request) -> None:
    """Options where they would be ignored are errors, not surprises."""
    if request.query_params:
        name = next(iter(request.query_params))[:100]
        raise InvalidRequest(f"Send {name!r} as a field of the form, not in the address.", parameter=name)
