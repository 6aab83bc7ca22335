"""Where a recording that is fetched may come from: the URL in its normal form, checked against switches and guard.

Used twice: by the gateway, so that a wrong URL is refused at once, and by the worker right before it fetches, so that
a switch that was turned off meanwhile still holds. The addresses behind a host's name are checked when connecting.
"""

from __future__ import annotations

import hashlib
import re

from shared.config import Settings
from shared.egress import policy
from shared.errors import AdapterDisabled, BlockedAddress, InvalidUrl

S3_SCHEME = "s3://"
TIKTOK = "tiktok.com"

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
MAX_KEY_BYTES = 1024
"""S3's limit."""


def check(url: str, config: Settings) -> str:
    """The URL in its normal form. Raises InvalidUrl, BlockedAddress and AdapterDisabled."""
    if not config.allow_url_adapter:
        raise AdapterDisabled("This server does not take recordings by URL.")
    url = url.strip()
    if url[: len(S3_SCHEME)].lower() == S3_SCHEME:
        return S3_SCHEME + "/".join(bucket_and_key(url, config))
    target = policy.parse(url)
    if not config.allow_tiktok_adapter and f".{target.host}".endswith(f".{TIKTOK}"):
        raise AdapterDisabled("This server does not take recordings from TikTok.")
    policy.guard(config).check(target.host, target.port)
    return target.url


def bucket_and_key(url: str, config: Settings) -> tuple[str, str]:
    """The parts of s3://BUCKET/KEY. Raises InvalidUrl, and BlockedAddress for a bucket that is not listed."""
    bucket, _, key = url[len(S3_SCHEME) :].partition("/")
    if not _BUCKET.fullmatch(bucket) or not key.isprintable() or not 0 < len(key.encode()) <= MAX_KEY_BYTES:
        raise InvalidUrl("Write an object's URL as s3://bucket/key.")
    # never our own: it holds the recordings of all keys
    if bucket not in policy.items(config.s3_source_buckets) or bucket == config.s3_bucket:
        raise BlockedAddress("The bucket is not one that this server reads from.")
    return bucket, key


def fingerprint(url: str, unique: str = "") -> str:
    """What stands for the recording's bytes until they are known: SHA-256, in hex, of the URL in its normal form.

    `unique` makes it new, for a recording that is to be fetched again, and for a live stream, which is never the same.
    """
    return hashlib.sha256(f"url\n{url}\n{unique}".encode()).hexdigest()
