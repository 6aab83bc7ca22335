"""Deleting a job for good: rows first, in one transaction; then objects; then a check that nothing is left.

The erasure's row outlives the job. It names what must be gone, so that a deletion interrupted anywhere is finished by
the sweep, and an object that a worker wrote a moment too late is removed as well.

An upload is announced by such a row too, before its first byte is stored: an erasure that lies ahead. The transaction
that makes the upload a job takes it back, so that whatever dies or loses its connection in between, the sweep ends up
removing exactly the uploads that did not become jobs.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.orm import Session

from shared.db import Query, first_row
from shared.errors import IncompleteUpload, NotFound
from shared.kernel import batches, news
from shared.kernel.audio import EXPIRED
from shared.kernel.jobs import lock
from shared.models import Artifact, Erasure, LiveChunk, Stage, Upload
from shared.storage import Storage, job_prefix
from shared.telemetry.metrics import ERASED

SECOND_LOOK = timedelta(minutes=15)
"""When a verified erasure is looked at once more: long after any worker that lost its lease can have written."""

CHUNKS_AT_ONCE = 1000
"""Of half a second at most, so some ten to hundred megabytes."""

UPLOAD_TIME = timedelta(hours=24)
"""How long an upload may take: 5 GiB in a day is 0.5 Mbit/s."""


def erase(session: Session, owner_id: uuid.UUID, job_id: uuid.UUID) -> Erasure:
    """Delete the job's rows and the answers that nothing else uses. Workers find their lease gone and stop."""
    job = lock(session, job_id)
    if job is None or job.owner_id != owner_id:
        raise NotFound("There is no such task.")
    used = list(
        session.scalars(select(Stage.artifact_id).where(Stage.job_id == job_id, Stage.artifact_id.is_not(None)))
    )
    while drop_chunks(session, job_id):
        pass
    session.delete(job)
    session.flush()
    keys = _drop_unused(session, [artifact_id for artifact_id in used if artifact_id])
    erasure = Erasure(job_id=job_id, owner_id=owner_id, prefix=job_prefix(owner_id, job_id), keys=keys)
    session.add(erasure)
    session.flush()
    news.tell(session, job_id)
    batches.forget_task(session, job.batch_id)
    return erasure


def drop_chunks(session: Session, job_id: uuid.UUID) -> bool:
    """Delete a thousand of a live session's chunks, and tell whether there may be more. All of them at once would
    take longer than a statement may."""
    of_job = LiveChunk.job_id == job_id
    piece = select(LiveChunk.seq).where(of_job).order_by(LiveChunk.seq).limit(CHUNKS_AT_ONCE)
    deletion = delete(LiveChunk).where(of_job, LiveChunk.seq.in_(piece)).execution_options(synchronize_session=False)
    result = session.execute(deletion)
    return bool(result.rowcount == CHUNKS_AT_ONCE)  # type: ignore[attr-defined]


def erase_upload(session: Session, owner_id: uuid.UUID, upload_id: uuid.UUID) -> Erasure:
    """Delete an upload in parts, its recording too unless a job uses it. An upload that is complete is no exception."""
    conditions = (Upload.id == upload_id, Upload.owner_id == owner_id)
    upload = session.scalars(select(Upload).where(*conditions).with_for_update()).one_or_none()
    if upload is None:
        raise NotFound("There is no such upload.")
    session.delete(upload)
    session.flush()
    keys = _drop_unused(session, [upload.artifact_id] if upload.artifact_id else [])
    erasure = Erasure(job_id=upload_id, owner_id=owner_id, prefix=job_prefix(owner_id, upload_id), keys=keys)
    session.add(erasure)
    session.flush()
    return erasure


