"""A media file behind http or https, streamed to disk, a live stream up to its bound. A page is for the next way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from urllib.parse import unquote, urljoin

import httpx

from shared.egress import http, policy
from shared.egress.policy import Guard
from shared.errors import ExtractionError, SourceUnavailable
from shared.intake.filenames import safe_filename
from shared.transcript import Caveat, Progress
from tasks.fetch import body, disposition, hls, live, playlist, retries
from tasks.fetch.budget import Budget
from tasks.stages.download import Answer, Declined, Elsewhere, Fetched, FetchLimits, too_large

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
        "application/vnd.ms-sstr+xml",
    }
)
"""Content types of what leads to a recording without being one."""

PAGE_STARTS = (b"<", b"\xef\xbb\xbf<")
"""How such things begin, whatever their content type says. No sound or film does."""

REFUSED = frozenset({401, 403, 406})
"""Answers that are meant for this client and may be others for the next: yt-dlp looks like a browser and may have
cookies. 451 is meant for everybody."""

HEADERS = {"User-Agent": "Parley", "Accept": "audio/*, video/*, */*;q=0.5", "Accept-Encoding": "identity"}


def fetch(guard: Guard, url: str, folder: Path, limits: FetchLimits, progress: Progress) -> Answer:
    """The file, where a playlist of one entry leads, or None when the URL leads to a page.

    Raises Declined for an answer that another way may not get, ExtractionError for one that will not change and for a
    playlist of several, SourceUnavailable for one that may, LiveStream, FileTooLarge, and BlockedAddress and InvalidUrl
    for where a redirect or a playlist leads.
    """
    if not url.startswith(("http://", "https://")):
        return None
    target = folder / "recording"
    try:
        with http.client(guard, timeout_s=limits.idle_timeout_s, max_redirects=MAX_REDIRECTS) as client:
            request = client.build_request("GET", url, headers=HEADERS)
            response = retries.open_stream(client, request, limits, progress)
            with closing(response), closing(body.chunks(client, request, response, limits, progress)) as content:
                _check_status(response)
                return _take(client, response, content, target, limits, progress)
    except httpx.TooManyRedirects as error:
        raise ExtractionError("The URL is redirected in circles.") from error
    except httpx.TimeoutException as error:
        raise SourceUnavailable("The server of the URL does not answer in time.") from error
    except httpx.RemoteProtocolError as error:
        if "ICY 200" not in str(error):
            raise SourceUnavailable("The connection to the server of the URL failed.") from error
        if limits.max_live_s is None:
            raise live.refusal() from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceUnavailable("The connection to the server of the URL failed.") from error
    headers, chunks = live.shoutcast(guard, policy.parse(url), limits.idle_timeout_s)
    return Fetched(target, None, _save(headers, chunks, target, limits, progress))


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if retries.is_temporary(status):
        raise SourceUnavailable(f"The server of the URL answered {status}.")
    if status != 200:
        error = ExtractionError(f"The server of the URL answered {status} {response.reason_phrase}".strip() + ".")
        raise Declined(error) if status in REFUSED else error


def _take(
    client: httpx.Client,
    response: httpx.Response,
    chunks: Iterator[bytes],
    target: Path,
    limits: FetchLimits,
    progress: Progress,
) -> Answer:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    length = body.length(response.headers)
    if kind not in PAGES and length is not None and length > limits.max_bytes:
        raise too_large(limits)
    head = next(chunks, b"")
    url = str(response.url)
    if playlist.is_one(kind, response.url.path, head):
        return _follow(client, url, _text(head, chunks), target, limits, progress)
    if kind in PAGES or head.lstrip().startswith(PAGE_STARTS):
        return None
    if live.is_labelled(response.headers) and limits.max_live_s is None:
        raise live.refusal()
    warnings = _save(response.headers, chain([head], chunks), target, limits, progress)
    name = disposition.filename(response.headers.get("content-disposition", ""))
    return Fetched(target, name or safe_filename(unquote(response.url.path)), warnings)


def _follow(client: httpx.Client, url: str, text: str, target: Path, limits: FetchLimits, progress: Progress) -> Answer:
    if playlist.is_hls(text):
        return hls.fetch(client, url, text, target, limits, progress)
    entries = playlist.entries(text)
    if len(entries) != 1:
        raise ExtractionError(f"This is a playlist with {len(entries)} entries; send the URL of one.")
    return Elsewhere(policy.parse(urljoin(url, entries[0].replace(" ", "%20"))).url)


def _text(head: bytes, chunks: Iterable[bytes]) -> str:
    content = head
    for chunk in chunks:
        content += chunk
        if len(content) > playlist.MAX_CHARS:
            raise ExtractionError("The playlist is too long.")
    return content.decode(errors="replace")


def _save(
    headers: Mapping[str, str], chunks: Iterable[bytes], target: Path, limits: FetchLimits, progress: Progress
) -> tuple[Caveat, ...]:
    """Write the body; what is to be said of it."""
    bound = live.Bound(headers, limits.max_live_s) if "content-length" not in headers else None
    if bound is not None and limits.max_live_s is not None:
        limits = replace(limits, timeout_s=limits.timeout_s + limits.max_live_s)

    def tell(share: float) -> None:
        progress(max(share, bound.share if bound is not None else 0.0))

    budget = Budget(limits, body.length(headers), tell)
    with target.open("wb") as file:
        try:
            for chunk in chunks:
                budget.spend(len(chunk))
                file.write(chunk)
                if bound is not None and bound.is_reached(len(chunk)):
                    return (live.cut(limits.max_live_s or 0.0),)
        except httpx.HTTPError:  # a live stream may stop like this; what has come is kept
            if bound is None or limits.max_live_s is None or not file.tell():
                raise
    return ()
