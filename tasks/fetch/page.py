"""A page with a recording on it, by yt-dlp in a sandboxed child that can reach nothing but the egress proxy."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.config import Settings
from shared.egress import policy
from shared.egress.policy import Guard
from shared.errors import ExtractionError, FileTooLarge, LiveStream, MediaTooLong, ParleyError, SourceUnavailable
from shared.intake.filenames import safe_filename
from shared.transcript import Progress
from tasks.sandbox.confined import Child, Nonsense, Refusal, confined
from tasks.sandbox.egress_proxy import EgressProxy
from tasks.stages.download import Answer, Elsewhere, Fetched, FetchLimits, open_plain, too_large

EXTRACTOR = Path(__file__).parents[1] / "sandbox" / "extractor" / "__main__.py"
RECORDING, COOKIES = "recording", "cookies.txt"

TICK_S = 0.25
"""How often the folder is measured and progress reported, so that a cancel is heard while yt-dlp is silent."""

MEMORY_BYTES = 1 << 30
"""Address space of the child; Python and all of yt-dlp's extractors take about 200 MB of it."""

CPU_S = 600
"""Processor time of the child. An hour of HLS in two-second fragments takes some 20 s."""

SPARE_BYTES = 4 << 20
"""What the folder may hold beside the recording: cookies, and the fragment that is being written."""

ENTRY_BYTES = 256
"""What a name in a folder costs the file system, and more."""

REFUSALS: dict[str, type[ParleyError]] = {
    kind.code: kind for kind in (ExtractionError, LiveStream, MediaTooLong, FileTooLarge, SourceUnavailable)
}


@dataclass(frozen=True, slots=True)
class PageOptions:
    """Which of yt-dlp's extractors may be used, and the operator's cookies for them."""

    extractors: tuple[str, ...]
    cookies: Path | None

    @classmethod
    def of(cls, config: Settings) -> PageOptions:
        """As the settings want it. TikTok's own leave the list with ALLOW_TIKTOK_ADAPTER."""
        names = [name.strip() for name in config.url_extractors.split(",") if name.strip()]
        if not config.allow_tiktok_adapter:
            names = [name for name in names if "tiktok" not in name.lower()]
        return cls(tuple(names), config.ytdlp_cookies_file)


@dataclass(frozen=True, slots=True)
class _Extraction:
    title: str | None
    ext: str | None
    live: str | None = None


@dataclass(frozen=True, slots=True)
class _Message:
    """One line of the child: exactly one field is set."""

    progress: float | None = None
    extraction: _Extraction | None = None
    error: Refusal | None = None


def fetch(
    guard: Guard, options: PageOptions, url: str, folder: Path, limits: FetchLimits, progress: Progress
) -> Answer:
    """The recording that yt-dlp finds, or where its live stream is; None for a URL that is not http or https.

    Raises ExtractionError with yt-dlp's reason, BlockedAddress when anything it needed lies where the guard forbids,
    LiveStream, MediaTooLong, FileTooLarge, SourceUnavailable, and what `progress` raises; the child has ended by then.
    """
    if not url.startswith(("http://", "https://")):
        return None
    if not options.extractors:
        raise ExtractionError("This server takes media files only, not pages.")
    with (
        EgressProxy(guard, limits.idle_timeout_s) as proxy,
        _child(url, proxy, options, folder, limits) as child,
    ):
        try:
            extraction = _follow(child, folder, limits, progress)
            if extraction is None:
                raise _silent_end(child)
        except (ExtractionError, SourceUnavailable) as error:
            if proxy.refused:
                raise proxy.refused[0] from error
            raise
    if extraction.live is not None:
        return Elsewhere(policy.parse(extraction.live).url)
    open_plain(folder, folder / RECORDING).close()
    title = (extraction.title or "").replace("/", "-").strip()
    return Fetched(
        folder / RECORDING, safe_filename(f"{title}.{extraction.ext}" if title and extraction.ext else title)
    )


@contextmanager
def _child(url: str, proxy: EgressProxy, options: PageOptions, folder: Path, limits: FetchLimits) -> Iterator[Child]:
    """yt-dlp, running."""
    if options.cookies:
        shutil.copyfile(options.cookies, folder / COOKIES)
    job = {
        "url": url,
        "proxy": proxy.address,
        "extractors": options.extractors,
        "cookies": COOKIES if options.cookies else None,
        "max_bytes": limits.max_bytes,
        "max_duration_s": limits.max_duration_s,
        "idle_timeout_s": limits.idle_timeout_s,
        "retry_pauses_s": limits.retry_pauses_s,
        "wants_live": limits.max_live_s is not None,
        "cpu_s": min(CPU_S, math.ceil(limits.timeout_s)),
        "memory_bytes": MEMORY_BYTES,
    }
    with confined(EXTRACTOR, job, folder) as child:
        yield child


def _follow(child: Child, folder: Path, limits: FetchLimits, progress: Progress) -> _Extraction | None:
    """Hear the child until it ends; None when it ended without an answer. Raises what it answered."""
    share = 0.0
    extraction: _Extraction | None = None
    try:
        for message in child.messages(_Message, timeout_s=limits.timeout_s, tick_s=TICK_S):
            if message is None:
                size = _size(folder)
                # what it says of its progress is not believed where the file itself shows more
                progress(share := max(share, min(size / limits.max_bytes, 1.0)))
                if size > limits.max_bytes + SPARE_BYTES:
                    raise too_large(limits)
            elif message.error is not None:
                raise REFUSALS.get(message.error.code, ExtractionError)(message.error.message)
            else:
                share = max(share, min(message.progress or 0.0, 1.0))
                extraction = message.extraction or extraction
    except Nonsense as problem:
        raise ExtractionError("yt-dlp gave an answer that makes no sense.") from problem
    except TimeoutError:
        raise SourceUnavailable(f"Fetching the recording took longer than {limits.timeout_s:g} seconds.") from None
    return extraction


def _size(folder: Path) -> int:
    """Bytes of all files below `folder`, and of their names: a million empty files are no recording either."""
    total = 0
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            try:
                total += ENTRY_BYTES + (Path(at) / name).lstat().st_size
            except FileNotFoundError:  # renamed or removed this moment
                continue
    return total


def _silent_end(child: Child) -> ExtractionError:
    """The error for a child that ended without an answer; what it said goes to the logs as the cause, no further."""
    _, _, noise = child.end()
    error = ExtractionError("yt-dlp stopped before it was done with this page.")
    error.__cause__ = RuntimeError(noise)
    return error