def _drop_unused(session: Session, used: Collection[uuid.UUID]) -> list[str]:
    """Delete those of the answers that neither a job nor an upload refers to any more; returns their objects' keys."""
    # whoever begins to use one of them right now is waited for, so that the next statement sees it
    session.execute(select(Artifact.id).where(Artifact.id.in_(used)).order_by(Artifact.id).with_for_update())
    copies = session.execute(select(Artifact.parent_id, Artifact.key).where(Artifact.parent_id.in_(used))).all()
    unused = delete(Artifact).where(
        Artifact.id.in_(used),
        ~exists().where(Stage.artifact_id == Artifact.id),
        ~exists().where(Upload.artifact_id == Artifact.id),
    )
    rows = session.execute(unused.returning(Artifact.id, Artifact.key, Artifact.stage, Artifact.bytes)).all()
    row_ids = {row.id for row in rows}  # whose copies have gone with them
    return [row.key for row in rows if row.bytes or row.stage != EXPIRED] + [
        key for parent_id, key in copies if parent_id in row_ids
    ]


def purge(session: Session, storage: Storage, erasure: Erasure) -> None:
    """Remove the erasure's objects and verify that they are gone. Safe to repeat."""
    below = Artifact.key.startswith(erasure.prefix, autoescape=True)
    shared = set(session.scalars(select(Artifact.key).where(below, Artifact.stage != EXPIRED)))
    storage.abort_uploads(erasure.prefix)
    doomed = {*erasure.keys, *storage.list(erasure.prefix)} - shared
    erasure.objects += storage.delete(doomed) if doomed else 0
    if not set(storage.list(erasure.prefix)) - shared:
        if erasure.verified_at is None:  # the second look is none of its own
            ERASED.inc()
        erasure.settled = erasure.verified_at is not None
        erasure.verified_at = func.now()
        erasure.keys = []


def unfinished(session: Session, limit: int = 100) -> list[Erasure]:
    """Erasures to purge now: those not verified yet, and the others once more when their second look is due."""
    first_look = Erasure.verified_at.is_(None) & (Erasure.created_at <= func.now())
    due = first_look | (Erasure.created_at < func.now() - SECOND_LOOK)
    return list(
        session.scalars(
            select(Erasure)
            .where(~Erasure.settled, due)
            .order_by(Erasure.created_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    )


# ---- uploads that are not jobs yet


def announcement(owner_id: uuid.UUID, job_id: uuid.UUID) -> Query:
    """An upload is about to begin: what it stores is removed unless `keep` is called within UPLOAD_TIME."""
    row = {"job_id": job_id, "owner_id": owner_id, "prefix": job_prefix(owner_id, job_id), "time": UPLOAD_TIME}
    return Query(
        "INSERT INTO erasures (job_id, owner_id, prefix, keys, created_at)"
        " VALUES (%(job_id)s, %(owner_id)s, %(prefix)s, '{}', now() + %(time)s)"
        " ON CONFLICT DO NOTHING RETURNING job_id",  # whoever runs it may not know whether the first time was in vain
        row,
    )


def keep(session: Session, job_id: uuid.UUID) -> None:
    """The upload becomes a job in this transaction. Raises IncompleteUpload when it took longer than UPLOAD_TIME."""
    # by the clock, not the transaction: whoever was waited for may have ended the announcement in the meantime
    query = "DELETE FROM erasures WHERE job_id = %(job_id)s AND created_at > clock_timestamp() RETURNING job_id"
    if first_row(session, Query(query, {"job_id": job_id})) is None:
        raise IncompleteUpload(f"The upload took longer than {UPLOAD_TIME.total_seconds() / 3600:.0f} hours.")


def forget(session: Session, job_id: uuid.UUID) -> None:
    """The upload failed and left nothing in storage."""
    session.execute(delete(Erasure).where(Erasure.job_id == job_id))


def hasten(session: Session, job_id: uuid.UUID) -> bool:
    """The upload failed and may have left something: the next sweep removes it. False, with nothing changed, when it is
    no longer announced: then it is a job.

    Waits for whoever may be making it one. Whoever tries it later finds that the announcement is over.
    """
    is_announced = (Erasure.job_id == job_id) & (Erasure.created_at > func.clock_timestamp())  # else of a deleted job
    over = update(Erasure).where(is_announced).values(created_at=func.now())
    return session.scalar(over.returning(Erasure.job_id)) is not None
