"""The sound of a task as a response: a range of an object, a piece at a time."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.delivery import content_disposition
from shared import db
from shared.callers import keys
from shared.errors import NotFound, NotReady, RangeNotSatisfiable, Unauthorized
from shared.kernel import audio
from shared.kernel.job_views import JobRow
from shared.models import Artifact
from shared.states import TERMINAL
from shared.storage import Storage

PIECE_BYTES = 512 * 1024
"""What a listener has in memory here."""

CHECK_S = 1.0
"""How often it is looked whether a listener may still listen while it is sent something."""

Check = Callable[[Session], None]
"""Raises NotFound or Unauthorized when a listener may not listen any more."""

COPY_TYPE = "audio/webm"
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "All of it", "content": {COPY_TYPE: {}, "application/octet-stream": {}}},
    206: {"description": "The range that was asked for", "content": {COPY_TYPE: {}, "application/octet-stream": {}}},
}
"""For OpenAPI."""

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)

MAX_POINTS = 20_000
FULL_SCALE = 255


@dataclass(frozen=True, slots=True)
class Sound:
    """Bytes to be sent: the first `size` of an object."""

    key: str
    size: int
    media_type: str
    etag: str
    disposition: str


def find(job: JobRow, *, is_original: bool) -> Sound:
    """The copy for listening, or the recording as it was sent. Raises NotFound and NotReady."""
    name = job.filename or "recording"
    with db.session(is_reading=True) as work:
        if is_original:
            recording = audio.recording_of(work, job.id)
            if recording is None:
                raise _missing(job, "The recording is not here.")
            # whatever a stranger has sent: a browser is to save it, and to take it for nothing
            disposition = content_disposition(name)
            return Sound(recording.key, recording.bytes, "application/octet-stream", _etag(recording), disposition)
        copy = _copy(work, job)
    stem = name.rpartition(".")[0] or name
    disposition = content_disposition(f"{stem}.webm", is_shown=True)
    return Sound(copy.key, copy.meta["audio_bytes"], COPY_TYPE, _etag(copy), disposition)


def peaks(job: JobRow, storage: Storage, points: int) -> dict[str, object]:
    """The waveform: for each channel up to so many values from 0 to 1, the loudest of a stretch of time each.

    Raises NotFound, NotReady and StorageUnavailable.
    """
    with db.session(is_reading=True) as work:
        copy = _copy(work, job)
    size, first = copy.meta["lane_bytes"], copy.meta["audio_bytes"]
    count = copy.meta["lanes"]
    stored = storage.get_range(copy.key, first, first + count * size) if size else b""
    lanes = [_reduced(stored[number * size : (number + 1) * size], points) for number in range(count)]
    return {"duration": copy.meta["duration"], "peaks": lanes}


async def send(request: Request, sound: Sound, storage: Storage, check: Check) -> Response:
    """The whole, or the range that the request asks for; it breaks off when `check` raises something.

    Raises RangeNotSatisfiable and StorageUnavailable.
    """
    first, end = 0, sound.size
    byte_range = _range(request, sound)
    if byte_range:
        first, end = byte_range
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - first),
        "Content-Disposition": sound.disposition,
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "ETag": sound.etag,
    }
    if byte_range:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{sound.size}"
    piece = await _read(storage, sound, first, end)  # before the answer begins, so that it can be an error
    return StreamingResponse(
        _pieces(storage, sound, piece, (first, end), check),
        status_code=206 if byte_range else 200,
        media_type=sound.media_type,
        headers=headers,
    )


async def _pieces(
    storage: Storage, sound: Sound, piece: bytes, bounds: tuple[int, int], check: Check
) -> AsyncIterator[bytes]:
    """An answer that stops in the middle breaks its connection: its length says what is missing."""
    position, end = bounds
    checked_at = time.monotonic()
    while True:
        yield piece
        position += len(piece)
        if position >= end:
            return
        if time.monotonic() - checked_at > CHECK_S:
            await to_thread.run_sync(_look, check)
            checked_at = time.monotonic()
        piece = await _read(storage, sound, position, end)


async def _read(storage: Storage, sound: Sound, position: int, end: int) -> bytes:
    if position >= end:
        return b""
    stop = min(position + PIECE_BYTES, end)
    return await to_thread.run_sync(partial(storage.get_range, sound.key, position, stop))


def _look(check: Check) -> None:
    with db.session(is_reading=True) as work:
        check(work)


def key_check(owner_id: uuid.UUID) -> Check:
    """Whether the key is valid."""

    def check(work: Session) -> None:
        if keys.revoked(work, [owner_id]):
            raise Unauthorized("This API key has been revoked.")

    return check


def _range(request: Request, sound: Sound) -> tuple[int, int] | None:
    """First byte and the one behind the last; None for all. Several ranges are answered with all, as RFC 9110 allows.

    Raises RangeNotSatisfiable.
    """
    match = RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if not match or request.headers.get("if-range", sound.etag) != sound.etag:
        return None
    first, last = match[1], match[2]
    if first:
        if last and int(last) < int(first):
            return None
        bounds = int(first), min(int(last) + 1, sound.size) if last else sound.size
    elif last:
        bounds = max(0, sound.size - int(last)), sound.size
    else:
        return None
    if bounds[0] >= bounds[1]:
        raise RangeNotSatisfiable(f"There are {sound.size} bytes.", bytes=sound.size)
    return bounds


def _copy(work: Session, job: JobRow) -> Artifact:
    if (copy := audio.copy_of(work, job.id)) is None:
        raise _missing(job, "This task has no copy for listening; with original=true the recording is sent as it came.")
    return copy


def _missing(job: JobRow, message: str) -> NotFound | NotReady:
    if job.state in TERMINAL:
        return NotFound(message)
    return NotReady("The recording is not here yet.", status=job.state)


def _reduced(lane: bytes, points: int) -> list[float]:
    width = max(1, -(-len(lane) // points))
    return [round(max(lane[start : start + width]) / FULL_SCALE, 3) for start in range(0, len(lane), width)]


def _etag(artifact: Artifact) -> str:
    return f'"{artifact.id.hex}"'
