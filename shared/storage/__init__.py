"""The object store: S3, or a folder of one machine (OBJECT_STORE; docs/decisions/object-store.md)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from shared.config import Settings, settings
from shared.storage.interface import HEAD_BYTES, PART_BYTES, URL_SECONDS, Part, Storage
from shared.storage.keys import job_prefix, stage_key, upload_key
from shared.storage.writer import Writer

__all__ = [
    "HEAD_BYTES",
    "PART_BYTES",
    "URL_SECONDS",
    "Part",
    "Storage",
    "Writer",
    "job_prefix",
    "public_storage",
    "stage_key",
    "storage",
    "storage_of",
    "upload_key",
]


def storage_of(config: Settings, endpoint_url: str | None = None) -> Storage:
    """The object store of these settings; S3 by another address than theirs where one is given."""
    if config.object_store != "s3" and endpoint_url is None:
        from shared.storage.folder import Folder

        return Folder(Path(config.object_store))
    from shared.storage.s3 import S3  # 20 MB of boto3, which a folder does not need

    return S3(config, endpoint_url)


@cache
def storage() -> Storage:
    """This process's storage."""
    return storage_of(settings())


@cache
def public_storage() -> Storage | None:
    """The same by the address that clients see, which presigned URLs are made for; None when there is none."""
    config = settings()
    address = config.s3_public_endpoint_url
    return storage_of(config, address) if address and config.object_store == "s3" else None
