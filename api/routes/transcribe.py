"""POST /transcribe: a recording comes in."""

from __future__ import annotations

from typing import Any

import anyio
from fastapi import APIRouter, Request, Response
from uuid_utils.compat import uuid7

from api import intake, parameters, submission
from api.dependencies import DetachedCallerDep, SettingsDep, StorageDep
from api.errors import responses
from shared.errors import (
    DatabaseUnavailable,
    FileTooLarge,
    Forbidden,
    IncompleteUpload,
    InvalidRequest,
    ModelNotAllowed,
    NoAudio,
    StorageUnavailable,
    Unauthorized,
)
from shared.jobs import Source
from shared.options import JobOptions
from shared.schemas import Accepted
from shared.states import JobState
from shared.storage import upload_key

router = APIRouter(tags=["transcribe"])

FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "Any audio or video file"},
        **JobOptions.model_json_schema()["properties"],
        "language": {"type": "string", "default": "auto", "description": "Code or English name; auto detects"},
        "lang": {"type": "string", "description": "The same as language"},
        "response_format": {"type": "string", "description": "The same as format"},
        "priority": {"type": "string", "enum": ["interactive", "normal", "batch"], "default": "normal"},
    },
}
"""The body in OpenAPI. FastAPI cannot derive it, because the route reads the stream itself."""


@router.post(
    "/transcribe",
    status_code=202,
    response_model=Accepted,
    summary="Transcribe a recording",
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": FORM}}}},
    responses=responses(
        InvalidRequest, Unauthorized, Forbidden, IncompleteUpload, FileTooLarge, ModelNotAllowed, NoAudio,
        DatabaseUnavailable, StorageUnavailable,
    ),
)  # fmt: skip
async def transcribe(
    request: Request, response: Response, caller: DetachedCallerDep, config: SettingsDep, storage: StorageDep
) -> Accepted:
    """Send a file and what to do with it; poll `status_url`, then fetch `result_url`.

        curl -H "Authorization: Bearer $API_KEY" -F file=@meeting.mp3 -F diarization=true $URL/transcribe

    The same recording with the same options is answered at once from what is known: `status` is `done`.
    """
    _refuse_misplaced(request)
    job_id = uuid7()
    request.state.task_id = job_id
    await intake.in_thread(submission.announce, caller.id, job_id)
    key = upload_key(caller.id, job_id)
    writer = storage.writer(key)
    try:
        upload = await intake.receive(request, writer, known=parameters.NAMES, max_bytes=config.max_upload_bytes)
        asked = parameters.parse(upload.fields, config)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await intake.in_thread(submission.withdraw, job_id, writer)
        raise
    source = Source(key, upload.sha256, upload.bytes, upload.filename)
    order = submission.Order(job_id, caller.id, source, asked, request.state.request_id)
    job = await intake.in_thread(submission.place, order, writer, storage)
    answer = accepted(job.id, JobState(job.state))
    response.headers["Location"] = answer.status_url
    return answer


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
