"""Requests that must not be carried out twice, by the key that their sender gave them.

The key is noted in the transaction that makes the job or the batch, so there is never one without the other; deleting
that frees its key.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from shared.errors import IdempotencyConflict
from shared.kernel.orders import RemoteSource, Source
from shared.models import Batch, IdempotencyKey, Job
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
    return _once(owner_id, key, _request(recording, options, priority, notes))


def once_for_batch(
    owner_id: uuid.UUID,
    key: str,
    items: Iterable[tuple[str, JobOptions, Priority, JobNotes]],
    notes: JobNotes,
) -> Once:
    """The request of a batch: its items in order, each with its URL or the id of its upload, and its own notes."""
    described = [_request(*item) for item in items]
    return _once(owner_id, key, ["batch", described, notes.model_dump(exclude_defaults=True)])


def once_again(owner_id: uuid.UUID, key: str, job_id: uuid.UUID) -> Once:
    """The request to do this job again."""
    return _once(owner_id, key, ["retry", str(job_id)])


def first(session: Session, request: Once) -> Job | None:
    """The job that this very request has made before; None if it is the first with its key.

    Then it is the only one until the transaction ends: equal ones that come meanwhile wait here, and find its job.
    Raises IdempotencyConflict when the key stands for another request.
    """
    row = _noted(session, request)
    return session.get_one(Job, row.job_id) if row else None


def first_batch(session: Session, request: Once) -> Batch | None:
    """The batch that this very request has made before, by the same rules."""
    row = _noted(session, request)
    return session.get_one(Batch, row.batch_id) if row else None


def is_known(session: Session, owner_id: uuid.UUID, key: str) -> bool:
    """Whether the key stands for a request, this one or another."""
    fresh = IdempotencyKey.created_at >= func.now() - KEPT
    query = select(IdempotencyKey.key).where(IdempotencyKey.owner_id == owner_id, IdempotencyKey.key == key, fresh)
    return session.scalar(query) is not None


def note(session: Session, request: Once, submission: Job | Batch) -> None:
    """From now on the key stands for this job or batch."""
    row = IdempotencyKey(owner_id=request.owner_id, key=request.key, request_hash=request.request_hash)
    if isinstance(submission, Job):
        row.job_id = submission.id
    else:
        row.batch_id = submission.id
    session.add(row)


def _noted(session: Session, request: Once) -> IdempotencyKey | None:
    session.execute(select(func.pg_advisory_xact_lock(_lock(request))))
    conditions = (IdempotencyKey.owner_id == request.owner_id, IdempotencyKey.key == request.key)
    session.execute(delete(IdempotencyKey).where(*conditions, IdempotencyKey.created_at < func.now() - KEPT))
    row = session.scalars(select(IdempotencyKey).where(*conditions)).one_or_none()
    if row and row.request_hash != request.request_hash:
        reference = {"task_id": str(row.job_id)} if row.job_id else {"batch_id": str(row.batch_id)}
        raise IdempotencyConflict("This Idempotency-Key was used for another request.", **reference)
    return row


def _request(recording: str, options: JobOptions, priority: Priority, notes: JobNotes) -> list[Any]:
    return [recording, options.model_dump(exclude_defaults=True), priority, notes.model_dump(exclude_defaults=True)]


def _once(owner_id: uuid.UUID, key: str, request: list[Any]) -> Once:
    return Once(owner_id, key, hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest())


def sweep(session: Session) -> None:
    """Forget keys that are too old to count."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - KEPT))


def _lock(request: Once) -> int:
    """A number for the key, as PostgreSQL wants it: signed, 64 bits. A collision only makes two requests queue."""
    digest = hashlib.sha256(request.owner_id.bytes + request.key.encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
