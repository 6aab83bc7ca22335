"""Deleting a job for good: rows first, in one transaction; then objects; then a check that nothing is left.

The erasure's row outlives the job. It names what must be gone, so that a deletion interrupted anywhere is finished by
the sweep, and an object that a worker wrote a moment too late is removed as well.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from shared.errors import NotFound
from shared.jobs import lock
from shared.models import Artifact, Erasure, Stage
from shared.storage import Storage, job_prefix

SECOND_LOOK = timedelta(minutes=15)
"""When a verified erasure is looked at once more: long after any worker that lost its lease can have written."""


def erase(session: Session, owner_id: uuid.UUID, job_id: uuid.UUID) -> Erasure:
    """Delete the job's rows and the answers that no other job uses. Workers find their lease gone and stop."""
    job = lock(session, job_id)
    if job is None or job.owner_id != owner_id:
        raise NotFound("There is no such task.")
    used = list(
        session.scalars(select(Stage.artifact_id).where(Stage.job_id == job_id, Stage.artifact_id.is_not(None)))
    )
    session.delete(job)
    session.flush()
    unused = delete(Artifact).where(Artifact.id.in_(used), ~exists().where(Stage.artifact_id == Artifact.id))
    keys = list(session.scalars(unused.returning(Artifact.key)))
    erasure = Erasure(job_id=job_id, owner_id=owner_id, prefix=job_prefix(owner_id, job_id), keys=keys)
    session.add(erasure)
    session.flush()
    return erasure


def purge(session: Session, storage: Storage, erasure: Erasure) -> None:
    """Remove the erasure's objects and verify that they are gone. Safe to repeat."""
    shared = set(session.scalars(select(Artifact.key).where(Artifact.key.startswith(erasure.prefix, autoescape=True))))
    storage.abort_uploads(erasure.prefix)
    doomed = {*erasure.keys, *storage.list(erasure.prefix)} - shared
    erasure.objects += storage.delete(doomed) if doomed else 0
    if not set(storage.list(erasure.prefix)) - shared:
        erasure.settled = erasure.verified_at is not None
        erasure.verified_at = func.now()
        erasure.keys = []


def unfinished(session: Session, limit: int = 100) -> list[Erasure]:
    """Erasures to purge now: those not verified yet, and the others once more when their second look is due."""
    due = Erasure.verified_at.is_(None) | (Erasure.created_at < func.now() - SECOND_LOOK)
    return list(
        session.scalars(
            select(Erasure)
            .where(~Erasure.settled, due)
            .order_by(Erasure.created_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    )
