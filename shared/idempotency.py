"""Requests that must not be carried out twice, by the key that their sender gave them.

The key is noted in the transaction that makes the job, so there is never one without the other; deleting the job
frees its key.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from shared.errors import IdempotencyConflict
from shared.jobs import RemoteSource, Source
from shared.models import IdempotencyKey, Job
from shared.options import JobNotes, JobOptions, Priority

KEPT = timedelta(hours=24)
"""How long a key stands for its first request."""


@dataclass(frozen=True, slots=True)
class Once:
    """A request by its sender's key, and `request_hash`, by which a repetition is told from another request."""

    owner_id: uuid.UUID
    key: str
    request_hash: str


def once(
    owner_id: uuid.UUID,
    key: str,
    source: Source | RemoteSource,
    options: JobOptions,
    priority: Priority,
    notes: JobNotes,
) -> Once:
    """The request of a submission: what is to be transcribed, by content or by URL, and how."""
    recording = source.url if isinstance(source, RemoteSource) else source.sha256
    request = [recording, options.model_dump(exclude_defaults=True), priority, notes.model_dump(exclude_defaults=True)]
    return Once(owner_id, key, hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest())


def first(session: Session, request: Once) -> Job | None:
    """The job that this very request has made before; None if it is the first with its key.

    Then it is the only one until the transaction ends: equal ones that come meanwhile wait here, and find its job.
    Raises IdempotencyConflict when the key stands for another request.
    """
    session.execute(select(func.pg_advisory_xact_lock(_lock(request))))
    mine = (IdempotencyKey.owner_id == request.owner_id, IdempotencyKey.key == request.key)
    session.execute(delete(IdempotencyKey).where(*mine, IdempotencyKey.created_at < func.now() - KEPT))
    row = session.scalars(select(IdempotencyKey).where(*mine)).one_or_none()
    if row is None:
        return None
    if row.request_hash != request.request_hash:
        raise IdempotencyConflict("This Idempotency-Key was used for another request.", task_id=str(row.job_id))
    return session.get_one(Job, row.job_id)


def note(session: Session, request: Once, job: Job) -> None:
    """From now on the key stands for this job."""
    session.add(
        IdempotencyKey(owner_id=request.owner_id, key=request.key, request_hash=request.request_hash, job_id=job.id)
    )


def sweep(session: Session) -> None:
    """Forget keys that are too old to count."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - KEPT))


def _lock(request: Once) -> int:
    """A number for the key, as PostgreSQL wants it: signed, 64 bits. A collision only makes two requests queue."""
    digest = hashlib.sha256(request.owner_id.bytes + request.key.encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
