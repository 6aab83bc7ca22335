"""The parts of an upload in S3: numbered, in any order, each of a size that is known before it comes.

The limits are S3's: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from shared.errors import InvalidRequest, MissingParts
from shared.storage import Storage, translated

MIN_PART_BYTES = 5 * 1024**2
MAX_PART_BYTES = 5 * 1024**3
MAX_PARTS = 10_000

USUAL_PART_BYTES = 16 * 1024**2
"""A lost connection costs this much at most: 13 s at 10 Mbit/s. 10,000 of them are 156 GiB."""

URL_SECONDS = 3600
"""How long a presigned URL holds: a part of 16 MiB takes 37 minutes at 60 kbit/s."""

READ_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Layout:
    """How `bytes` are cut: into parts of `part_bytes`, the last one as long as what is left."""

    bytes: int
    part_bytes: int

    @property
    def count(self) -> int:
        return -(-self.bytes // self.part_bytes)

    def size(self, number: int) -> int:
        """Bytes of the part `number`, counted from 1."""
        return min(self.part_bytes, self.bytes - (number - 1) * self.part_bytes)


@dataclass(frozen=True, slots=True)
class Part:
    """A part as S3 holds it. The etag tells one content from another; with most servers it is the MD5."""

    number: int
    bytes: int
    etag: str


def layout(size: int, part_bytes: int | None) -> Layout:
    """The parts of a recording of `size` bytes; without a wish, of a size that suits it. Raises InvalidRequest."""
    if part_bytes is None:
        fewest = math.ceil(size / MAX_PARTS)
        part_bytes = max(USUAL_PART_BYTES, -(-fewest // 1024**2) * 1024**2)
    if not MIN_PART_BYTES <= part_bytes <= MAX_PART_BYTES:
        raise InvalidRequest(f"part_bytes must be from {MIN_PART_BYTES} to {MAX_PART_BYTES}.", parameter="part_bytes")
    cut = Layout(size, part_bytes)
    if cut.count > MAX_PARTS:
        raise InvalidRequest(
            f"These would be {cut.count} parts; at most {MAX_PARTS} are possible.", parameter="part_bytes"
        )
    return cut


# ---- in S3; each raises StorageUnavailable, and NotFound when the upload was aborted or is put together already


def begin(storage: Storage, key: str) -> str:
    """Open a multipart upload; returns S3's id of it."""
    with translated():
        return storage.client.create_multipart_upload(Bucket=storage.bucket, Key=key)["UploadId"]


def abort(storage: Storage, key: str, storage_id: str) -> None:
    """Forget a multipart upload and its parts."""
    with translated():
        storage.client.abort_multipart_upload(Bucket=storage.bucket, Key=key, UploadId=storage_id)


def arrived(storage: Storage, key: str, storage_id: str) -> dict[int, Part]:
    """All parts that are there, by number."""
    with translated():
        pages = storage.client.get_paginator("list_parts").paginate(Bucket=storage.bucket, Key=key, UploadId=storage_id)
        return {
            part["PartNumber"]: Part(part["PartNumber"], part["Size"], part["ETag"].strip('"'))
            for page in pages
            for part in page.get("Parts", ())
        }


def join(storage: Storage, key: str, storage_id: str, parts: Iterable[Part]) -> None:
    """Make one object of these parts. Raises MissingParts when one was replaced since it was listed."""
    named: Any = {"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in parts]}
    with translated():
        try:
            storage.client.complete_multipart_upload(
                Bucket=storage.bucket, Key=key, UploadId=storage_id, MultipartUpload=named
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("InvalidPart", "InvalidPartOrder", "EntityTooSmall"):
                raise MissingParts("A part was replaced while the upload was being completed; try again.") from error
            raise


def presigned(storage: Storage, key: str, storage_id: str, number: int, size: int) -> str:
    """A URL to which exactly `size` bytes can be PUT as this part, by anybody, for URL_SECONDS."""
    where: Mapping[str, Any] = {
        "Bucket": storage.bucket,
        "Key": key,
        "UploadId": storage_id,
        "PartNumber": number,
        "ContentLength": size,
    }
    return storage.client.generate_presigned_url("upload_part", Params=where, ExpiresIn=URL_SECONDS)


def read(storage: Storage, key: str, take: Callable[[bytes], object]) -> None:
    """Pass the whole object to `take`, READ_BYTES at a time."""
    with translated():
        body = storage.client.get_object(Bucket=storage.bucket, Key=key)["Body"]
        for chunk in body.iter_chunks(READ_BYTES):
            take(chunk)
