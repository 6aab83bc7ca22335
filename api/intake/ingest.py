"""From the request's body to an object in storage, hashed on the way: nothing on disk, one part in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from api.bodies.schemas import FILE
from api.intake import transfer
from api.intake.form import Form
from shared.errors import AdapterDisabled, NoAudio, ParleyError
from shared.storage import Writer
from shared.telemetry.metrics import UPLOAD_BYTES

T = TypeVar("T")

THREADS = CapacityLimiter(24)
"""Uploads have threads of their own, so that a slow object store leaves the other routes theirs. Below the 32
connections of the S3 client."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What arrived: the object's digest and size in bytes, and the other fields of the form, repeatable ones apart."""

    sha256: str
    bytes: int
    filename: str | None
    fields: Mapping[str, str]
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)


async def in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Run blocking work of an upload. It is waited for, also when the request is cancelled."""
    return await to_thread.run_sync(partial(work, *arguments), limiter=THREADS)


class Departure:
    """A full piece on its way to the store, while the next one arrives if there is memory for both."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Send the piece that is full, once the one before has left. Raises what `end` raises."""
        await self.end()
        if self._writer.turn():
            self._task = asyncio.create_task(in_thread(self._writer.send))
        else:
            await in_thread(self._writer.flush)

    async def end(self) -> None:
        """Wait for what is on its way, also when the request is cancelled. Raises StorageUnavailable, StorageFull."""
        if self._task:
            task, self._task = self._task, None
            with anyio.CancelScope(shield=True):
                await task


async def receive(
    request: Request,
    writer: Writer,
    *,
    field_names: Collection[str],
    max_bytes: int,
    file_field: str = FILE,
    repeatable: Collection[str] = (),
    preamble: bytes = b"",
    instead: Collection[str] = (),
    takes_files: bool = True,
) -> Upload:
    """Store the form's one file through `writer`; `field_names` are the other fields that the form may hold.

    One of `instead` may take the file's place; then nothing is stored. `preamble` is stored before the file's own
    bytes, for files that lack the header by which they could be read.
    Raises InvalidRequest, FileTooLarge, NoAudio for an empty file, IncompleteUpload when the client goes away,
    UploadTooSlow when it stalls, AdapterDisabled for a file unless `takes_files`, and StorageUnavailable. Whoever made
    the writer aborts it then.
    """
    is_piece_full = False

    def take(data: bytes | memoryview) -> None:
        nonlocal is_piece_full
        if data and not takes_files:
            raise AdapterDisabled("This server does not take uploaded files.")
        UPLOAD_BYTES.inc(len(data))
        is_piece_full = writer.write(data)

    form = Form(
        request.headers.get("content-type"),
        take,
        field_names=field_names,
        max_file_bytes=max_bytes,
        file_field=file_field,
        repeatable=repeatable,
        instead=instead,
    )
    form.check_length(request.headers.get("content-length"))
    take(preamble)
    departure = Departure(writer)
    try:
        async with aclosing(transfer.chunks(request)) as chunks:
            async for chunk in chunks:
                form.write(chunk)
                if is_piece_full:
                    await departure.begin()
                    is_piece_full = False
        form.close()
    except BaseException:
        with suppress(ParleyError):
            await departure.end()
        raise
    await departure.end()
    sha256 = ""
    if form.has_file:
        if form.file_bytes == 0:
            raise NoAudio("The file is empty.")
        sha256 = await in_thread(writer.close)
    size = len(preamble) + form.file_bytes
    return Upload(sha256, size, form.filename, form.fields, form.lists)
