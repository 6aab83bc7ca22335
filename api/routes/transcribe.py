"""POST /transcribe: a recording comes in."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from uuid_utils.compat import uuid7

from api import limits
from api.bodies.form_schema import in_form
from api.bodies.results import Result
from api.bodies.tasks import Accepted
from api.dependencies import SettingsDep, StorageDep, SubmitterDep
from api.errors import responses
from api.intake import arrival, by_upload, by_url, fields, ingest, parameters, submission, transfer
from api.intake.body_limits import JSON
from api.intake.parameters import JobSpec
from api.routes import results
from api.waiting import until_ended
from shared.callers.keys import Caller
from shared.config import Settings
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
    NoAudio,
    NotFound,
    StorageFull,
    StorageUnavailable,
    Unauthorized,
    WrongState,
)
from shared.models import Job
from shared.options import JobNotes, JobOptions
from shared.states import JobState
from shared.storage import Storage

router = APIRouter(tags=["transcribe"])

NAMES = parameters.NAMES | by_url.FIELDS | by_upload.FIELDS
"""Every field but the file."""

OPTIONS: dict[str, Any] = {
    **JobOptions.model_json_schema()["properties"],
    **JobNotes.model_json_schema()["properties"],
    "tags": {"type": "string", "description": "Labels to find the task by, separated by commas"},
    "language": {"type": "string", "default": "auto", "description": "Code or English name; auto detects"},
    "lang": {"type": "string", "description": "The same as language"},
    "response_format": {**JobOptions.model_json_schema()["properties"]["format"], "description": "The same as format"},
    "priority": {"type": "string", "enum": ["interactive", "normal", "batch"], "default": "normal"},
    "wait": {
        "type": "number",
        "minimum": 0,
        "default": 0,
        "description": "Answer with the result if it is there in "
        "so many seconds; the same as the header Prefer: wait=N",
    },
}

FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "Any audio or video file"},
        **OPTIONS,
    },
}

BY_URL: dict[str, Any] = {
    "type": "object",
    "required": ["url"],
    "additionalProperties": False,
    "properties": {
        "url": {
            "type": "string",
            "minLength": 1,
            "description": "Address of a recording, of a page with one, or s3://bucket/key where that is offered",
            "examples": ["https://media.example/meeting.mp3"],
        },
        "refresh": {
            "type": "boolean",
            "default": False,
            "description": "Fetch it again even if it was fetched before",
        },
        **OPTIONS,
    },
}

BY_UPLOAD: dict[str, Any] = {
    "type": "object",
    "required": ["upload_id"],
    "additionalProperties": False,
    "properties": {
        "upload_id": {"type": "string", "format": "uuid", "description": "A complete upload of POST /uploads"},
        **OPTIONS,
    },
}

BODIES: dict[str, Any] = {
    "multipart/form-data": {"schema": {"oneOf": [in_form(FORM), in_form(BY_URL), in_form(BY_UPLOAD)]}},
    JSON: {"schema": {"oneOf": [BY_URL, BY_UPLOAD]}},
    fields.URLENCODED: {"schema": {"oneOf": [in_form(BY_URL), in_form(BY_UPLOAD)]}},
}
"""The body in OpenAPI. FastAPI cannot derive it, because the route reads the stream itself."""


@router.post(
    "/transcribe",
    status_code=202,
    response_model=None,
    summary="Transcribe a recording",
    openapi_extra={"requestBody": {"required": True, "content": BODIES}},
    responses={
        200: {"model": Result, "description": "With `wait`: the transcript in the task's format, as of GET /result"},
        202: {"model": Accepted, "description": "The new task"},
        **responses(
            InvalidRequest, Unauthorized, Forbidden, *transfer.REFUSALS, FileTooLarge, ModelNotAllowed, NoAudio,
            InvalidUrl, BlockedAddress, AdapterDisabled, NotFound, WrongState, IdempotencyConflict, *limits.REFUSALS,
            DatabaseUnavailable, StorageUnavailable, StorageFull,
        ),
    },
)  # fmt: skip
async def transcribe(
    request: Request,
    caller: SubmitterDep,
    config: SettingsDep,
    storage: StorageDep,
    _idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            max_length=255,
            pattern="^[ -~]+$",
            description="For 24 hours the same key with the same request gives the same task",
        ),
    ] = None,
    prefer: Annotated[str, Header(description="`wait=N`: answer with the result if it is ready within N seconds")] = "",
) -> Response:
    """Send a file, a URL or the id of an upload, and what to do with it; poll `status_url`, then fetch `result_url`.

        curl -H "Authorization: Bearer $API_KEY" -F file=@meeting.mp3 -F diarization=true $URL/transcribe
        curl -H "Authorization: Bearer $API_KEY" -F url=https://media.example/meeting.mp3 $URL/transcribe

    A recording or URL that was transcribed before with the same options is answered at once: `status` is `done`. With
    `wait` the answer is the result itself if it is ready in time, or the error that ended the task.
    """
    _refuse_misplaced(request)
    job_id = uuid7()
    request.state.task_id = job_id
    if fields.is_short(request):
        values = await fields.read(request, field_names=NAMES)
        job, spec = await _without_file(request, job_id, caller, config, values)
    else:
        job, spec = await _by_form(request, job_id, caller, config, storage)
    headers = {"Location": f"/status/{job.id}"}
    if job.id != job_id:
        headers["Idempotent-Replayed"] = "true"
    wait_s = spec.wait_s if spec.wait_s is not None else parameters.preferred_wait_s(prefer) or 0
    if wait_s and await until_ended(job.id, caller.id, min(wait_s, config.max_wait_s)):
        answer = await to_thread.run_sync(results.deliver, caller.id, job.id, storage, results.TranscriptView())
        answer.headers.update({**headers, "Content-Location": f"/result/{job.id}"})
        return answer
    # as it was at first, so that a repeated request gets the same answer
    state = JobState.DONE if job.cached else JobState.QUEUED
    return JSONResponse(accepted(job.id, state).model_dump(mode="json"), 202, headers)


async def _by_form(
    request: Request, job_id: uuid.UUID, caller: Caller, config: Settings, storage: Storage
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
        return await _without_file(request, job_id, caller, config, arrived.form.fields)
    order = submission.Order(job_id, caller.id, arrived.source, spec, request.state.request_id, _key(request))
    return await ingest.in_thread(submission.place, order, arrived.writer, storage), spec


async def _without_file(
    request: Request, job_id: uuid.UUID, caller: Caller, config: Settings, values: Mapping[str, str]
) -> tuple[Job, JobSpec]:
    def place() -> tuple[Job, JobSpec]:
        make = by_upload.order if by_upload.is_named(values) else by_url.order
        order = make(values, config, job_id=job_id, owner_id=caller.id, request_id=request.state.request_id)
        order = replace(order, idempotency_key=_key(request))
        return submission.place_remote(order), order.spec

    return await ingest.in_thread(place)


def _key(request: Request) -> str | None:
    return request.headers.get("idempotency-key")


def accepted(task_id: Any, status: JobState) -> Accepted:
    """The answer to a submission, whatever it came from."""
    is_done = status == JobState.DONE
    return Accepted(
        task_id=task_id,
        job_id=task_id,
        status=status,
        message="The transcript is ready." if is_done else "The recording was accepted.",
        status_url=f"/status/{task_id}",
        result_url=f"/result/{task_id}",
        eta_seconds=0 if is_done else None,
    )


def _refuse_misplaced(request: Request) -> None:
    """Options where they would be ignored are errors, not surprises."""
    if request.query_params:
        name = next(iter(request.query_params))[:100]
        raise InvalidRequest(f"Send {name!r} as a field of the form, not in the address.", parameter=name)
