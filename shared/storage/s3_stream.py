"""A part passed on to S3 as it arrives: its first HEAD_BYTES and a chunk are in memory, whatever its size.

The connection to S3 is made when the head has arrived, so that a body that trickles holds none. boto3 would read the
body twice, to sign it; here each chunk is signed on its way.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import cache

import httpx

from shared.errors import NotFound, StorageUnavailable
from shared.storage.interface import HEAD_BYTES
from shared.storage.s3_errors import refusal
from shared.storage.s3_signing import SignedChunks

TIMEOUT = httpx.Timeout(30, connect=3)
CONNECTIONS = httpx.Limits(max_connections=None, max_keepalive_connections=20)
"""As many as there are transfers, which transfer_budget.py bounds: none waits for a connection of another."""


@cache
def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=TIMEOUT, limits=CONNECTIONS)


async def put(url: str, signed: SignedChunks, size: int, body: AsyncIterator[bytes]) -> str:
    """PUT the body, which has `size` bytes or raises; returns the etag.

    Raises NotFound when S3 does not expect the part any more, StorageFull and StorageUnavailable.
    """
    head = bytearray()
    while len(head) < min(HEAD_BYTES, size):
        head += await anext(body)
    try:
        answer = await _client().put(url, content=signed.chunks(_whole(head, body)), headers=signed.headers)
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


async def _whole(head: bytearray, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield bytes(head)
    head.clear()
    async for chunk in rest:
        yield chunk
