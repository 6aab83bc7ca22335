"""A request's body passed on to S3 as it arrives: some chunks of 64 KiB are in memory, whatever its size.

boto3 would read the body twice, to sign it. A presigned URL needs no digest of what is sent to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache

import httpx
from starlette.requests import ClientDisconnect, Request

from shared.errors import IncompleteUpload, InvalidRequest, NotFound, StorageUnavailable

TIMEOUT = httpx.Timeout(30, connect=3)
CONNECTIONS = httpx.Limits(max_connections=200, max_keepalive_connections=20)


@cache
def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=TIMEOUT, limits=CONNECTIONS)


async def put(request: Request, url: str, size: int) -> str:
    """PUT the body, which must have `size` bytes, to a presigned URL; returns the etag.

    Raises InvalidRequest for another size, IncompleteUpload when the client goes away, NotFound when S3 does not expect
    the part any more, and StorageUnavailable.
    """
    announced = request.headers.get("content-length")
    if announced is not None and announced != str(size):
        raise _wrong_size(size)
    try:
        answer = await _client().put(url, content=_body(request, size), headers={"Content-Length": str(size)})
    except httpx.HTTPError as error:
        raise StorageUnavailable("The object store does not answer; send the part again in a moment.") from error
    if answer.status_code == 404:
        raise NotFound("There is no such upload any more.")
    if not answer.is_success:
        raise StorageUnavailable("The object store refused the part; send it again in a moment.")
    return str(answer.headers.get("etag", "")).strip('"')


async def _body(request: Request, size: int) -> AsyncIterator[bytes]:
    """The body's chunks. An error on the way closes the connection to S3, which then keeps nothing of the part."""
    taken = 0
    try:
        async for chunk in request.stream():
            taken += len(chunk)
            if taken > size:
                raise _wrong_size(size)
            yield chunk
    except ClientDisconnect as error:
        raise IncompleteUpload("The connection ended before the whole part had arrived.") from error
    if taken < size:
        raise _wrong_size(size)


def _wrong_size(size: int) -> InvalidRequest:
    return InvalidRequest(f"This part must have {size} bytes.", parameter="body", part_bytes=size)
