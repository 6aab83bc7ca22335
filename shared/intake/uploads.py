"""Uploads in parts: their rows. What lies in S3 of them is the business of shared/intake/parts.py.

    open ──► checking ──► complete
      ▲          │
      └──────────┘  a part is missing, or the content is not what was announced

An upload is `checking` from the moment its parts are joined until its content has been read back. Whoever checks holds
a lease; when it dies, the next call of complete goes on from whatever is there. The id that S3 gave the parts is the
fence: it changes when an upload is opened again, and an answer about other parts than the present ones changes nothing.

A complete upload refers to an artifact of the download stage, as jobs over uploaded recordings do, and keeps it alive.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.orm import Session

from shared import db
from shared.callers import quotas
from shared.config import settings
from shared.errors import NotFound, ParleyError, WrongState
from shared.intake.parts import Layout
from shared.kernel import erasure
from shared.kernel.orders import Source
from shared.kernel.submission import new_jobs
from shared.models import Artifact, Upload
from shared.storage import upload_key

CHECK_LEASE = timedelta(seconds=30)
"""A check that has not been heard of for so long is dead."""

BATCH = 100


class UploadState(StrEnum):
    """Where an upload stands."""

    OPEN = "open"
    CHECKING = "checking"
    COMPLETE = "complete"


def begin(
    session: Session,
    *,
    upload_id: uuid.UUID,
    owner_id: uuid.UUID,
    filename: str | None,
    cut: Layout,
    sha256: str | None,
    ttl_s: float,
) -> Upload:
    """Insert an upload. When this owner has sent the same bytes before it is born complete: nothing has to be sent.

    Raises TooManyUploads, StorageQuotaExceeded, and Unauthorized when the key has just been revoked.
    """
    upload = Upload(
        id=upload_id,
        owner_id=owner_id,
        state=UploadState.OPEN,
        filename=filename,
        bytes=cut.bytes,
        sha256=sha256,
        part_bytes=cut.part_bytes,
        key=upload_key(owner_id, upload_id),
        expires_at=func.now() + timedelta(seconds=ttl_s),
    )
    session.add(upload)
    artifact = _uploaded_artifact(session, owner_id, cut.bytes, sha256) if sha256 else None
    if artifact:
        upload.state, upload.artifact_id, upload.completed_at = UploadState.COMPLETE, artifact.id, func.now()
    session.flush()
    session.refresh(upload)
    if artifact is None:
        quotas.check_uploads(session, owner_id, settings())
    return upload


def begin_whole(
    session: Session, *, upload_id: uuid.UUID, owner_id: uuid.UUID, source: Source, ttl_s: float
) -> tuple[Upload, bool]:
    """Insert an upload that came in one piece and is in storage already. Says and raises what `finish` does.

    Raises StorageQuotaExceeded and Unauthorized, too.
    """
    stored = new_jobs.stored(session, owner_id, source)
    upload = Upload(
        id=upload_id,
        owner_id=owner_id,
        state=UploadState.COMPLETE,
        filename=source.filename,
        bytes=source.bytes,
        sha256=source.sha256,
        part_bytes=source.bytes,
        key=source.key,
        artifact_id=stored.id,
        completed_at=func.now(),
        expires_at=func.now() + timedelta(seconds=ttl_s),
    )
    session.add(upload)
    session.flush()
    session.refresh(upload)
    if stored.key == source.key:
        quotas.check_stored(session, owner_id, settings())
    return upload, stored.key != source.key


def _uploaded_artifact(session: Session, owner_id: uuid.UUID, size: int, sha256: str) -> Artifact | None:
    """The recording that this owner has uploaded before; it is not erased before this transaction ends."""
    return session.scalars(
        select(Artifact)
        .where(
            Artifact.owner_id == owner_id,
            Artifact.stage == "download",
            Artifact.hash == sha256,
            Artifact.bytes == size,
            Artifact.meta == {},  # of a recording by URL, the hash is that of the URL
        )
        .with_for_update(read=True, key_share=True)
    ).one_or_none()


def get(session: Session, owner_id: uuid.UUID, upload_id: uuid.UUID) -> Upload:
    """One upload of this owner. Raises NotFound, also for another owner's, and for one that has expired."""
    return _one(session.scalars(_upload_query(owner_id, upload_id)).one_or_none())


def lock(session: Session, owner_id: uuid.UUID, upload_id: uuid.UUID) -> Upload:
    """The same, its row locked until the transaction ends."""
    return _one(session.scalars(_upload_query(owner_id, upload_id).with_for_update()).one_or_none())


