"""What revoked keys had begun to upload: it is given up, since nobody can complete it any more."""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import func, select

from shared.db import session
from shared.errors import StorageUnavailable
from shared.intake.uploads import UploadState
from shared.kernel.erasure import erase_upload, purge
from shared.models import ApiKey, Erasure, Upload
from shared.storage import Storage

LOOKED_AT = timedelta(days=1)
"""How long after a key's revocation an upload that it had begun a moment before is still found."""

BATCH = 100


def erase_of_revoked(storage: Storage) -> int:
    """Erase unfinished uploads of revoked keys, and have S3 take no more parts of them. Returns how many.

    While S3 is away the rows alone are erased, and the sweep does the rest.
    """
    recently = select(ApiKey.id).where(ApiKey.revoked_at > func.now() - LOOKED_AT)
    unfinished = (Upload.owner_id.in_(recently), Upload.state != UploadState.COMPLETE)
    with session() as work:
        rows = work.execute(select(Upload.owner_id, Upload.id).where(*unfinished).limit(BATCH)).all()
    erased = list[uuid.UUID]()
    for owner_id, upload_id in rows:
        with session() as work:  # one at a time, as each locks what others may hold
            if work.scalar(select(Upload.id).where(Upload.id == upload_id, *unfinished).with_for_update()):
                erase_upload(work, owner_id, upload_id)
                erased.append(upload_id)
    for upload_id in erased:
        try:
            with session() as work:
                query = select(Erasure).where(Erasure.job_id == upload_id, Erasure.verified_at.is_(None))
                if row := work.scalars(query.with_for_update(skip_locked=True)).one_or_none():
                    purge(work, storage, row)
        except StorageUnavailable:
            break
    return len(erased)
