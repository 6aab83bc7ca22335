"""Deleting tasks and uploads for good: the rows, then the objects, and a receipt of both."""

from __future__ import annotations

import uuid

from sqlalchemy import select

from api.bodies.tasks import Receipt
from api.bodies.uploads import UploadReceipt
from shared import db
from shared.errors import DatabaseUnavailable, StorageUnavailable
from shared.kernel import erasure
from shared.models import Erasure
from shared.storage import Storage
from shared.telemetry.logs import get_logger

log = get_logger(__name__)


def delete_task(owner_id: uuid.UUID, task_id: uuid.UUID, storage: Storage) -> Receipt:
    """Erase a task of this owner. Raises NotFound."""
    with db.session() as work:
        erased = erasure.erase(work, owner_id, task_id)
    row = purged(task_id, storage) or erased
    return Receipt(
        task_id=task_id,
        erased=True,
        objects=row.objects,
        erased_at=row.created_at,
        verified=row.verified_at is not None,
    )


def delete_upload(owner_id: uuid.UUID, upload_id: uuid.UUID, storage: Storage) -> UploadReceipt:
    """Abort an upload of this owner, or erase one that is complete. Raises NotFound, WrongState."""
    with db.session() as work:
        erased = erasure.erase_upload(work, owner_id, upload_id)
    row = purged(upload_id, storage) or erased
    return UploadReceipt(
        upload_id=upload_id,
        erased=True,
        objects=row.objects,
        erased_at=row.created_at,
        verified=row.verified_at is not None,
    )


def purged(task_id: uuid.UUID, storage: Storage) -> Erasure | None:
    """The erasure of a task or an upload, its objects removed; None when a server is away: then the sweep does it."""
    try:
        with db.session() as work:
            row = work.scalars(select(Erasure).where(Erasure.job_id == task_id).with_for_update()).one()
            if row.verified_at is None:  # else the sweep was faster
                erasure.purge(work, storage, row)
                work.flush()
                work.refresh(row)
            return row
    except (StorageUnavailable, DatabaseUnavailable) as error:
        log.warning("purge_postponed", job_id=str(task_id), reason=error.code)
        return None
