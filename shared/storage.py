"""The object store: plain S3 through boto3, and the layout of object keys.

    OWNER/JOB/upload                      the recording as it came; of one that came in parts, JOB is the upload's id
    OWNER/JOB/STAGE/SHARD.FENCE.SUFFIX    what a stage produced; the fence keeps two workers from writing one object

Deleting a job is deleting a prefix, except for objects that other jobs of the same owner reuse.
"""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from shared.config import Settings, settings
from shared.errors import NotFound, ParleyError, StorageFull, StorageRefused, StorageUnavailable
from shared.fullness import Fullness
from shared.part_buffer import PartBuffer, PartReader

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 5 * 1024**2
"""Size of one part of a multipart upload, which is held in memory: S3's least. 10,000 parts, its most, are 48 GiB."""

INSUFFICIENT_STORAGE = 507
FULL_CODES = frozenset(
    {"InsufficientStorage", "StorageFull", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded"}
)
"""What servers say that have no room: versitygw, MinIO, Ceph."""

SEND_BYTES = 256 * 1024
"""What is copied of a part at a time on its way out."""

TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=2)


def job_prefix(owner_id: uuid.UUID, job_id: uuid.UUID) -> str:
    """Where everything that belongs to a job lies."""
    return f"{owner_id}/{job_id}/"


def upload_key(owner_id: uuid.UUID, job_id: uuid.UUID) -> str:
    """Key of the recording that a client sent."""
    return job_prefix(owner_id, job_id) + "upload"


def stage_key(owner_id: uuid.UUID, job_id: uuid.UUID, stage: str, shard: int, fence: int, suffix: str) -> str:
    """Key of a stage's answer; `suffix` starts with a dot."""
    return f"{job_prefix(owner_id, job_id)}{stage}/{shard}.{fence}{suffix}"


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


class Storage:
    """One bucket. Methods raise StorageUnavailable when the server cannot be used, StorageFull when it takes nothing
    more, and NotFound for a missing key. `fullness` remembers the second.
    """

    def __init__(self, config: Settings, endpoint_url: str | None = None) -> None:
        key, secret = config.aws_access_key_id, config.aws_secret_access_key
        self.bucket = config.s3_bucket
        self.client: S3Client = boto3.client(
            "s3",
            endpoint_url=endpoint_url or config.s3_endpoint_url,
            region_name=config.s3_region,
            aws_access_key_id=key.get_secret_value() if key else None,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
            config=Config(
                connect_timeout=3,
                read_timeout=30,
                retries={"mode": "standard", "max_attempts": 3},
                signature_version="s3v4",  # also of presigned URLs, whose default is an older one
                request_checksum_calculation="when_required",  # a presigned URL knows no checksum of what will come
                s3={"addressing_style": "path"},
                max_pool_connections=32,
            ),
        )

        self.fullness = Fullness(self._probe)

    def _probe(self) -> None:
        key = f"probes/{uuid.uuid4()}"
        self.put(key, os.urandom(PART_BYTES))
        self.delete([key])

    def put(self, key: str, data: bytes) -> int:
        """Store `data`; returns its size in bytes."""
        with translated():
            self.client.put_object(Bucket=self.bucket, Key=key, Body=data)
        return len(data)

    def put_file(self, key: str, path: Path) -> int:
        """Store a file of any size in parts; returns its size in bytes."""
        with translated():
            self.client.upload_file(str(path), self.bucket, key, Config=TRANSFER)
        return path.stat().st_size

    def get(self, key: str) -> bytes:
        """The whole object; for small ones."""
        with translated():
            return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def get_file(self, key: str, path: Path) -> None:
        """Write the object to `path`."""
        with translated():
            self.client.download_file(self.bucket, key, str(path), Config=TRANSFER)

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """Bytes `start` up to but without `end`."""
        with translated():
            byte_range = f"bytes={start}-{end - 1}"
            return self.client.get_object(Bucket=self.bucket, Key=key, Range=byte_range)["Body"].read()

    def size(self, key: str) -> int:
        """Size of the object in bytes."""
        with translated():
            return self.client.head_object(Bucket=self.bucket, Key=key)["ContentLength"]

    def list(self, prefix: str) -> Iterator[str]:
        """All keys that start with `prefix`."""
        with translated():
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from (entry["Key"] for entry in page.get("Contents", ()))

    def delete(self, keys: Iterable[str]) -> int:
        """Delete the objects; a missing one is no error. Returns how many were named."""
        named = list(keys)
        with translated():
            for at in range(0, len(named), 1000):  # S3's limit per request
                batch: Any = {"Objects": [{"Key": key} for key in named[at : at + 1000]], "Quiet": True}
                failed = self.client.delete_objects(Bucket=self.bucket, Delete=batch).get("Errors")
                if failed:
                    raise StorageUnavailable("The object store did not delete an object; it will be tried again.")
        return len(named)

    def abort_uploads(self, prefix: str) -> int:
        """Abort every unfinished multipart upload below `prefix`; returns how many there were."""
        with translated():
            uploads = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix).get("Uploads", [])
            for upload in uploads:
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        return len(uploads)

    def check(self) -> None:
        """Raise StorageUnavailable unless the bucket can be used."""
        if not self._has_bucket():
            raise StorageUnavailable("The object store does not have the bucket.")

    def ensure_bucket(self) -> None:
        """Create the bucket if it is missing. Raises StorageUnavailable when that is not permitted."""
        if self._has_bucket():
            return
        region = self.client.meta.region_name
        where: Any = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with translated(), suppress(self.client.exceptions.BucketAlreadyOwnedByYou):
            self.client.create_bucket(Bucket=self.bucket, **where)

    def _has_bucket(self) -> bool:
        try:
            with translated():
                self.client.head_bucket(Bucket=self.bucket)
        except NotFound:
            return False
        return True

    def writer(self, key: str) -> MultipartWriter:
        """A writer that stores a stream of unknown length under `key`."""
        return MultipartWriter(self, key)


