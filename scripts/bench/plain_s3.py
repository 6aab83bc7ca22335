"""The least that a signed PUT or GET to S3 takes: one request on a kept connection, without boto3."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import urlsplit

import urllib3

from shared.config import Settings

UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_HEADERS = "host;x-amz-content-sha256;x-amz-date"
CONNECTIONS = 16


class PlainS3:
    """Safe for threads. Keys are made of letters, digits, `/`, `.` and `-`."""

    def __init__(self, config: Settings) -> None:
        assert config.s3_endpoint_url and config.aws_access_key_id and config.aws_secret_access_key
        self._url, self._host = config.s3_endpoint_url.rstrip("/"), urlsplit(config.s3_endpoint_url).netloc
        self._bucket, self._region = config.s3_bucket, config.s3_region
        self._id = config.aws_access_key_id.get_secret_value()
        self._secret = config.aws_secret_access_key.get_secret_value()
        self._http = urllib3.PoolManager(maxsize=CONNECTIONS, retries=False)

    def put(self, key: str, content: bytes) -> None:
        """Raises RuntimeError when it is not stored."""
        self._ask("PUT", key, content)

    def get(self, key: str) -> bytes:
        """Raises RuntimeError when it is not there."""
        return self._ask("GET", key, None)

    def _ask(self, method: str, key: str, content: bytes | None) -> bytes:
        path = f"/{self._bucket}/{key}"
        answer = self._http.request(method, self._url + path, body=content, headers=self._signed(method, path))
        if answer.status not in (200, 204):
            raise RuntimeError(f"{method} {key}: {answer.status} {answer.data[:200]!r}")
        return answer.data

    def _signed(self, method: str, path: str) -> dict[str, str]:
        """AWS's signature, version 4."""
        at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{at[:8]}/{self._region}/s3/aws4_request"
        headers = f"host:{self._host}\nx-amz-content-sha256:{UNSIGNED}\nx-amz-date:{at}\n"
        request = "\n".join((method, path, "", headers, SIGNED_HEADERS, UNSIGNED))
        text = "\n".join(("AWS4-HMAC-SHA256", at, scope, hashlib.sha256(request.encode()).hexdigest()))
        key = f"AWS4{self._secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return {
            "x-amz-content-sha256": UNSIGNED,
            "x-amz-date": at,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self._id}/{scope}, SignedHeaders={SIGNED_HEADERS}, "
            f"Signature={signature}",
        }
