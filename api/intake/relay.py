"""A request's body passed on to S3 as it arrives: its first HEAD_BYTES and a chunk are in memory, whatever its size.

The connection to S3 is made when the head has arrived, so that a body that trickles holds none. boto3 would read the
body twice, to sign it; a presigned URL needs no digest of what is sent to it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import cache

import httpx
from starlette.requests import Request

from api.intake import transfer
from shared.errors import InvalidRequest, NotFound, StorageUnavailable
from shared.storage import refusal

TIMEOUT = httpx.Timeout(30, connect=3)
CONNECTIONS = httpx.Limits(max_connections=None, max_keepalive_connections=20)
"""As many as there are transfers, which transfer_budget.py bounds: none waits for a connection of another."""

HEAD_BYTES = 1024**2


@cache
def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=TIMEOUT, limits=CONNECTIONS)


async def put(request: Request, url: str, size: int) -> str:
    """PUT the body, which must have `size` bytes, to a presigned URL; returns the etag.

    Raises InvalidRequest for another size, IncompleteUpload when the client goes away, UploadTooSlow when it stalls,
    NotFound when S3 does not expect the part any more, StorageFull and StorageUnavailable.
    """
    announced = request.headers.get("content-length")
    if announced is not None and announced != str(size):
        raise _wrong_size(size)
    async with aclosing(_body(request, size)) as body:
        head = bytearray()
        while len(head) < min(HEAD_BYTES, size):
            head += await anext(body)
        try:
            answer = await _client().put(url, content=_whole(head, body), headers={"Content-Length": str(size)})
        except httpx.HTTPError as error:
            raise StorageUnavailable("The object store does not answer; send the part again in a moment.") from error
    if answer.status_code == 404:
        raise NotFound("There is no such upload any more.")
    if not answer.is_success:
        raise refusal(answer.status_code, _code(answer.text))
    return str(answer.headers.get("etag", "")).strip('"')


def _code(answer: str) -> str:
    """S3's code in an error's body; empty when there is none."""
    match = re.search(r"<Code>(\w+)</Code>", answer)
    return match[1] if match else ""


async def _body(request: Request, size: int) -> AsyncGenerator[bytes]:
    """The body's chunks. An error on the way closes the connection to S3, which then keeps nothing of the part."""
    byte_count = 0
    async with aclosing(transfer.chunks(request)) as chunks:
        async for chunk in chunks:
            byte_count += len(chunk)
            if byte_count > size:
                raise _wrong_size(size)
            yield chunk
    if byte_count < size:
        raise _wrong_size(size)


async def _whole(head: bytearray, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield bytes(head)
    head.clear()
    async for chunk in rest:
        yield chunk


def _wrong_size(size: int) -> InvalidRequest:
    return InvalidRequest(f"This part must have {size} bytes.", parameter="body", part_bytes=size)
