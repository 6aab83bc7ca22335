"""A live stream in pieces (HLS, RFC 8216): the pieces are fetched as they appear and written one behind the other.

What has ended is yt-dlp's business (page.py). Each playlist and each piece is a URL of its own for the guard.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urljoin

import httpx

from shared.egress import policy
from shared.errors import ExtractionError, SourceUnavailable
from shared.transcript import Progress
from tasks.fetch import live
from tasks.fetch.budget import Budget
from tasks.fetch.playlist import MAX_CHARS
from tasks.stages.download import Fetched, FetchLimits

HEADERS = {"User-Agent": "Parley", "Accept-Encoding": "identity"}

TICK_S = 0.25
"""Progress is reported at least this often while nothing new is there, so that a cancel is heard."""

MIN_WAIT_S, MAX_WAIT_S = 0.5, 10.0
"""Between two looks at a playlist; in between it is half of the longest piece."""

MAX_LOST = 5
"""Pieces in a row that may be gone before the stream counts as broken; a slow reader loses some."""

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)')


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of a playlist: its number in the stream, its URL, how long it lasts."""

    number: int
    url: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Playlist:
    """What a playlist says. `streams` are other playlists, sound alone first; then there are no pieces."""

    streams: tuple[str, ...]
    pieces: tuple[Piece, ...]
    longest_s: float
    is_over: bool
    header: str | None
    obstacle: str | None


def read(text: str, base: str) -> Playlist:
    """Read it; what cannot be read is passed over. `base` is the URL that it came from."""
    sounds: list[str] = []
    streams: list[tuple[int, str]] = []
    pieces: list[Piece] = []
    number, longest, seconds, bandwidth = 0, 0.0, 0.0, 0
    header = obstacle = None
    is_over = False
    for line in map(str.strip, text.splitlines()):
        tag, _, value = line.partition(":")
        attributes = {name: raw.strip('"') for name, raw in _ATTRIBUTE.findall(value)}
        if tag == "#EXT-X-STREAM-INF":
            bandwidth = int(_number(attributes.get("BANDWIDTH", "0"))) or 1
        elif tag == "#EXT-X-MEDIA" and attributes.get("TYPE") == "AUDIO" and attributes.get("URI"):
            sounds.append(urljoin(base, attributes["URI"]))
        elif tag == "#EXT-X-MEDIA-SEQUENCE":
            number = int(_number(value))
        elif tag == "#EXT-X-TARGETDURATION":
            longest = _number(value)
        elif tag == "#EXTINF":
            seconds = _number(value.partition(",")[0])
        elif tag == "#EXT-X-MAP":
            header = urljoin(base, attributes.get("URI", ""))
        elif tag == "#EXT-X-KEY" and attributes.get("METHOD", "NONE") != "NONE":
            obstacle = "encrypted"
        elif tag == "#EXT-X-BYTERANGE":
            obstacle = "cut into pieces of one file"
        elif tag == "#EXT-X-ENDLIST" or (tag == "#EXT-X-PLAYLIST-TYPE" and value.strip() == "VOD"):
            is_over = True
        elif line and not line.startswith("#"):
            if bandwidth:
                streams.append((bandwidth, urljoin(base, line)))
                bandwidth = 0
            else:
                pieces.append(Piece(number + len(pieces), urljoin(base, line), seconds))
    ordered = (*sounds, *(url for _, url in sorted(streams)))
    return Playlist(ordered, tuple(pieces), longest, is_over, header, obstacle)


def fetch(
    client: httpx.Client, url: str, text: str, target: Path, limits: FetchLimits, progress: Progress
) -> Fetched | None:
    """Record the stream whose playlist is `text`; None if it is over and so no live stream.

    Raises LiveStream without `limits.max_live_s`, ExtractionError for a stream that cannot be recorded,
    SourceUnavailable for one that broke off, and what the guard raises.
    """
    playlist = read(text, url)
    if playlist.streams and not playlist.pieces:
        url = policy.parse(playlist.streams[0]).url
        try:
            playlist = _look(client, url)
        except (httpx.HTTPError, SourceUnavailable):  # yt-dlp may be let in
            return None
    if playlist.is_over or not playlist.pieces:
        return None
    if limits.max_live_s is None:
        raise live.refusal()
    if playlist.obstacle:
        raise ExtractionError(f"This live stream cannot be recorded: it is {playlist.obstacle}.")
    is_cut = _Recording(client, target, limits, progress, limits.max_live_s).run(url, playlist)
    return Fetched(target, None, (live.cut(limits.max_live_s),) if is_cut else ())