class MultipartWriter:
    """Stores a stream in parts of PART_BYTES; holds one part in memory. Call `close` or `abort` at the end.

    What does not fit into the part is held, too, so flush before the next large write.
    """

    def __init__(self, storage: Storage, key: str) -> None:
        self._storage, self._key = storage, key
        self._buffer, self._rest = PartBuffer(PART_BYTES), b""
        self._upload_id: str | None = None
        self._parts: list[Any] = []
        self._is_touched = False

    def write(self, data: bytes) -> bool:
        """Take some bytes; True means that a part is full and `flush` is due, which does the network's work."""
        if self._rest:
            self._rest += data
        else:
            self._rest = data[self._buffer.write(memoryview(data)) :]
        return self._buffer.is_full

    def flush(self) -> None:
        """Send what has been collected, in as many parts as are full, or as one that is the last."""
        self._flush_part()
        while self._buffer.is_full:
            self._flush_part()

    def _flush_part(self) -> None:
        self._is_touched = True
        with translated():
            client, bucket = self._storage.client, self._storage.bucket
            if self._upload_id is None:
                self._upload_id = client.create_multipart_upload(Bucket=bucket, Key=self._key)["UploadId"]
            number = len(self._parts) + 1
            response = client.upload_part(
                Bucket=bucket, Key=self._key, UploadId=self._upload_id, PartNumber=number, Body=self._content()
            )
        self._parts.append({"ETag": response["ETag"], "PartNumber": number})
        self._buffer.clear()
        self._rest = self._rest[self._buffer.write(memoryview(self._rest)) :]

    def close(self) -> None:
        """Finish: the object exists afterwards. A stream shorter than one part is stored by a single request."""
        self._is_touched = True
        while self._buffer.is_full:
            self.flush()
        if self._upload_id is None:
            with translated():
                self._storage.client.put_object(Bucket=self._storage.bucket, Key=self._key, Body=self._content())
            self._buffer.clear()
            return
        if self._buffer.size:
            self.flush()
        with translated():
            self._storage.client.complete_multipart_upload(
                Bucket=self._storage.bucket,
                Key=self._key,
                UploadId=self._upload_id,
                MultipartUpload={"Parts": self._parts},
            )
        self._upload_id = None

    def abort(self) -> None:
        """Leave nothing behind: neither parts nor an object, whichever request's answer was lost. Safe to repeat."""
        self._buffer.clear()
        self._rest = b""
        if self._is_touched:
            self._storage.abort_uploads(self._key)
            self._storage.delete([self._key])
            self._upload_id = None

    def _content(self) -> Any:
        """What has been collected, as a file that boto3 reads and rewinds."""
        return io.BufferedReader(PartReader(self._buffer), SEND_BYTES)


@cache
def storage() -> Storage:
    """This process's storage."""
    return Storage(settings())


@cache
def public_storage() -> Storage | None:
    """The same by the address that clients see, which presigned URLs are made for; None when it is not set."""
    address = settings().s3_public_endpoint_url
    return Storage(settings(), address) if address else None
