"""A body on its way in: what it may take of this process, and how slow it may be. Every body that we read ourselves,
recordings first of all, is read through here.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing

import anyio
from starlette.requests import ClientDisconnect, Request

from api.intake.transfer_budget import budget
from shared.config import settings
from shared.errors import IncompleteUpload, ParleyError, ServiceBusy, TooManyTransfers, UploadTooSlow

LEAST_BYTES_PER_S = 1000
"""A hundredth of what a bad mobile connection does. Whoever sends less for UPLOAD_PATIENCE_S is not sending."""

REFUSALS: tuple[type[ParleyError], ...] = (IncompleteUpload, UploadTooSlow, TooManyTransfers, ServiceBusy)
"""What can go wrong with a body on its way in, for OpenAPI."""

CHUNKS_BYTES = 256 * 1024
"""What the server has read ahead of us of one body, at most."""


def reserved(request: Request, most_bytes: int) -> AbstractContextManager[None]:
    """Hold the memory for the caller's body, of which at most `most_bytes` are kept at a time, until the context ends.

    Entering raises TooManyTransfers and ServiceBusy.
    """
    size = min(_length(request, most_bytes), most_bytes) + CHUNKS_BYTES
    return budget().reserved(request.state.caller_id, size, settings().max_transfers)


async def chunks(request: Request) -> AsyncGenerator[bytes]:
    """The body's bytes as they come. Raises IncompleteUpload when the client goes away, and UploadTooSlow.

    Only the time for which the client is waited for counts: whoever has sent what we asked for may be waiting for us.
    """
    patience_s = longest_s = settings().upload_patience_s
    try:
        async with aclosing(request.stream()) as stream:
            while True:
                asked_at = time.monotonic()
                with anyio.fail_after(patience_s):
                    chunk = await anext(stream, None)
                if chunk is None:
                    return
                patience_s += len(chunk) / LEAST_BYTES_PER_S - (time.monotonic() - asked_at)
                patience_s = min(patience_s, longest_s)
                if chunk:
                    yield chunk
    except ClientDisconnect as error:
        raise IncompleteUpload("The connection ended before the whole body had arrived.") from error
    except TimeoutError as error:
        raise UploadTooSlow(
            f"Less than {LEAST_BYTES_PER_S} bytes per second arrived for {longest_s:g} s.",
            bytes_per_s=LEAST_BYTES_PER_S,
        ) from error


def _length(request: Request, most_bytes: int) -> int:
    """What the body says of itself; one that says nothing may have any length."""
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isdecimal() else most_bytes
