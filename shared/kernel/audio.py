"""Audio that convert has made: many times as large as its recording, and soon made again. It expires.

The recording stays, and so does what is known about the audio (its length, its parts), under the stage EXPIRED: a task
that needs none of its samples is made as if nothing had happened, and one that needs them converts once more and puts
them back into the same row. Audio of a task that is not finished is in use and stays.

The copy that people listen to, which convert makes beside it, is a row of its own that belongs to that one: it stays as
long as a task refers to the audio, which may have expired.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from shared.claims import Copy
from shared.db import session
from shared.errors import StorageUnavailable
from shared.models import Artifact, Erasure, Job, Stage
from shared.stages import SOURCE
from shared.states import TERMINAL, JobState
from shared.storage import Storage

AUDIO, EXPIRED = "convert", "expired"
"""Stages of an artifact with its object, and without. A release that does not know the second converts once more."""

COPY = "listen"
"""Stage of an artifact that is the copy for listening. No job has such a stage."""

LIVE = [state for state in JobState if state not in TERMINAL]
BATCH = 100


def expire(storage: Storage, ttl_s: float) -> int:
    """Remove audio that no unfinished task has used for so long; returns how many. Safe to run twice at once.

    What was marked is removed by a later run when storage is away.
    """
    over = (Artifact.stage == AUDIO, Artifact.used_at < func.now() - timedelta(seconds=ttl_s))
    with session() as work:
        artifact_ids = work.scalars(select(Artifact.id).where(*over).order_by(Artifact.used_at).limit(BATCH)).all()
    for artifact_id in artifact_ids:
        with session() as work:  # one at a time, as each is locked against those who begin to use it
            _mark(work, artifact_id)
    return _remove(storage)


def revived(work: Session, owner_id: uuid.UUID, stage: str, hash: str, key: str, size: int) -> Artifact | None:
    """The row of expired audio, which has this object from now on; None when there is none, or audio is there again.

    Its meta stays: parts of the recording may have been recognised by the plan that it holds.
    """
    if stage != AUDIO:
        return None
    conditions = (Artifact.owner_id == owner_id, Artifact.hash == hash)
    row = work.scalars(select(Artifact).where(*conditions, Artifact.stage == EXPIRED).with_for_update()).one_or_none()
    if row is None or work.scalar(select(exists().where(*conditions, Artifact.stage == AUDIO))):
        return None
    if row.bytes:  # its object is still to be removed, and nobody else would know of it
        work.add(Erasure(job_id=uuid7(), owner_id=owner_id, prefix=row.key, keys=[row.key]))
    row.stage, row.key, row.bytes, row.used_at = AUDIO, key, size, func.now()
    work.flush()
    return row


def keep_copy(work: Session, audio: Artifact, hash: str, copy: Copy) -> bool:
    """Publish the copy of this audio; False when there is one already. The audio's row is locked."""
    fields = {"owner_id": audio.owner_id, "parent_id": audio.id, "stage": COPY, "hash": hash}
    statement = insert(Artifact).values(key=copy.key, bytes=copy.bytes, meta=copy.meta, **fields)
    unless_there = statement.on_conflict_do_nothing(index_elements=["owner_id", "stage", "hash"])
    return work.scalar(unless_there.returning(Artifact.id)) is not None


def copy_of(work: Session, job_id: uuid.UUID) -> Artifact | None:
    """The copy of a task's recording; None before it is converted, or when an earlier release has done that."""
    audio = select(Stage.artifact_id).where(Stage.job_id == job_id, Stage.name == AUDIO)
    return work.scalars(select(Artifact).where(Artifact.parent_id.in_(audio), Artifact.stage == COPY)).one_or_none()


def recording_of(work: Session, job_id: uuid.UUID) -> Artifact | None:
    """A task's recording as it was sent; None until it is there."""
    recording = select(Stage.artifact_id).where(Stage.job_id == job_id, Stage.name == SOURCE)
    return work.scalars(select(Artifact).where(Artifact.id.in_(recording))).one_or_none()


def _mark(work: Session, artifact_id: uuid.UUID) -> None:
    query = select(Artifact).where(Artifact.id == artifact_id, Artifact.stage == AUDIO)
    row = work.scalars(query.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return  # somebody begins to use it, or was faster
    # asked behind the lock: whoever began to use it has committed by now
    in_use = exists().where(Stage.artifact_id == row.id, Stage.job_id == Job.id, Job.state.in_(LIVE))
    if work.scalar(select(in_use)):
        row.used_at = func.now()
        return
    same = select(Artifact).where(
        Artifact.owner_id == row.owner_id, Artifact.stage == EXPIRED, Artifact.hash == row.hash
    )
    if before := work.scalars(same.with_for_update()).one_or_none():
        before.hash = f"{before.hash}-{before.id}"  # made again by a release that did not know it; tasks refer to it
        work.flush()
    row.stage = EXPIRED


def _remove(storage: Storage) -> int:
    """Delete the objects of marked audio."""
    marked = (Artifact.stage == EXPIRED, Artifact.bytes > 0)
    with session() as work:
        rows = work.execute(select(Artifact.id, Artifact.key).where(*marked).limit(BATCH)).all()
    if not rows:
        return 0
    try:
        storage.delete([key for _, key in rows])
    except StorageUnavailable:
        return 0
    with session() as work:
        for artifact_id, key in rows:
            statement = update(Artifact).where(*marked, Artifact.id == artifact_id, Artifact.key == key)
            work.execute(statement.values(bytes=0).execution_options(synchronize_session=False))
    return len(rows)
