"""Rows of uploads and the parts that S3 has -> response bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from api.bodies.tasks import TaskError
from api.bodies.uploads import UploadDetail, UploadInfo, UploadPart
from shared.config import link
from shared.intake.parts import Layout
from shared.intake.uploads import UploadState
from shared.models import Upload
from shared.storage import Part, Storage


def info(upload: Upload) -> UploadInfo:
    """An upload without its parts."""
    return UploadInfo(
        upload_id=upload.id,
        state=UploadState(upload.state),
        filename=upload.filename,
        bytes=upload.bytes,
        sha256=upload.sha256,
        part_bytes=upload.part_bytes,
        part_count=Layout(upload.bytes, upload.part_bytes).count,
        error=TaskError(code=upload.error_code, message=upload.error_message or "") if upload.error_code else None,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
        completed_at=upload.completed_at,
    )


def numbers(upload: Upload, by_number: Mapping[int, Part], first: int, *, missing: bool) -> Sequence[int]:
    """Numbers of the parts from `first` on, or of those among them that are still to be sent."""
    cut = Layout(upload.bytes, upload.part_bytes)
    every = range(first, cut.count + 1)
    return [number for number in every if not _is_there(cut, by_number, number)] if missing else every


def detail(
    upload: Upload,
    by_number: Mapping[int, Part],
    public: Storage | None,
    *,
    numbers: Sequence[int],
    limit: int,
    urls_expire_at: datetime,
) -> UploadDetail:
    """An upload with a page of its parts. Those still to be sent have URLs, if clients can reach the storage."""
    cut = Layout(upload.bytes, upload.part_bytes)
    listed = [_part(upload, cut, by_number, public, number) for number in numbers[:limit]]
    is_complete = upload.state == UploadState.COMPLETE
    there = [part for part in by_number.values() if part.number <= cut.count and _is_there(cut, by_number, part.number)]
    return UploadDetail(
        **dict(info(upload)),
        received_parts=cut.count if is_complete else len(there),
        received_bytes=upload.bytes if is_complete else sum(part.bytes for part in there),
        parts=listed,
        next_part=numbers[limit] if len(numbers) > limit else None,
        urls_expire_at=urls_expire_at if any(part.url for part in listed) else None,
    )


def _part(
    upload: Upload, cut: Layout, by_number: Mapping[int, Part], public: Storage | None, number: int
) -> UploadPart:
    part, size, url = by_number.get(number), cut.size(number), None
    if public and upload.storage_id and not _is_there(cut, by_number, number):
        url = public.presigned(upload.key, upload.storage_id, number, size)
    return UploadPart(
        number=number,
        bytes=size,
        received_bytes=part.bytes if part else None,
        etag=part.etag if part else None,
        path=link(f"/uploads/{upload.id}/parts/{number}"),
        url=url,
    )


def _is_there(cut: Layout, by_number: Mapping[int, Part], number: int) -> bool:
    return number in by_number and by_number[number].bytes == cut.size(number)
