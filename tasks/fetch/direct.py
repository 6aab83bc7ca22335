"""A media file behind http or https, streamed to disk. A page or a playlist is left to the next way."""

from __future__ import annotations

from email.message import Message
from pathlib import Path
from urllib.parse import unquote

import httpx

from shared.egress import http
from shared.egress.policy import Guard
from shared.errors import ExtractionError, SourceUnavailable
from shared.intake.filenames import safe_filename
from shared.transcript import Progress
from tasks.fetch.budget import Budget
from tasks.stages.download import Fetched, FetchLimits

MAX_REDIRECTS = 8

PAGES = frozenset(
    {
        "text/html",
        "text/xml",
        "application/xhtml+xml",
        "application/xml",
        "application/rss+xml",
        "application/atom+xml",
        "application/json",
        "application/dash+xml",
        "application/vnd.apple.mpegurl",
        "application/x-mpegurl",
        "audio/mpegurl",
        "audio/x-mpegurl",
        "audio/x-scpls",
        "application/vnd.ms-sstr+xml",
    }
)
"""Content types of what leads to a recording without being one."""

PAGE_STARTS = (b"<", b"\xef\xbb\xbf<", b"#EXTM3U")
"""How such things begin, whatever their content type says. No sound or film does."""

TEMPORARY = frozenset({408, 425, 429})
HEADERS = {"User-Agent": "Parley", "Accept": "audio/*, video/*, */*;q=0.5", "Accept-Encoding": "identity"}


def fetch(guard: Guard, url: str, folder: Path, limits: FetchLimits, progress: Progress) -> Fetched | None:
    """The file, or None when the URL leads to a page or a playlist.

    Raises ExtractionError for an answer that will not change, SourceUnavailable for one that may, FileTooLarge,
    BlockedAddress and InvalidUrl for where a redirect leads.
    """
    if not url.startswith(("http://", "https://")):
        return None
    try:
        with (
            http.client(guard, timeout_s=limits.idle_timeout_s, max_redirects=MAX_REDIRECTS) as client,
            client.stream("GET", url, headers=HEADERS) as response,
        ):
            _check_status(response)
            return _save(response, folder / "recording", limits, progress)
    except httpx.TooManyRedirects as error:
        raise ExtractionError("The URL is redirected in circles.") from error
    except httpx.TimeoutException as error:
        raise SourceUnavailable("The server of the URL does not answer in time.") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceUnavailable("The connection to the server of the URL failed.") from error


def _check_status(response: httpx.Response) -> None:
    if response.status_code >= 500 or response.status_code in TEMPORARY:
        raise SourceUnavailable(f"The server of the URL answered {response.status_code}.")
    if response.status_code != 200:
        raise ExtractionError(f"The server of the URL answered {response.status_code} {response.reason_phrase}".strip())


def _save(response: httpx.Response, target: Path, limits: FetchLimits, progress: Progress) -> Fetched | None:
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() in PAGES:
        return None
    length = response.headers.get("content-length", "")
    # a compressed body is longer than the length says
    is_plain = response.headers.get("content-encoding", "identity") == "identity"
    budget = Budget(limits, int(length) if length.isdecimal() and is_plain else None, progress)
    is_first = True
    with target.open("wb") as file:
        for chunk in response.iter_bytes():  # as it arrives: a chunk size would wait for a server that drips
            if is_first and chunk.lstrip().startswith(PAGE_STARTS):
                return None
            is_first = False
            budget.spend(len(chunk))
            file.write(chunk)
    return Fetched(target, _filename(response))


def _filename(response: httpx.Response) -> str | None:
    """By the server's Content-Disposition, else the last part of the final URL."""
    header = Message()
    header["Content-Disposition"] = response.headers.get("content-disposition", "")
    name = header.get_filename() or unquote(response.url.path)
    return safe_filename(name)
