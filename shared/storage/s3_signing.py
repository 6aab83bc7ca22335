"""Bodies that are signed, so that the server takes nothing that was cut off or changed; a long one chunk by chunk.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html: each chunk carries a signature over its SHA-256
and the signature before it, and the last one is empty. Servers know it from long before checksums in trailers.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

CHUNK_BYTES = 256 * 1024
CONTENT = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNATURE_LENGTH = 64
NOTHING = hashlib.sha256(b"").hexdigest()


class _Auth(S3SigV4Auth):
    def payload(self, request: AWSRequest) -> str:
        return CONTENT


class SignedChunks:
    """A PUT of `size` bytes to `url`: its `headers`, and its body once `chunks` has been given the bytes."""

    def __init__(self, credentials: Any, region: str, url: str, size: int) -> None:
        self._auth = _Auth(credentials, "s3", region)
        self._request = AWSRequest(
            "PUT",
            url,
            headers={
                "Content-Encoding": "aws-chunked",
                "Content-Length": str(_framed_size(size)),
                "X-Amz-Decoded-Content-Length": str(size),
            },
        )
        self._auth.add_auth(self._request)
        self.headers = dict(self._request.headers.items())
        self._signature = self.headers["Authorization"].rpartition("Signature=")[2]

    async def chunks(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The body with its signatures. What is cut off ends without the last of them."""
        block = bytearray()
        async for data in body:
            block += data
            while len(block) >= CHUNK_BYTES:
                yield self._chunk(bytes(block[:CHUNK_BYTES]))
                del block[:CHUNK_BYTES]
        if block:
            yield self._chunk(bytes(block))
        yield self._chunk(b"")

    def _chunk(self, data: bytes) -> bytes:
        text = "\n".join(
            (
                "AWS4-HMAC-SHA256-PAYLOAD",
                self._request.context["timestamp"],
                self._auth.credential_scope(self._request),
                self._signature,
                NOTHING,
                hashlib.sha256(data).hexdigest(),
            )
        )
        self._signature = self._auth.signature(text, self._request)
        return b"%x;chunk-signature=%s\r\n%s\r\n" % (len(data), self._signature.encode(), data)


def _framed_size(size: int) -> int:
    """Bytes of the body with its signatures."""
    full, rest = divmod(size, CHUNK_BYTES)
    return full * _framed(CHUNK_BYTES) + (_framed(rest) if rest else 0) + _framed(0)


def _framed(size: int) -> int:
    return len(f"{size:x};chunk-signature=\r\n\r\n") + SIGNATURE_LENGTH + size


def signed_put(who: Any, region: str, host: str, path: str, data: bytes, crc: str) -> dict[str, str]:
    """Headers of a PUT of `data`, all of them and the data signed. botocore takes four times as long.

    who : frozen credentials
    crc : CRC-32 of the data, as S3 writes it
    """
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "host": host,
        "x-amz-checksum-crc32": crc,
        "x-amz-content-sha256": hashlib.sha256(data).hexdigest(),
        "x-amz-date": at,
    }
    if who.token:
        headers["x-amz-security-token"] = who.token
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = "\n".join(("PUT", path, "", lines, names, headers["x-amz-content-sha256"]))
    scope = f"{at[:8]}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", at, scope, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.digest(_day_key(who.secret_key, scope), text.encode(), "sha256").hex()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={who.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


@lru_cache(maxsize=4)
def _day_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
