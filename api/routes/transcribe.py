"""POST /transcribe: a recording comes in."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response
from uuid_utils.compat import uuid7

from api import fields, intake, parameters, remote, submission
from api.dependencies import DetachedCallerDep, SettingsDep, StorageDep
from api.errors import responses
from shared.config import Settings
from shared.errors import (
    AdapterDisabled,
    BlockedAddress,
    DatabaseUnavailable,
    FileTooLarge,
    Forbidden,
    IncompleteUpload,
    InvalidRequest,
    InvalidUrl,
    ModelNotAllowed,
    NoAudio,
    StorageUnavailable,
    Unauthorized,
)
from shared.jobs import Source
from shared.keys import Caller
from shared.models import Job
from shared.options import JobOptions
from shared.schemas import Accepted
from shared.states import JobState
from shared.storage import Storage, upload_key

router = APIRouter(tags=["transcribe"])

NAMES = parameters.NAMES | remote.FIELDS
"""Every field but the file."""

OPTIONS: dict[str, Any] = {
    **JobOptions.model_json_schema()["properties"],
    "language": {"type": "string", "default": "auto", "description": "Code or English name; auto detects"},
    "lang": {"type": "string", "description": "The same as language"},
    "response_format": {"type": "string", "description": "The same as format"},
    "priority": {"type": "string", "enum": ["interactive", "normal", "batch"], "default": "normal"},
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
            "description": "Address of a recording, of a page with one, or s3://bucket/key where that is offered",
            "examples": ["https://media.example/meeting.mp3"],
        },
        "refresh": {
            "type": "boolean",
            "default": False,
            "description": "Fetch it again although it was fetched before",
        },
        **OPTIONS,
    },
}

BODIES: dict[str, Any] = {
    "multipart/form-data": {"schema": {"oneOf": [FORM, BY_URL]}},
    fields.JSON: {"schema": BY_URL},
    fields.URLENCODED: {"schema": BY_URL},
}
"""The body in OpenAPI. FastAPI cannot derive it, because the route reads the stream itself."""


@router.post(
    "/transcribe",
    status_code=202,
    response_model=Accepted,
    summary="Transcribe a recording",
    openapi_extra={"requestBody": {"required": True, "content": BODIES}},
    responses=responses(
        InvalidRequest, Unauthorized, Forbidden, IncompleteUpload, FileTooLarge, ModelNotAllowed, NoAudio,
        InvalidUrl, BlockedAddress, AdapterDisabled, DatabaseUnavailable, StorageUnavailable,
    ),
)  # fmt: skip
async def transcribe(
    request: Request, response: Response, caller: DetachedCallerDep, config: SettingsDep, storage: StorageDep
) -> Accepted:
    """Send a file or a URL, and what to do with it; poll `status_url`, then fetch `result_url`.

        curl -H "Authorization: Bearer $API_KEY" -F file=@meeting.mp3 -F diarization=true $URL/transcribe
        curl -H "Authorization: Bearer $API_KEY" -F url=https://media.example/meeting.mp3 $URL/transcribe

    The same recording, or the same URL, with the same options is answered at once from what is known: `status` is
    `done`.
    """
    _refuse_misplaced(request)
    job_id = uuid7()
    request.state.task_id = job_id
    if fields.is_short(request):
        job = await _by_url(request, job_id, caller, config, await fields.read(request, known=NAMES))
    else:
        job = await _by_form(request, job_id, caller, config, storage)
    answer = accepted(job.id, JobState(job.state))
    response.headers["Location"] = answer.status_url
    return answer


async def _by_form(request: Request, job_id: uuid.UUID, caller: Caller, config: Settings, storage: Storage) -> Job:
    await intake.in_thread(submission.announce, caller.id, job_id)
    key = upload_key(caller.id, job_id)
    writer = storage.writer(key)
    try:
        upload = await intake.receive(
            request,
            writer,
            known=NAMES,
            max_bytes=config.max_upload_bytes,
            instead=(remote.URL,),
            takes_files=config.allow_upload_adapter,
        )
        asked = parameters.parse(upload.fields, config) if upload.bytes else None
    except BaseException:
        with anyio.CancelScope(shield=True):
            await intake.in_thread(submission.withdraw, job_id, writer)
        raise
    if asked is None:
        await intake.in_thread(submission.withdraw, job_id, writer)
        return await _by_url(request, job_id, caller, config, upload.fields)
    source = Source(key, upload.sha256, upload.bytes, upload.filename)
    order = submission.Order(job_id, caller.id, source, asked, request.state.request_id)
    return await intake.in_thread(submission.place, order, writer, storage)


async def _by_url(
    request: Request, job_id: uuid.UUID, caller: Caller, config: Settings, given: Mapping[str, str]
) -> Job:
    order = remote.order(given, config, job_id=job_id, owner_id=caller.id, request_id=request.state.request_id)
    return await intake.in_thread(submission.place_remote, order)


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
    if "idempotency-key" in request.headers:
        raise InvalidRequest("There is no parameter 'Idempotency-Key'.", parameter="Idempotency-Key")
