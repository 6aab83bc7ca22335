"""PATCH /tasks/{id}: what a person puts right in a transcript, and the versions that this makes."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError

from api.bodies import views
from api.bodies.corrections import TranscriptVersion, TranscriptVersions
from api.bodies.schemas import JSON, json_schema, request_body
from api.bodies.tasks import TaskDetail
from api.dependencies import CallerDep, DetachedCallerDep, SessionDep, StorageDep
from api.errors import responses
from api.intake import body_limits, parameters, transfer
from api.intake.ingest import in_thread
from api.transcripts import corrections
from api.transcripts.correction_request import CorrectionRequest
from shared import db
from shared.errors import (
    DatabaseUnavailable,
    FileTooLarge,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotReady,
    StorageUnavailable,
    Unauthorized,
    VersionConflict,
    WrongState,
)
from shared.kernel import job_views
from shared.options import JobNotes
from shared.storage import Storage
from shared.transcript import Transcript, from_json

router = APIRouter(tags=["tasks"], responses=responses(Unauthorized, Forbidden, NotFound, DatabaseUnavailable))


def _schema() -> dict[str, Any]:
    """The body for OpenAPI, with the limits of labels, which are those of a new task."""
    schema = json_schema(CorrectionRequest)
    fields, noted = schema["properties"], json_schema(JobNotes)["properties"]
    fields["tags"]["anyOf"][0] |= {name: noted["tags"][name] for name in ("items", "maxItems")}
    fields["reference"]["anyOf"][0] |= noted["reference"]["anyOf"][0]
    return schema


@router.patch(
    "/tasks/{task_id}",
    response_model=TaskDetail,
    summary="Correct a transcript, or change a task's labels",
    openapi_extra=request_body({JSON: _schema()}),
    responses=responses(InvalidRequest, NotReady, WrongState, VersionConflict, *transfer.REFUSALS, StorageUnavailable),
)
async def correct(task_id: uuid.UUID, request: Request, caller: DetachedCallerDep, storage: StorageDep) -> TaskDetail:
    """Names speakers, edits the text of segments, gives segments to other speakers. Every result follows.

    Each correction makes a new version; `version` in the answer is its number. The original stays: `null` in place of a
    name or a text goes back to it, `restore` to any version. Words that stay keep their times.

        curl -X PATCH -H "Authorization: Bearer $API_KEY" -H "Content-Type: application/json" \\
             -d '{"speakers": {"spk_1": "Anna"}, "segments": [{"id": 0, "text": "Hello there."}]}' $URL/tasks/$TASK_ID
    """
    await in_thread(_check_is_there, caller.id, task_id)  # a stranger's body is not read
    correction = await in_thread(_parsed, await _body(request))
    return await in_thread(_corrected, caller.id, task_id, correction, storage)


@router.get("/tasks/{task_id}/versions", response_model=TranscriptVersions, summary="Versions of a transcript")
def versions(task_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> TranscriptVersions:
    """Newest first, the original last. `GET /result/{task_id}?version=N` shows any of them.

    curl -H "Authorization: Bearer $API_KEY" $URL/tasks/$TASK_ID/versions
    """
    job = job_views.get(session, caller.id, task_id).job
    items = [
        TranscriptVersion(
            version=row.version, speakers=dict(row.names), segments=row.segments, created_at=row.created_at
        )
        for row in corrections.versions(session, job)
    ]
    return TranscriptVersions(task_id=task_id, version=job.version, versions=items)


def _check_is_there(owner_id: uuid.UUID, task_id: uuid.UUID) -> None:
    with db.session() as work:
        job_views.get(work, owner_id, task_id)


async def _body(request: Request) -> bytes:
    try:
        return await body_limits.read(request)
    except FileTooLarge as error:  # this call's own code, from before all limits were in one place: codes are stable
        raise InvalidRequest(error.message, **error.detail) from error


def _parsed(body: bytes) -> CorrectionRequest:
    body_limits.check_json(body)
    try:
        return CorrectionRequest.model_validate_json(body)
    except ValidationError as error:
        raise parameters.invalid(error) from error


def _corrected(owner_id: uuid.UUID, task_id: uuid.UUID, correction: CorrectionRequest, storage: Storage) -> TaskDetail:
    """The original is read before the job's row is locked, so that nobody waits for storage."""
    transcript = None
    if correction.is_about_the_transcript:
        with db.session() as work:
            corrections.check_is_done(job_views.get(work, owner_id, task_id).job)
            key = job_views.transcript_key(work, task_id)
        transcript = from_json(Transcript, storage.get(key))
    with db.session() as work:
        corrections.correct(work, owner_id, task_id, transcript, correction)
        return views.task_detail(job_views.get(work, owner_id, task_id))
