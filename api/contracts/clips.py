"""Clips: a recording is uploaded once, then transcribed by its id. A clip is an upload that came in one piece."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from api import deletion
from api.bodies.choices import Switch
from api.bodies.schemas import file_form
from api.contracts.contract_request import SUBMITTING, WAITING, ContractRequest, ContractRequestDep, numbered_speaker
from api.dependencies import CallerDep, DetachedCallerDep, SessionDep, StorageDep
from api.errors import responses
from api.intake import arrival, assembly, by_upload, ingest, submission
from shared.errors import DatabaseUnavailable, Forbidden, NotFound, Unauthorized
from shared.intake import uploads
from shared.intake.uploads import UploadState
from shared.models import Job
from shared.transcript import Segment

router = APIRouter(prefix="/api", tags=["clips"])

USUAL = (Unauthorized, Forbidden, NotFound, DatabaseUnavailable)


class ClipQuery(BaseModel):
    """Which clip, and how. A name that is not here is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip_id: uuid.UUID
    diarize: Switch = Field(True, description="Say who spoke when; false is faster")


class ClipUploaded(BaseModel):
    """The answer to a recording."""

    clip_id: uuid.UUID
    message: str = Field(examples=["File uploaded successfully."])


class ClipInfo(BaseModel):
    """A clip that can be transcribed."""

    clip_id: uuid.UUID
    filename: str | None = Field(examples=["interview.mp3"])
    size: int = Field(description="In bytes", examples=[1_048_576])
    created_at: datetime
    expires_at: datetime = Field(description="It is removed then")


class ClipSegment(BaseModel):
    """A stretch of speech; times in seconds."""

    speaker: str | None = Field(description="null without diarization", examples=["SPEAKER_01"])
    start: float
    end: float
    text: str


class ClipTranscript(BaseModel):
    """The answer to a transcription."""

    segments: list[ClipSegment]


@router.post(
    "/audio",
    response_model=ClipUploaded,
    summary="Upload a clip",
    openapi_extra=file_form(),
    responses=responses(*SUBMITTING),
)
async def upload(contract: ContractRequestDep) -> ClipUploaded:
    """Keeps the recording until it expires or is deleted.

    curl -H "Authorization: Bearer $API_KEY" -F file=@interview.mp3 $URL/api/audio
    """
    clip_id, config = uuid7(), contract.config
    await contract.admit()
    receive = partial(
        ingest.receive,
        contract.request,
        field_names=(),
        max_bytes=config.max_upload_bytes,
        takes_files=config.allow_upload_adapter,
    )
    arrived = await arrival.store(
        contract.request, contract.storage, contract.caller.id, clip_id, receive, lambda _: None
    )
    await ingest.in_thread(
        assembly.keep,
        clip_id,
        contract.caller.id,
        arrived.source,
        arrived.writer,
        contract.storage,
        config.upload_ttl_s,
    )
    return ClipUploaded(clip_id=clip_id, message="File uploaded successfully.")


@router.post("/transcribe", response_model=ClipTranscript, summary="Transcribe a clip", responses=responses(*WAITING))
async def transcribe(
    contract: ContractRequestDep, response: Response, query: Annotated[ClipQuery, Query()]
) -> ClipTranscript:
    """Waits for the transcript. If the client goes away the task goes on.

    curl -X POST -H "Authorization: Bearer $API_KEY" "$URL/api/transcribe?clip_id=$CLIP_ID&diarize=false"
    """
    await contract.admit()
    job = await ingest.in_thread(_submit, contract, query)
    result = await contract.finished(job.id)
    response.headers["X-Task-Id"] = str(job.id)
    return ClipTranscript(segments=[_segment(segment) for segment in result.transcript.segments])


@router.get("/audio/{clip_id}", response_model=ClipInfo, summary="About a clip", responses=responses(*USUAL))
def info(clip_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> ClipInfo:
    """Its name and size, and how long it stays.

    curl -H "Authorization: Bearer $API_KEY" $URL/api/audio/$CLIP_ID
    """
    clip = uploads.get(session, caller.id, clip_id)
    if clip.state != UploadState.COMPLETE:
        raise NotFound("There is no such clip.")
    return ClipInfo(
        clip_id=clip.id,
        filename=clip.filename,
        size=clip.bytes,
        created_at=clip.created_at,
        expires_at=clip.expires_at,
    )


@router.delete(
    "/audio/{clip_id}",
    response_model=ClipUploaded,
    summary="Delete a clip",
    responses={
        202: {"model": ClipUploaded, "description": "Storage will be emptied when it answers again"},
        **responses(*USUAL),
    },
)
def delete(clip_id: uuid.UUID, response: Response, caller: DetachedCallerDep, storage: StorageDep) -> ClipUploaded:
    """Removes the recording, unless a task uses it: then it stays until that task is deleted.

    curl -X DELETE -H "Authorization: Bearer $API_KEY" $URL/api/audio/$CLIP_ID
    """
    receipt = deletion.delete_upload(caller.id, clip_id, storage)
    response.status_code = 200 if receipt.verified else 202
    return ClipUploaded(clip_id=clip_id, message="File deleted successfully.")


def _submit(contract: ContractRequest, query: ClipQuery) -> Job:
    job_id = uuid7()
    contract.request.state.task_id = job_id
    order = by_upload.order(
        {by_upload.UPLOAD_ID: str(query.clip_id), "diarization": str(query.diarize)},
        contract.config,
        job_id=job_id,
        owner_id=contract.caller.id,
        request_id=contract.request.state.request_id,
    )
    return submission.place_remote(replace(order, idempotency_key=contract.idempotency_key))


def _segment(segment: Segment) -> ClipSegment:
    return ClipSegment(
        speaker=numbered_speaker(segment.speaker) if segment.speaker else None,
        start=segment.start,
        end=segment.end,
        text=segment.text.strip(),
    )
