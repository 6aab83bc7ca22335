"""The files of a complete job, by the hash of its recording. Each key sees its own only."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.dependencies import CallerDep, DetachedCallerDep, SessionDep, StorageDep
from api.errors import responses
from shared import db
from shared.config import link
from shared.errors import NotFound, StorageUnavailable
from shared.kernel.audio import EXPIRED
from shared.models import Artifact, Job, Stage
from shared.states import JobState
from shared.storage import Storage

router = APIRouter(prefix="/files", responses=responses(NotFound))

PIECE_BYTES = 1024**2
"""What is held in memory of a file on its way out."""

ContentHash = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the recording")]


def audio_url(job: Job) -> str:
    """Where the recording's sound is to be had."""
    return link(f"/files/audio/{job.source_sha256}.wav")


def transcript_url(job: Job) -> str:
    """Where the transcript is to be had."""
    return link(f"/files/transcripts/{job.source_sha256}.json")


def transcript_body(job: Job) -> dict[str, Any]:
    """The transcript as this API shows it."""
    return {
        "job_id": str(job.id),
        "text": job.full_text,
        "source_url": job.source_url,
        "created_at": job.created_at,
        "model": job.model,
        "content_hash": job.source_sha256,
    }


@router.get("/transcripts/{content_hash}.json", response_model=None, summary="The latest transcript of a recording")
def transcript(content_hash: ContentHash, caller: CallerDep, session: SessionDep) -> dict[str, Any]:
    """The same as GET /transcript/{job_id}."""
    return transcript_body(_latest(session, caller.id, content_hash))


@router.get(
    "/audio/{content_hash}.wav",
    response_model=None,
    summary="A recording's sound as it was recognised: 16 kHz, mono",
    responses={200: {"content": {"audio/wav": {}}}, **responses(StorageUnavailable)},
)
def audio(content_hash: ContentHash, caller: DetachedCallerDep, storage: StorageDep) -> StreamingResponse:
    """curl -O -H "Authorization: Bearer $API_KEY" $URL/files/audio/$CONTENT_HASH.wav"""
    with db.session() as work:
        job = _latest(work, caller.id, content_hash)
        converted = select(Artifact).join(Stage).where(Stage.job_id == job.id, Stage.name == "convert")
        file = work.scalars(converted).one()
    if file.stage == EXPIRED:
        raise NotFound("The sound was removed, as no task has used it for AUDIO_TTL_S; the recording is still there.")
    size = storage.size(file.key)  # a storage that is away is found out before the answer has begun
    return StreamingResponse(
        _pieces(storage, file.key, size), media_type="audio/wav", headers={"Content-Length": str(size)}
    )


def _latest(session: Session, owner_id: uuid.UUID, content_hash: str) -> Job:
    query = select(Job).where(Job.owner_id == owner_id, Job.source_sha256 == content_hash, Job.state == JobState.DONE)
    job = session.scalars(query.order_by(Job.id.desc()).limit(1)).one_or_none()
    if job is None:
        raise NotFound("There is no such file.")
    return job


def _pieces(storage: Storage, key: str, size: int) -> Iterator[bytes]:
    for start in range(0, size, PIECE_BYTES):
        yield storage.get_range(key, start, min(start + PIECE_BYTES, size))