class _Recording:
    """Writes pieces into `target` until `bound_s` of sound are there or the stream ends."""

    def __init__(
        self, client: httpx.Client, target: Path, limits: FetchLimits, progress: Progress, bound_s: float
    ) -> None:
        self._client, self._target, self._bound_s = client, target, bound_s
        self._progress, self._idle_s = progress, limits.idle_timeout_s
        whole = replace(limits, timeout_s=limits.timeout_s + bound_s)
        self._budget = Budget(whole, None, lambda _: self._tell())
        self._seconds, self._last, self._lost = 0.0, -1, 0

    def run(self, url: str, playlist: Playlist) -> bool:
        """Record; whether the bound ended it. It begins with what the playlist still holds of the last `bound_s`."""
        self._last = _before(playlist, self._bound_s)
        patience_s = max(self._idle_s, 3 * playlist.longest_s)
        news = time.monotonic()
        with self._target.open("wb") as file:
            if playlist.header:
                self._get(playlist.header, file.write)
            while True:
                for piece in playlist.pieces:
                    if piece.number > self._last and self._write(piece, file.write):
                        news = time.monotonic()
                        if self._seconds >= self._bound_s:
                            return True
                if playlist.is_over or time.monotonic() - news > patience_s:
                    break
                self._wait(min(max(playlist.longest_s / 2, MIN_WAIT_S), MAX_WAIT_S))
                try:
                    playlist = _look(self._client, url)
                except (httpx.HTTPError, SourceUnavailable):  # it may be back at the next look
                    continue
        if not self._seconds:
            raise SourceUnavailable("The live stream gave nothing.")
        return False

    def _write(self, piece: Piece, write: Callable[[bytes], object]) -> bool:
        self._last = piece.number
        try:
            self._get(piece.url, write)
        except (httpx.HTTPError, SourceUnavailable) as error:
            self._lost += 1
            if self._lost > MAX_LOST:
                raise SourceUnavailable("The pieces of the live stream cannot be fetched.") from error
            return False
        self._lost = 0
        self._seconds += piece.seconds
        return True

    def _get(self, url: str, write: Callable[[bytes], object]) -> None:
        with self._client.stream("GET", policy.parse(url).url, headers=HEADERS) as response:
            if response.status_code != 200:
                raise SourceUnavailable(f"The server of the URL answered {response.status_code}.")
            for chunk in response.iter_bytes():
                self._budget.spend(len(chunk))
                write(chunk)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (rest_s := until - time.monotonic()) > 0:
            self._budget.spend(0)
            time.sleep(min(TICK_S, rest_s))

    def _tell(self) -> None:
        self._progress(min(self._seconds / self._bound_s, 1.0))


def _before(playlist: Playlist, bound_s: float) -> int:
    """The number of the last piece that is too old to be recorded."""
    held = 0.0
    for piece in reversed(playlist.pieces):
        if held >= bound_s:
            return piece.number
        held += piece.seconds
    return -1


def _look(client: httpx.Client, url: str) -> Playlist:
    """The playlist at a URL, whose entries are relative to where it was redirected to."""
    content = b""
    with client.stream("GET", url, headers=HEADERS) as response:
        if response.status_code != 200:
            raise SourceUnavailable(f"The server of the URL answered {response.status_code}.")
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MAX_CHARS:
                raise ExtractionError("The playlist is too long.")
        return read(content.decode(errors="replace"), str(response.url))


def _number(text: str) -> float:
    try:
        value = float(text.strip())
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e12 else 0.0
