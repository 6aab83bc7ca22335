"""The program that the package describes; see __init__.py."""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[3]))  # -I leaves our own folder out

from tasks.sandbox.extractor.confinement import confine
from tasks.sandbox.extractor.reasons import Refused, explain
from tasks.sandbox.lockdown import set_limits

sys.path.pop()  # what was needed of it is here; yt-dlp has no business in it

FORMAT = "bestaudio/best[height<=480]/best"
"""Sound alone where a site has it; else a film whose pictures are small, as only its sound is wanted."""

RECORDING = "recording"
"""The file that it is written to."""

PROGRESS_INTERVAL_S = 0.2
SPARE_BYTES = 1 << 20
MAX_OPEN_FILES = 128
MAX_PLAYLIST_BYTES = 4 << 20

ANY_PAGE = ("Generic", "HTML5MediaEmbed")
"""Extractors that know nothing of the site, and so not whether it is on the air."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the parent asks for, as JSON in argv[1]. `extractors` are names, or ["all"]."""

    url: str
    proxy: tuple[str, int]
    parent_pid: int
    extractors: list[str]
    cookies: str | None
    max_bytes: int
    max_duration_s: float
    idle_timeout_s: float
    retry_pauses_s: list[float]
    wants_live: bool
    cpu_s: int
    memory_bytes: int


