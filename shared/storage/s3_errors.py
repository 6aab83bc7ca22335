"""What an S3 server's refusals and boto3's errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from shared.errors import NotFound, ParleyError, StorageFull, StorageRefused, StorageUnavailable

INSUFFICIENT_STORAGE = 507
FULL_CODES = frozenset(
    {"InsufficientStorage", "StorageFull", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded"}
)
"""What servers say that have no room: versitygw, MinIO, Ceph."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise what boto3 raises as StorageUnavailable or NotFound."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("NoSuchKey", "404", "NoSuchUpload"):
            raise NotFound("The object is not in storage.") from error
        raise refusal(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0), code) from error
    except (BotoCoreError, HTTPClientError, Boto3Error) as error:
        raise StorageUnavailable("The object store does not answer; try again in a moment.") from error


def refusal(status: int, code: str) -> ParleyError:
    """What a server means that has answered a request with this HTTP status and this code of S3's."""
    if status == INSUFFICIENT_STORAGE or code in FULL_CODES:
        return StorageFull("The object store takes nothing more: its disk or its quota is full.")
    return StorageRefused("The object store refused a request; try again in a moment.")
