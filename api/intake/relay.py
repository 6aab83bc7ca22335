"""A request's body passed on to the object store as it arrives: little of it is in memory, whatever its size."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request

from api.intake import transfer
from shared.errors import InvalidRequest
from shared.storage import Storage


async def put(request: Request, storage: Storage, key: str, upload_id: str, number: int, size: int) -> str:
    """Store the body, which must have `size` bytes, as a part; returns the etag.

    Raises InvalidRequest for another size, IncompleteUpload when the client goes away, UploadTooSlow when it stalls,
    NotFound when the store does not expect the part any more, StorageFull and StorageUnavailable.
    """
    announced = request.headers.get("content-length")
    if announced is not None and announced != str(size):
        raise _wrong_size(size)
    async with aclosing(_body(request, size)) as body:
        return await storage.put_part(key, upload_id, number, size, body)


async def _body(request: Request, size: int) -> AsyncGenerator[bytes]:
    """The body's chunks. An error on the way ends the store's write, of which nothing stays."""
    byte_count = 0
    async with aclosing(transfer.chunks(request)) as chunks:
        async for chunk in chunks:
            byte_count += len(chunk)
            if byte_count > size:
                raise _wrong_size(size)
            yield chunk
    if byte_count < size:
        raise _wrong_size(size)


def _wrong_size(size: int) -> InvalidRequest:
    return InvalidRequest(f"This part must have {size} bytes.", parameter="body", part_bytes=size)