def page(
    session: Session, owner_id: uuid.UUID, *, limit: int, before: uuid.UUID | None, state: UploadState | None
) -> tuple[Sequence[Upload], uuid.UUID | None]:
    """This owner's uploads, newest first, and the id to pass as `before` for the next page (None at the end)."""
    query = select(Upload).where(Upload.owner_id == owner_id, Upload.expires_at > func.now())
    if state:
        query = query.where(Upload.state == state)
    if before:
        query = query.where(Upload.id < before)
    rows = session.scalars(query.order_by(Upload.id.desc()).limit(limit + 1)).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def recording(session: Session, owner_id: uuid.UUID, upload_id: uuid.UUID) -> Source:
    """What a job is made from. Until the transaction ends neither the upload nor its recording is erased.

    Raises NotFound, and WrongState unless the upload is complete.
    """
    upload = _one(
        session.scalars(_upload_query(owner_id, upload_id).with_for_update(read=True, key_share=True)).one_or_none()
    )
    if upload.state != UploadState.COMPLETE:
        raise WrongState(f"The upload is {upload.state}; complete it first.", status=upload.state)
    stored = session.get_one(Artifact, upload.artifact_id)
    return Source(stored.key, stored.hash, stored.bytes, upload.filename)


# ---- from parts to a recording


def claim(session: Session, owner_id: uuid.UUID, upload_id: uuid.UUID) -> Upload | None:
    """The upload, to be checked by the caller (or complete already); None while somebody else is at it."""
    upload = lock(session, owner_id, upload_id)
    if upload.state == UploadState.COMPLETE:
        return upload
    now = session.scalar(select(func.now()))
    if upload.state == UploadState.CHECKING and upload.checking_until and now and upload.checking_until > now:
        return None
    upload.state, upload.checking_until = UploadState.CHECKING, func.now() + CHECK_LEASE
    session.flush()
    session.refresh(upload)
    return upload


def renew(session: Session, upload: Upload) -> None:
    """The check goes on. Raises NotFound when the upload was deleted, or its parts are not those being checked."""
    renewed = session.execute(
        update(Upload).where(*_same(upload)).values(checking_until=func.now() + CHECK_LEASE).returning(Upload.id)
    )
    if renewed.one_or_none() is None:
        raise NotFound("There is no such upload any more.")


def reopen(session: Session, upload: Upload, storage_id: str | None, error: ParleyError) -> None:
    """The check has failed: parts may come again, under `storage_id`."""
    session.execute(
        update(Upload)
        .where(*_same(upload))
        .values(
            state=UploadState.OPEN,
            storage_id=storage_id,
            checking_until=None,
            error_code=error.code,
            error_message=error.message,
        )
    )


def let_go(session: Session, upload: Upload) -> None:
    """The check was broken off: the next one need not wait for the end of the lease."""
    session.execute(update(Upload).where(*_same(upload)).values(checking_until=func.now()))


def finish(session: Session, upload: Upload, sha256: str, ttl_s: float) -> tuple[Upload, bool]:
    """The content is what was announced. Also says whether the same bytes were known, so that the object is not needed.

    Raises NotFound when the upload was deleted meanwhile; IntegrityError and NoResultFound when the equal recording has
    just been erased, then try again.
    """
    row = lock(session, upload.owner_id, upload.id)
    if row.state == UploadState.COMPLETE:
        return row, False
    if row.storage_id != upload.storage_id:
        raise NotFound("The upload was opened again meanwhile.")
    stored = new_jobs.stored(session, row.owner_id, Source(row.key, sha256, row.bytes, row.filename))
    row.state, row.artifact_id, row.sha256 = UploadState.COMPLETE, stored.id, sha256
    row.storage_id = row.checking_until = row.error_code = row.error_message = None
    row.completed_at, row.expires_at = func.now(), func.now() + timedelta(seconds=ttl_s)
    session.flush()
    session.refresh(row)
    return row, stored.key != row.key


def sweep() -> int:
    """Erase uploads whose time is over; returns how many. Their objects go with the erasures."""
    over = Upload.expires_at <= func.now()
    with db.session() as work:
        rows = work.execute(
            select(Upload.owner_id, Upload.id).where(over).order_by(Upload.expires_at).limit(BATCH)
        ).all()
    erased = 0
    for owner_id, upload_id in rows:
        with db.session() as work:  # one at a time, as each locks what others may hold
            look_again = select(Upload.id).where(Upload.id == upload_id, over).with_for_update(skip_locked=True)
            if work.scalar(look_again):
                erasure.erase_upload(work, owner_id, upload_id)
                erased += 1
    return erased


def _upload_query(owner_id: uuid.UUID, upload_id: uuid.UUID) -> Select[Upload]:
    return select(Upload).where(Upload.id == upload_id, Upload.owner_id == owner_id, Upload.expires_at > func.now())


def _same(upload: Upload) -> tuple[ColumnElement[bool], ...]:
    return (
        Upload.id == upload.id,
        Upload.state == UploadState.CHECKING,
        Upload.storage_id.is_not_distinct_from(upload.storage_id),
    )


def _one(upload: Upload | None) -> Upload:
    if upload is None:
        raise NotFound("There is no such upload.")
    return upload
