"""The chunks of a session that has ended -> its recording."""

from __future__ import annotations

import errno
import hashlib
import uuid
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.db import session
from shared.errors import NoAudio, StorageFull
from shared.live import listeners
from shared.live.sessions import CONTAINER
from shared.models import LiveSession
from shared.transcript import Progress

SAMPLE_BYTES = 2

SUFFIXES = ((0, b"\x1aE\xdf\xa3", "webm"), (0, b"OggS", "ogg"), (4, b"ftyp", "mp4"))
"""Where a container says what it is, and how. Its first chunk tells, or nothing does."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A WAV file at the rate at which the session came, or the container that it came in."""

    sha256: str
    filename: str


def write(job_id: uuid.UUID, target: Path, progress: Progress) -> Recording:
    """Write all that was acknowledged, in order. Raises NoAudio, DatabaseUnavailable, and StorageFull when there is no
    room for it now."""
    with session() as work:
        row = work.get_one(LiveSession, job_id)
    try:
        suffix = _write(row, target, progress)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # it says nothing of the recording: no attempt is counted
            raise StorageFull("There is no room yet for the recording of the live session.") from error
        raise
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Recording(digest, f"live-{row.created_at:%Y-%m-%dT%H-%M-%S}.{suffix}")


def _write(row: LiveSession, target: Path, progress: Progress) -> str:
    """The suffix of what was written."""
    if row.encoding == CONTAINER:
        return _write_container(row, target, progress)
    rest = b""
    with wave.open(str(target), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(SAMPLE_BYTES)
        wav.setframerate(row.rate)
        for chunk in _chunks(row, progress):
            data = rest + chunk
            whole = len(data) - len(data) % SAMPLE_BYTES
            wav.writeframesraw(data[:whole])
            rest = data[whole:]
        if not wav.tell():
            raise NoAudio("The live session brought no audio.")
    return "wav"


def _write_container(row: LiveSession, target: Path, progress: Progress) -> str:
    head = b""
    with target.open("wb") as file:
        for chunk in _chunks(row, progress):
            head = head or chunk
            file.write(chunk)
    if not head:
        raise NoAudio("The live session brought no audio.")
    return next((suffix for place, magic, suffix in SUFFIXES if head[place:].startswith(magic)), "audio")


def _chunks(row: LiveSession, progress: Progress) -> Iterator[bytes]:
    """All of them, in order."""
    seq, size, is_last = 0, 0, False
    while not is_last:
        with session(is_reading=True) as work:
            arrived = listeners.chunks(work, row.job_id, seq)
        is_last = arrived.is_last
        for chunk in arrived.chunks:
            yield chunk.data
            seq, size = chunk.seq, size + len(chunk.data)
        progress(min(1.0, size / row.bytes) if row.bytes else 1.0)