class Quiet:
    """yt-dlp's log, of which nothing is kept: what matters arrives as an exception."""

    def debug(self, message: str) -> None: ...
    def info(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


def options(job: Job) -> dict[str, Any]:
    """yt-dlp's parameters: no configuration, plugins, programs, caches, playlists or files beside the recording."""
    host, port = job.proxy
    return {
        "proxy": f"http://{host}:{port}",
        "allowed_extractors": [name if name == "all" else re.escape(name) for name in job.extractors],
        "format": FORMAT,
        "outtmpl": {"default": RECORDING},
        "noplaylist": True,
        "extract_flat": "in_playlist",
        "playlistend": 2,
        "cookiefile": job.cookies,
        "socket_timeout": job.idle_timeout_s,
        "retries": 1,
        "fragment_retries": 1,
        "extractor_retries": 1,
        "skip_unavailable_fragments": False,
        "hls_prefer_native": True,
        "external_downloader": {"default": "native"},
        "js_runtimes": {},
        "fixup": "never",
        "cachedir": False,
        "nopart": True,
        "updatetime": False,
        "logger": Quiet(),
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "color": "never",
        "progress_hooks": [_follow(job)],
    }


def fetch(job: Job) -> dict[str, Any]:
    """Find the recording and write it to its file. Raises Refused and what yt-dlp raises."""
    from yt_dlp import YoutubeDL  # type: ignore[import-untyped]  # after confine

    with YoutubeDL(options(job)) as ytdl:
        info = ytdl.extract_info(job.url, download=False)
        if info and info.get("_type") == "playlist":
            entries = list(info.get("entries") or ())
            if len(entries) != 1:
                raise Refused("extraction_error", "This is a list of recordings; send the URL of one.")
            info = ytdl.extract_info(entries[0]["url"], download=False) if "formats" not in entries[0] else entries[0]
        if not info or not (info.get("formats") or info.get("url")):
            raise Refused("extraction_error", "There is no recording at this URL.")
        if info.get("live_status") == "is_upcoming":
            raise Refused("extraction_error", "This is a live stream that has not begun.")
        if info.get("live_status") == "is_live" or info.get("is_live"):
            return _live(job, info if info.get("url") else ytdl.process_ie_result(info, download=False))
        if _has_no_end(ytdl, info):
            return _live(job, info)
        if (info.get("duration") or 0) > job.max_duration_s:
            raise Refused("media_too_long", f"The recording lasts longer than {job.max_duration_s:g} seconds.")
        if len(info.get("requested_formats") or ()) > 1:
            raise Refused("extraction_error", "Sound and picture of this recording cannot be had separately.")
        ytdl.process_info(info)
    return {"title": info.get("title"), "ext": info.get("ext")}


def fetch_patiently(job: Job) -> dict[str, Any]:
    """As fetch. A site that is busy or away is asked again behind each pause, for no longer than a silence of it may
    last: a page that is slow as well is the next attempt's."""
    began = time.monotonic()
    for pause_s in job.retry_pauses_s:
        try:
            return fetch(job)
        except Exception as problem:
            is_soon = time.monotonic() - began < job.idle_timeout_s and not Path(RECORDING).exists()
            if not is_soon or explain(problem)[0] != "source_unavailable":
                raise
        time.sleep(pause_s)
    return fetch(job)


def _has_no_end(ytdl: Any, info: dict[str, Any]) -> bool:
    """Whether what was chosen is HLS that still grows, of which yt-dlp would take what is listed now for the whole; or
    the radio of some page, which it would listen to for hours.
    """
    from yt_dlp.networking import Request  # type: ignore[import-untyped]  # after confine

    protocol = str(info.get("protocol"))
    is_hls = protocol.startswith("m3u8")
    is_any_page = info.get("extractor_key") in ANY_PAGE and protocol in ("http", "https")
    if not info.get("url") or not (is_hls or is_any_page):
        return False
    with ytdl.urlopen(Request(info["url"], headers=info.get("http_headers") or {})) as response:
        names = [name.lower() for name in response.headers]
        if not is_hls:
            return "content-length" not in names and any(name.startswith(("icy-", "ice-")) for name in names)
        text = response.read(MAX_PLAYLIST_BYTES)
    is_over = b"#EXT-X-ENDLIST" in text or b"#EXT-X-PLAYLIST-TYPE:VOD" in text or len(text) == MAX_PLAYLIST_BYTES
    return b"#EXTINF" in text and not is_over


def _live(job: Job, info: dict[str, Any]) -> dict[str, Any]:
    """Where the stream is, for the parent to record: yt-dlp would need FFmpeg for it. Raises Refused."""
    if not job.wants_live:
        raise Refused("live_stream", "This is a live stream: max_duration says how many seconds of it to record.")
    if info.get("url") is None or info.get("protocol") not in ("m3u8", "m3u8_native", "http", "https"):
        raise Refused("extraction_error", "This live stream is of a kind that cannot be recorded.")
    return {"title": info.get("title"), "ext": info.get("ext"), "live": info["url"]}


def _follow(job: Job) -> Any:
    last_report = time.monotonic()

    def hook(state: dict[str, Any]) -> None:
        nonlocal last_report
        size = state.get("downloaded_bytes") or 0
        if size > job.max_bytes:
            raise Refused("file_too_large", f"The recording is larger than {job.max_bytes} bytes.")
        if time.monotonic() - last_report >= PROGRESS_INTERVAL_S:
            last_report = time.monotonic()
            total = state.get("total_bytes") or state.get("total_bytes_estimate") or job.max_bytes
            tell(progress=min(size / total, 1.0))

    return hook


def tell(**message: Any) -> None:
    """One JSON line to the parent."""
    os.write(1, json.dumps(message).encode() + b"\n")


def main() -> None:
    """Limits first, then the lock, then yt-dlp, then the stranger's pages."""
    fields = json.loads(sys.argv[1])
    job = Job(**{**fields, "proxy": tuple(fields["proxy"])})
    set_limits(job.parent_pid, cpu_s=job.cpu_s, memory_bytes=job.memory_bytes, file_bytes=job.max_bytes + SPARE_BYTES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_OPEN_FILES, MAX_OPEN_FILES))
    os.environ["YTDLP_NO_PLUGINS"] = "1"
    libraries = {Path(place) for place in (sys.prefix, sys.base_prefix, *sys.path) if place}
    system = (Path(place) for place in ("/lib", "/lib64", "/usr/lib", "/etc/ssl", "/dev/null", "/dev/urandom"))
    confine(Path.cwd(), (*libraries, *system), job.proxy)
    try:
        tell(extraction=fetch_patiently(job))
    except MemoryError:
        tell(error={"code": "extraction_error", "message": "Reading this page takes more memory than is allowed."})
    except Exception as problem:  # noqa: BLE001 - yt-dlp may raise anything; the parent gets one clear line
        code, message = explain(problem)
        tell(error={"code": code, "message": message})


if __name__ == "__main__":
    main()
