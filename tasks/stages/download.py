"""download: a URL in, the recording behind it out, as bytes that nobody has looked into yet.

How the bytes are had is the business of tasks/fetch; here they are asked for, counted and hashed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from shared.errors import ExtractionError, FileTooLarge, NoAudio
from shared.transcript import Caveat, Progress

NOTHING = "There is no recording at this URL."


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one recording may cost. `timeout_s` bounds the whole of it, `idle_timeout_s` each silence of a server.

    Of a live stream `max_live_s` are recorded, for which `timeout_s` is longer; None refuses it. A server that is busy
    or away is asked once more behind each of `retry_pauses_s`; with none, what breaks off is not continued either.
    """

    max_bytes: int
    max_duration_s: float
    timeout_s: float
    idle_timeout_s: float
    max_live_s: float | None = None
    retry_pauses_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file in the given folder, what its source calls it, and what is to be known of it."""

    path: Path
    filename: str | None
    warnings: tuple[Caveat, ...] = ()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The recording is at another URL, in its normal form, of http or https."""

    url: str


class Declined(Exception):
    """This way is refused what it asks for, and another may not be; `error` is for the caller if none is let in."""

    def __init__(self, error: ExtractionError) -> None:
        super().__init__(error.message)
        self.error = error


Answer = Fetched | Elsewhere | None

Fetch = Callable[[str, Path, FetchLimits, Progress], Answer]
"""One way to a recording: takes a URL in its normal form and an empty folder; None means that it knows no such URL."""

MAX_HOPS = 4
"""Playlists and pages that lead to each other."""


@dataclass(frozen=True, slots=True)
class Download:
    """A recording that was fetched; `bytes` and `sha256` (in hex) are those of the file at `path`."""

    path: Path
    bytes: int
    sha256: str
    filename: str | None
    warnings: tuple[Caveat, ...] = ()


def download(
    url: str,
    folder: Path,
    ways: Sequence[Fetch],
    limits: FetchLimits,
    progress: Progress,
    *,
    check: Callable[[str], object] = lambda _: None,
) -> Download:
    """Fetch by the first way that knows the URL. `check` raises for a URL elsewhere that is not allowed, either.

    Raises ExtractionError, FileTooLarge, NoAudio for an empty file, and what the ways and `check` raise.
    """
    for hop in range(MAX_HOPS):
        subfolder = folder / f"hop-{hop}"
        subfolder.mkdir(mode=0o700)
        place, answer = _first(url, subfolder, ways, limits, progress)
        if isinstance(answer, Fetched):
            return _checked(place, answer, limits)
        check(answer.url)
        url = answer.url
    raise ExtractionError("The URL leads from one playlist to the next.")


def _first(
    url: str, folder: Path, ways: Sequence[Fetch], limits: FetchLimits, progress: Progress
) -> tuple[Path, Fetched | Elsewhere]:
    """What the first way answers that knows the URL and is not declined, and its folder. Raises ExtractionError."""
    declined: ExtractionError | None = None
    for number, fetch in enumerate(ways):
        subfolder = folder / f"way-{number}"
        subfolder.mkdir(mode=0o700)
        try:
            answer = fetch(url, subfolder, limits, progress)
        except Declined as reason:
            declined = declined or reason.error
            continue
        except ExtractionError as error:
            if declined is None:
                raise
            raise ExtractionError(f"{declined.message} {error.message}") from error
        if answer is not None:
            return subfolder, answer
    raise declined or ExtractionError(NOTHING)


def _checked(folder: Path, fetched: Fetched, limits: FetchLimits) -> Download:
    with open_plain(folder, fetched.path) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise NoAudio("The file behind the URL is empty.")
        if size > limits.max_bytes:
            raise too_large(limits)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Download(fetched.path, size, sha256, fetched.filename, fetched.warnings)


def open_plain(folder: Path, path: Path) -> BufferedReader:
    """Open a file that lies in `folder` itself and may have been left there by code that a stranger has taken over.

    Raises ExtractionError unless it is a regular file with one name: a link of either kind would be read in the
    worker's name, a pipe or a device would never end.
    """
    if path.parent != folder:
        raise ExtractionError(NOTHING)
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise ExtractionError(NOTHING) from error
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(opened)
        raise ExtractionError(NOTHING)
    return os.fdopen(opened, "rb")


def too_large(limits: FetchLimits) -> FileTooLarge:
    """The error for more bytes than are allowed."""
    return FileTooLarge(f"The recording is larger than {limits.max_bytes} bytes.", max_upload_bytes=limits.max_bytes)
