"""A file on its way into storage: announced before its first byte, and nothing of it left when anything goes wrong."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
from starlette.requests import Request

from api.intake import ingest, submission, transfer
from api.intake.ingest import Upload
from shared.kernel.orders import Source
from shared.storage import PART_BYTES, Storage, Writer, upload_key

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Arrived(Generic[T]):
    """What is in storage now, still announced; the form; what was read of it. Without a file `source.bytes` is 0."""

    source: Source
    writer: Writer
    form: Upload
    result: T


async def store(
    request: Request,
    storage: Storage,
    owner_id: uuid.UUID,
    object_id: uuid.UUID,
    receive: Callable[[Writer], Awaitable[Upload]],
    read: Callable[[Upload], T],
) -> Arrived[T]:
    """Have `receive` write the file, and `read` say what the form asks for. `object_id` is the job's or upload's to be.

    Raises what the two raise, TooManyTransfers, ServiceBusy, StorageFull and DatabaseUnavailable. Afterwards whoever
    called keeps the object or withdraws it.
    """
    storage.fullness.check()
    with transfer.reserved(request, PART_BYTES):
        await submission.announce(owner_id, object_id)
        key = upload_key(owner_id, object_id)
        writer = storage.writer(key)
        try:
            form = await receive(writer)
            result = read(form)
        except BaseException as error:
            storage.fullness.note(error)
            with anyio.CancelScope(shield=True):
                await ingest.in_thread(submission.withdraw, object_id, writer)
            raise
    return Arrived(Source(key, form.sha256, form.bytes, form.filename), writer, form, result)
