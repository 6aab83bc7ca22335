"""The body of an answer. Where the connection breaks the rest is asked for, so hours of sound are not fetched anew."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping

import httpx

from shared.telemetry.logs import get_logger
from shared.transcript import Progress
from tasks.fetch import retries
from tasks.stages.download import FetchLimits

log = get_logger(__name__)

MAX_BREAKS = 10
"""Of one attempt. Each is followed by a pause, so a server that always hangs up is not flooded."""

_PART = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


def chunks(
    client: httpx.Client,
    request: httpx.Request,
    response: httpx.Response,
    limits: FetchLimits,
    progress: Progress,
) -> Generator[bytes]:
    """The bytes as they arrive; a chunk size would wait for a server that drips.

    The rest is asked for only where the server says which file it is, by a strong ETag or a date, so that no two files
    are mixed up. `request` is what was asked first, before any redirect: where that leads may hold for minutes only.

    Raises what httpx raises where the rest is not to be had, and what `progress` raises.
    """
    pauses_s = limits.retry_pauses_s
    size, validator = length(response.headers), _validator(response.headers)
    count = breaks = 0
    part = response
    try:
        while True:
            try:
                for chunk in part.iter_bytes():
                    count += len(chunk)
                    yield chunk
                return
            except httpx.TransportError:
                breaks += 1
                if not (size and validator and count and pauses_s) or breaks > MAX_BREAKS:
                    raise
                log.info("source_broke_off", bytes=count, of=size)
                part.close()
                retries.pause(pauses_s[0], progress)
                part = retries.open_stream(client, _rest_of(request, count, validator), pauses_s, progress)
                if not _continues(part, count, size):
                    raise
    finally:
        part.close()


def length(headers: Mapping[str, str]) -> int | None:
    """Bytes of the body, if they are announced; a compressed one is longer than the length says."""
    value = headers.get("content-length", "")
    return int(value) if value.isdecimal() and _is_plain(headers) else None


def _validator(headers: Mapping[str, str]) -> str | None:
    """What names this file and no other one at the same URL. A weak ETag may be that of other bytes."""
    etag = headers.get("etag", "")
    return headers.get("last-modified") if not etag or etag.startswith("W/") else etag


def _rest_of(request: httpx.Request, count: int, validator: str) -> httpx.Request:
    headers = {**request.headers, "Range": f"bytes={count}-", "If-Range": validator}
    return httpx.Request(request.method, request.url, headers=headers, extensions=request.extensions)


def _continues(part: httpx.Response, count: int, size: int) -> bool:
    match = _PART.fullmatch(part.headers.get("content-range", ""))
    if part.status_code != 206 or match is None or not _is_plain(part.headers):
        return False
    return int(match[1]) == count and match[2] in ("*", str(size))


def _is_plain(headers: Mapping[str, str]) -> bool:
    return headers.get("content-encoding", "identity") == "identity"
