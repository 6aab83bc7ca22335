"""A stream on its way into S3."""

from __future__ import annotations

import base64
import io
import os
import threading
import time
import zlib
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from botocore.utils import get_environ_proxies

from shared.storage.interface import PART_BYTES
from shared.storage.part_buffer import PartBuffer, PartReader
from shared.storage.s3_errors import translated
from shared.storage.s3_signing import signed_put
from shared.storage.writer import PieceWriter
from shared.telemetry.logs import get_logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = get_logger(__name__)

SEND_BYTES = 256 * 1024
"""What is copied of a part at a time on its way out."""

QUICK_BYTES = 256 * 1024
"""Of an object that is sent without boto3, whose share of the cost of a longer one is small."""

CONNECT_S = 3.0
QUICK_TIMEOUT_S = 10.0

REFUSALS, REST_S = 5, 60.0
"""After so many in a row all is left to boto3 for so long. It may know how to do what is refused here, as with a clock
that is wrong, and every object would be sent twice."""

IDLE_CONNECTIONS = 24
"""As many as there are threads for uploads."""

AHEAD = threading.BoundedSemaphore(4)
"""Uploads of this process that may hold two parts, while one of them is being sent: 20 MiB at most."""


class QuickPut:
    """Stores small objects by one plain request on a kept connection, at a quarter of what boto3 takes for it.

    It knows one answer, that the object is stored. Whatever else comes is left to boto3, which sends the object once
    more, tries again where that helps, and says what is wrong. Safe for threads and forks. `credentials` gives those of
    now.
    """

    def __init__(self, endpoint_url: str, region: str, bucket: str, credentials: Callable[[], Any]) -> None:
        address = urlsplit(endpoint_url)
        self._host, self._address = address.netloc, (str(address.hostname), address.port or 80)
        # TLS and proxies have settings of their own, which boto3 knows
        self._is_plain = address.scheme == "http" and not address.path.strip("/")
        self._is_plain = self._is_plain and not get_environ_proxies(endpoint_url)
        self._region, self._bucket, self._credentials = region, bucket, credentials
        self._idle: list[HTTPConnection] = []
        self._pid = os.getpid()
        self._refusals, self._rests_until = 0, 0.0

    def stores(self, key: str, data: bytes, crc: str) -> bool:
        """Whether the object is stored now. False says nothing: it may be there all the same.

        crc : CRC-32 of the data, as S3 writes it
        """
        if not self._is_plain or len(data) > QUICK_BYTES or time.monotonic() < self._rests_until:
            return False
        path = quote(f"/{self._bucket}/{key}", safe="/~")
        headers = signed_put(self._credentials(), self._region, self._host, path, data, crc)
        connection = self._idle_connection() or HTTPConnection(*self._address, timeout=CONNECT_S)
        try:
            if not connection.sock:
                connection.connect()
            connection.sock.settimeout(QUICK_TIMEOUT_S)
            connection.request("PUT", path, data, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, HTTPException):  # one that rested may have been closed
            connection.close()
            return False
        if len(self._idle) < IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.close()
        self._refusals = 0 if answer.status == 200 else self._refusals + 1
        if self._refusals >= REFUSALS:
            log.warning("quick_put_refused", status=answer.status, rest_s=REST_S)
            self._refusals, self._rests_until = 0, time.monotonic() + REST_S
        return answer.status == 200

    def _idle_connection(self) -> HTTPConnection | None:
        if self._pid != os.getpid():  # its parent's are not to be shared
            self._idle, self._pid = [], os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return None


class S3Writer(PieceWriter[PartBuffer]):
    """Sends parts of PART_BYTES, each with its CRC; a stream shorter than one is stored by a single request."""

    def __init__(
        self, client: S3Client, bucket: str, key: str, forget: Callable[[], None], quick: QuickPut, *, hashes: bool
    ) -> None:
        super().__init__(hashes=hashes)
        self._quick = quick
        self._client, self._bucket, self._key, self._forgotten = client, bucket, key, forget
        self._upload_id: str | None = None
        self._parts: list[Any] = []

    def _new(self) -> PartBuffer:
        return PartBuffer(PART_BYTES)

    def _may_read_ahead(self) -> bool:
        return AHEAD.acquire(blocking=False)

    def send(self) -> None:
        try:
            super().send()
        finally:
            self._full.clear()
            AHEAD.release()

    def _send(self, piece: PartBuffer) -> None:
        crc, number = _crc(piece), len(self._parts) + 1
        with translated():
            if self._upload_id is None:
                self._upload_id = self._client.create_multipart_upload(
                    Bucket=self._bucket, Key=self._key, ChecksumAlgorithm="CRC32"
                )["UploadId"]
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=_content(piece),
                ChecksumCRC32=crc,
            )
        self._parts.append({"ETag": answer["ETag"], "PartNumber": number, "ChecksumCRC32": crc})

    def _finish(self, rest: PartBuffer) -> None:
        if self._upload_id is None:
            crc = _crc(rest)
            if rest.size <= QUICK_BYTES and self._quick.stores(self._key, rest.read(0, rest.size), crc):
                return
            with translated():
                self._client.put_object(Bucket=self._bucket, Key=self._key, Body=_content(rest), ChecksumCRC32=crc)
            return
        if rest.size:
            self._send(rest)
        with translated():
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._key, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
            )

    def _forget(self) -> None:
        self._forgotten()


def _crc(piece: PartBuffer) -> str:
    with piece.views() as views:
        crc = 0
        for view in views:
            crc = zlib.crc32(view, crc)
    return in_header(crc)


def in_header(crc: int) -> str:
    """A CRC-32 as S3 writes it: a server compares it, and does not take what was cut off or changed."""
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def _content(piece: PartBuffer) -> Any:
    """What has been collected, as a file that boto3 reads and rewinds."""
    return io.BufferedReader(PartReader(piece), SEND_BYTES)
