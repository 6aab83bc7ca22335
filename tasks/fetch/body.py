"""The body of an answer. Where the connection breaks the rest is asked for, so hours of sound are not fetched anew."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Mapping
from datetime import timedelta

import httpx

from shared.errors import SourceUnavailable
from shared.telemetry.logs import get_logger
from shared.transcript import Progress
from tasks.fetch import retries
from tasks.stages.download import FetchLimits

log = get_logger(__name__)

MAX_BREAKS = 10
"""Of one attempt. Each is followed by a pause, so a server that always hangs up is not flooded."""

STRONG_DATE = timedelta(seconds=1)
"""How old a file has to be for the time of its last change to name it: two may have been written in one second."""

_PART = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19})")


def chunks(
    client: httpx.Client,
    request: httpx.Request,
    response: httpx.Response,
    limits: FetchLimits,
    progress: Progress,
) -> Generator[bytes]:
    """The bytes as they arrive; a chunk size would wait for a server that drips.

    The rest is asked for only where the server says which file it is, and taken only where it is of that file, so that
    no two files are mixed up. `request` is what was asked first, before any redirect: where that leads may hold for
    minutes only.

    Raises what httpx raises where the rest is not to be had, SourceUnavailable where it is another file's, and what
    `progress` raises.
    """
    size, validator = length(response.headers), _validator(response.headers)
    deadline = time.monotonic() + limits.timeout_s
    count = breaks = 0
    part = response
    try:
        while True:
            try:
                if breaks:
                    part = retries.open_stream(client, _rest_of(request, count, validator), limits, progress)
                    _check_rest(part, count, size, validator)
                for chunk in part.iter_bytes():
                    count += len(chunk)
                    yield chunk
                if not breaks or count == size:
                    return
                problem: httpx.TransportError = httpx.RemoteProtocolError("less than the rest came")
            except httpx.TransportError as error:
                problem = error
            part.close()
            breaks += 1
            can_continue = size and validator and limits.retry_pauses_s and 0 < count < size
            if not can_continue or breaks > MAX_BREAKS or time.monotonic() > deadline:
                raise problem
            log.info("source_broke_off", bytes=count, of=size)
            retries.pause(limits.retry_pauses_s[0], progress)
    finally:
        part.close()


def length(headers: Mapping[str, str]) -> int | None:
    """Bytes of the body, if they are announced; a compressed one is longer than the length says."""
    value = headers.get("content-length", "")
    return int(value) if value.isdecimal() and _is_plain(headers) else None


def _validator(headers: Mapping[str, str]) -> str:
    """What names this file and no other one at the same URL, for `If-Range`; empty where nothing does (RFC 9110,
    13.1.5)."""
    etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
    if not (etag + modified).isascii():  # httpx would not send it
        return ""
    if etag:
        return etag if etag.startswith('"') else ""
    changed, now = retries.date(modified), retries.date(headers.get("date", ""))
    return modified if changed and now and now - changed >= STRONG_DATE else ""


def _rest_of(request: httpx.Request, count: int, validator: str) -> httpx.Request:
    headers = {**request.headers, "Range": f"bytes={count}-", "If-Range": validator}
    return httpx.Request(request.method, request.url, headers=headers, extensions=request.extensions)


def _check_rest(part: httpx.Response, count: int, size: int | None, validator: str) -> None:
    """Raises SourceUnavailable unless the part begins behind `count` bytes of the file that has `size`."""
    match = _PART.fullmatch(part.headers.get("content-range", ""))
    name = part.headers.get("etag") or part.headers.get("last-modified") or validator
    is_same = name == validator and match is not None and match.groups() == (str(count), str(size))
    if part.status_code != 206 or not is_same or not _is_plain(part.headers):
        raise SourceUnavailable("The connection to the server of the URL failed, and it does not give the rest.")


def _is_plain(headers: Mapping[str, str]) -> bool:
    return headers.get("content-encoding", "identity") == "identity"
