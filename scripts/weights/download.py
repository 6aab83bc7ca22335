"""One file over HTTP: resumed, hashed on the way, shown on the terminal, put in place only when it is right."""

from __future__ import annotations

import errno
import hashlib
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from scripts.weights.hashing import sha256_of
from shared.errors import ModelUnavailable

CHUNK_BYTES = 1 << 20
ATTEMPTS = 3
"""Connections per file: a broken one is taken up where it ended."""

READ_TIMEOUT_S = 30.0
"""A server that sends nothing for this long is given up."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class SourceFailed(Exception):
    """This source cannot deliver; the next one is asked. The message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a file is and what it must be. `headers` go to this host only, never along with a redirect."""

    url: str
    name: str
    sha256: str | None = None
    size_bytes: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


def progress_bar() -> Progress:
    """Bytes, speed and time left, one row per file."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    )


def opener(cafile: str | None = None, proxy: str | None = None) -> urllib.request.OpenerDirector:
    """An HTTP client; without arguments the proxies and certificates are those of the environment."""
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=cafile))
    ]
    if proxy:
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    return urllib.request.build_opener(*handlers)


def fetch(remote: Remote, path: Path, client: urllib.request.OpenerDirector, progress: Progress) -> str:
    """Put the file of `remote` at `path`; returns its sha256.

    Until the hash is right the bytes lie in `path` + ".part", which the next call resumes. Raises `SourceFailed` when
    the server does not deliver or delivers something else (then the part is deleted), `ModelUnavailable` when the
    disk has no room.
    """
    if remote.sha256 is not None and path.exists() and sha256_of(path) == remote.sha256:
        return remote.sha256
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    failure = ""
    for _ in range(ATTEMPTS):
        try:
            digest, resumed = _stream(remote, part, client, progress)
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
                failure = "the server refused to resume"
                continue
            raise SourceFailed(f"{remote.name}: HTTP {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            failure = str(getattr(error, "reason", None) or error or type(error).__name__)
            continue
        if remote.sha256 in (None, digest):
            part.replace(path)
            return digest
        part.unlink(missing_ok=True)
        failure = f"sha256 is {digest}, not {remote.sha256}"
        if not resumed:
            break
    raise SourceFailed(f"{remote.name}: {failure}")


@contextmanager
def room_on_disk(folder: Path) -> Iterator[None]:
    """Turns "no space left on device" and its relatives into one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise ModelUnavailable(f"no room on the disk for the models in {folder}: {error.strerror}") from error
        raise


def _stream(remote: Remote, part: Path, client: urllib.request.OpenerDirector, progress: Progress) -> tuple[str, bool]:
    """Fetch what `part` lacks. Returns the sha256 of all of it and whether it began with bytes of an earlier try."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(remote.url)  # noqa: S310 - the index is the operator's, and may be a folder
    for name, value in remote.headers.items():
        request.add_unredirected_header(name, value)
    if have:
        request.add_header("Range", f"bytes={have}-")
    with client.open(request, timeout=READ_TIMEOUT_S) as response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else remote.size_bytes
        digest = hashlib.sha256()
        if have:
            with part.open("rb") as file:
                for block in iter(lambda: file.read(CHUNK_BYTES), b""):
                    digest.update(block)
        task = progress.add_task(remote.name, total=total, completed=have)
        position = have
        with room_on_disk(part.parent), part.open("ab" if have else "wb") as file:
            while block := response.read(CHUNK_BYTES):
                position += len(block)
                if remote.size_bytes is not None and position > remote.size_bytes:
                    file.truncate(0)
                    raise SourceFailed(f"{remote.name}: larger than its {remote.size_bytes} bytes")
                file.write(block)
                digest.update(block)
                progress.update(task, completed=position)
    if total is not None and position < total:  # http.client reports a connection cut short as a plain end of file
        raise ConnectionError(f"the connection ended after {position} of {total} bytes")
    return digest.hexdigest(), bool(have)
