"""From the parts of an upload to a recording: join them, read the whole back, compare, keep.

Every step can be repeated, by this gateway or another, from whatever its predecessor left: parts, a joined object, or a
row that says so already. A client that goes away changes nothing; the call goes on.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from sqlalchemy.exc import IntegrityError, NoResultFound

from api.intake import submission
from shared.db import session
from shared.errors import (
    ChecksumMismatch,
    DatabaseUnavailable,
    MissingParts,
    NotFound,
    ParleyError,
    StorageUnavailable,
)
from shared.intake import uploads
from shared.intake.parts import Layout
from shared.intake.uploads import UploadState
from shared.kernel import erasure
from shared.kernel.orders import Source
from shared.models import Upload
from shared.storage import Part, Storage, Writer
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import UPLOAD_BYTES

T = TypeVar("T")

log = get_logger(__name__)

RENEW_S = 5.0
NAMED = 100
"""Part numbers that an error names at most."""


def opened(owner_id: uuid.UUID, upload_id: uuid.UUID, storage: Storage) -> Upload:
    """The upload. If it is open, S3 has been told to expect its parts. Raises NotFound and StorageUnavailable."""
    with session() as work:
        upload = uploads.get(work, owner_id, upload_id)
    if upload.state != UploadState.OPEN or upload.storage_id:
        return upload
    storage_id = storage.begin(upload.key)
    with session() as work:
        upload = uploads.lock(work, owner_id, upload_id)
        if upload.state == UploadState.OPEN and upload.storage_id is None:
            upload.storage_id = storage_id
            return upload
    with suppress(NotFound):  # somebody else was faster
        storage.abort(upload.key, storage_id)
    return upload


def complete(owner_id: uuid.UUID, upload_id: uuid.UUID, storage: Storage, ttl_s: float) -> Upload | None:
    """The upload when it is complete; None while somebody else is checking it.

    Raises NotFound, MissingParts, ChecksumMismatch, StorageUnavailable and DatabaseUnavailable.
    """
    with session() as work:
        upload = uploads.claim(work, owner_id, upload_id)
    if upload is None or upload.state == UploadState.COMPLETE:
        return upload
    try:
        _join(upload, storage)
        sha256 = _checked(upload, storage)
        result, is_duplicate = _finish(upload, sha256, ttl_s)
        UPLOAD_BYTES.inc(result.bytes)  # only now: parts may have come past the gateway, or several times
    except (StorageUnavailable, DatabaseUnavailable):
        with suppress(DatabaseUnavailable), session() as work:
            uploads.let_go(work, upload)
        raise
    _drop(result, is_duplicate, storage)
    return result


def _join(upload: Upload, storage: Storage) -> None:
    """Make the parts one object, unless they are already."""
    cut = Layout(upload.bytes, upload.part_bytes)
    storage_id, error = upload.storage_id, _missing(cut, {})
    try:
        if storage_id:
            by_number = storage.parts(upload.key, storage_id)
            error = _missing(cut, by_number)
            if error is None:
                storage.join(upload.key, storage_id, (by_number[number] for number in sorted(by_number)))
                return
    except MissingParts as replaced:
        error = replaced
    except NotFound:
        if _has_object(upload, storage):
            return  # they were joined before, and whoever did it died or had no answer
        storage_id = None  # lost by S3: the next part is given to a new one
    assert error
    with session() as work:
        uploads.reopen(work, upload, storage_id, error)
    raise error


def _missing(cut: Layout, by_number: Mapping[int, Part]) -> MissingParts | None:
    missing = [number for number in range(1, cut.count + 1) if number not in by_number]
    wrong = [
        part.number for part in by_number.values() if part.number > cut.count or part.bytes != cut.size(part.number)
    ]
    if not missing and not wrong:
        return None
    return MissingParts(
        f"{len(missing)} of {cut.count} parts have not arrived, {len(wrong)} have a wrong size.",
        missing=missing[:NAMED],
        wrong_size=sorted(wrong)[:NAMED],
    )


def _has_object(upload: Upload, storage: Storage) -> bool:
    try:
        return storage.size(upload.key) >= 0
    except NotFound:
        return False


def _checked(upload: Upload, storage: Storage) -> str:
    """SHA-256 of the object, read back as a stream, since parts may have come past the gateway."""
    digest, size, renewed_at = hashlib.sha256(), 0, time.monotonic()

    def take(chunk: bytes) -> None:
        nonlocal size, renewed_at
        digest.update(chunk)
        size += len(chunk)
        if time.monotonic() - renewed_at >= RENEW_S:
            with session() as work:
                uploads.renew(work, upload)
            renewed_at = time.monotonic()

    storage.read(upload.key, take)
    sha256 = digest.hexdigest()
    if size == upload.bytes and upload.sha256 in (None, sha256):
        return sha256
    error = ChecksumMismatch(
        "What arrived is not what was announced. Send all parts again, or abort the upload.",
        bytes=size,
        sha256=sha256,
        announced_bytes=upload.bytes,
        announced_sha256=upload.sha256,
    )
    storage.delete([upload.key])
    with session() as work:
        uploads.reopen(work, upload, None, error)
    raise error


def keep(
    upload_id: uuid.UUID, owner_id: uuid.UUID, source: Source, writer: Writer, storage: Storage, ttl_s: float
) -> Upload:
    """Make an announced object an upload that is complete. Raises StorageQuotaExceeded, and DatabaseUnavailable: then
    the sweep removes the object unless the upload is there."""

    def insert() -> tuple[Upload, bool]:
        with session() as work:
            erasure.keep(work, upload_id)
            return uploads.begin_whole(work, upload_id=upload_id, owner_id=owner_id, source=source, ttl_s=ttl_s)

    try:
        upload, is_duplicate = _tried_again(insert)
    except DatabaseUnavailable:
        raise  # perhaps only the answer was lost
    except ParleyError:
        submission.withdraw(upload_id, writer)
        raise
    _drop(upload, is_duplicate, storage)
    return upload


def _finish(upload: Upload, sha256: str, ttl_s: float) -> tuple[Upload, bool]:
    def finish() -> tuple[Upload, bool]:
        with session() as work:
            return uploads.finish(work, upload, sha256, ttl_s)

    return _tried_again(finish)


def _tried_again(insert: Callable[[], T]) -> T:
    try:
        return insert()
    except (IntegrityError, NoResultFound):
        pass  # the equal recording that this one was found to repeat has just been erased
    try:
        return insert()
    except (IntegrityError, NoResultFound) as error:
        raise DatabaseUnavailable("The same recording is being erased; try again in a moment.") from error


def _drop(upload: Upload, is_duplicate: bool, storage: Storage) -> None:
    if is_duplicate:
        with suppress(StorageUnavailable):  # it goes with the upload
            storage.delete([upload.key])
    log.info("upload_complete", upload_id=str(upload.id), bytes=upload.bytes, duplicate=is_duplicate)
