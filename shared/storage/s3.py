"""Plain S3 through boto3 as object store: one bucket."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import boto3
from anyio import to_thread
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from shared.config import Settings
from shared.errors import NotFound, StorageUnavailable
from shared.storage.interface import PART_BYTES, READ_BYTES, URL_SECONDS, Part, Reader, Storage, replaced
from shared.storage.s3_errors import translated
from shared.storage.s3_signing import SignedChunks
from shared.storage.s3_writer import QuickPut, S3Writer, in_header
from shared.storage.writer import Writer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REPLACED_CODES = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall"})

TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=2)


class S3(Storage):
    """One bucket."""

    def __init__(self, config: Settings, endpoint_url: str | None = None) -> None:
        super().__init__()
        key, secret = config.aws_access_key_id, config.aws_secret_access_key
        self.bucket = config.s3_bucket
        self._session = boto3.Session(
            region_name=config.s3_region,
            aws_access_key_id=key.get_secret_value() if key else None,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
        )
        self.client: S3Client = self._session.client(
            "s3",
            endpoint_url=endpoint_url or config.s3_endpoint_url,
            config=Config(
                connect_timeout=3,
                read_timeout=30,
                retries={"mode": "standard", "max_attempts": 3},
                signature_version="s3v4",  # also of presigned URLs, whose default is an older one
                request_checksum_calculation="when_required",  # a presigned URL knows no checksum of what will come
                s3={"addressing_style": "path", "payload_signing_enabled": False},  # what is sent has a CRC
                max_pool_connections=32,
            ),
        )

        endpoint = self.client.meta.endpoint_url
        self._quick = QuickPut(endpoint, self._session.region_name, self.bucket, self._credentials)

    def put(self, key: str, data: bytes) -> int:
        crc = in_header(zlib.crc32(data))
        if not self._quick.stores(key, data, crc):
            with translated():
                self.client.put_object(Bucket=self.bucket, Key=key, Body=data, ChecksumCRC32=crc)
        return len(data)

    def put_file(self, key: str, path: Path) -> int:
        writer = self._writer(key, hashes=False)
        try:
            with path.open("rb") as file:
                while data := file.read(READ_BYTES):
                    if writer.write(data):
                        writer.flush()
            writer.close()
        except BaseException:
            with suppress(StorageUnavailable):
                writer.abort()
            raise
        return path.stat().st_size

    def get(self, key: str) -> bytes:
        with self._object_errors():
            return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def get_file(self, key: str, path: Path) -> None:
        with self._object_errors():
            self.client.download_file(self.bucket, key, str(path), Config=TRANSFER)

    def get_range(self, key: str, start: int, end: int) -> bytes:
        with self._object_errors():
            byte_range = f"bytes={start}-{end - 1}"
            return self.client.get_object(Bucket=self.bucket, Key=key, Range=byte_range)["Body"].read()

    def size(self, key: str) -> int:
        with self._object_errors():
            return self.client.head_object(Bucket=self.bucket, Key=key)["ContentLength"]

    @contextmanager
    def _object_errors(self) -> Iterator[None]:
        """As `translated`. An object is missing only where its bucket is there, of which a HEAD says nothing; for one
        that is missing no stage waits."""
        try:
            with translated():
                yield
        except NotFound:
            self.check()
            raise

    def list(self, prefix: str) -> Iterator[str]:
        with translated():
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from (entry["Key"] for entry in page.get("Contents", ()))

    def delete(self, keys: Iterable[str]) -> int:
        named = list(keys)
        with translated():
            for at in range(0, len(named), 1000):  # S3's limit per request
                batch: Any = {"Objects": [{"Key": key} for key in named[at : at + 1000]], "Quiet": True}
                failed = self.client.delete_objects(Bucket=self.bucket, Delete=batch).get("Errors")
                if failed:
                    raise StorageUnavailable("The object store did not delete an object; it will be tried again.")
        return len(named)

    def check(self) -> None:
        if not self._has_bucket():
            raise StorageUnavailable("The object store does not have the bucket.")

    def ensure_bucket(self) -> None:
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

    def sweep(self) -> None:
        """What is not complete is no object in S3; uploads have rows, by which they are aborted."""

    def writer(self, key: str) -> Writer:
        return self._writer(key, hashes=True)

    def _writer(self, key: str, *, hashes: bool) -> Writer:
        def forget() -> None:
            self.abort_uploads(key)
            self.delete([key])

        return S3Writer(self.client, self.bucket, key, forget, self._quick, hashes=hashes)

    @contextmanager
    def open(self, key: str) -> Iterator[Reader]:
        with self._object_errors():
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
        with closing(answer["Body"]) as body:
            yield S3Reader(body, answer["ContentLength"])

    # ---- multipart uploads

    def begin(self, key: str) -> str:
        with translated():
            return self.client.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]

    async def put_part(self, key: str, upload_id: str, number: int, size: int, body: AsyncIterator[bytes]) -> str:
        from shared.storage.s3_stream import put  # with httpx, which workers do without

        query = urlencode({"partNumber": number, "uploadId": upload_id})
        url = f"{self.client.meta.endpoint_url}/{self.bucket}/{quote(key, safe='/~')}?{query}"
        credentials = await to_thread.run_sync(self._credentials)
        signed = SignedChunks(credentials, self._session.region_name, url, size)
        return await put(url, signed, size, body)

    def _credentials(self) -> Any:
        """Those of now. Of a machine's role they are fetched again and again, by requests that may take seconds."""
        with translated():
            credentials = self._session.get_credentials()
            if credentials is None:
                raise StorageUnavailable("There are no credentials for the object store.")
            return credentials.get_frozen_credentials()

    def presigned(self, key: str, upload_id: str, number: int, size: int) -> str:
        where: Mapping[str, Any] = {
            "Bucket": self.bucket,
            "Key": key,
            "UploadId": upload_id,
            "PartNumber": number,
            "ContentLength": size,
        }
        return self.client.generate_presigned_url("upload_part", Params=where, ExpiresIn=URL_SECONDS)

    def parts(self, key: str, upload_id: str) -> Mapping[int, Part]:
        with translated():
            pages = self.client.get_paginator("list_parts").paginate(Bucket=self.bucket, Key=key, UploadId=upload_id)
            return {
                part["PartNumber"]: Part(part["PartNumber"], part["Size"], part["ETag"].strip('"'))
                for page in pages
                for part in page.get("Parts", ())
            }

    def join(self, key: str, upload_id: str, parts: Iterable[Part]) -> None:
        named: Any = {"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in parts]}
        with translated():
            try:
                self.client.complete_multipart_upload(
                    Bucket=self.bucket, Key=key, UploadId=upload_id, MultipartUpload=named
                )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in REPLACED_CODES:
                    raise replaced() from error
                raise

    def abort(self, key: str, upload_id: str) -> None:
        with translated():
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)

    def unfinished(self, prefix: str) -> Iterator[tuple[str, str]]:
        with translated():
            uploads = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix).get("Uploads", ())
        yield from ((upload["Key"], upload["UploadId"]) for upload in uploads)


class S3Reader:
    """The body of an answer. `read` raises StorageUnavailable when it breaks off."""

    def __init__(self, body: Any, size: int) -> None:
        self._body, self.size = body, size

    def read(self, size: int = -1, /) -> bytes:
        with translated():
            return bytes(self._body.read(size if size >= 0 else None))
