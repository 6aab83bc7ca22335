"""The ways to a recording that is named by its URL. Each takes what it knows and leaves the rest to the next.

bucket.py   s3://bucket/key, from a bucket that the operator listed
direct.py   a media file behind http or https; live.py, hls.py: a stream without an end; playlist.py: where a list leads
            retries.py, body.py: a server that is away for a moment, a connection that breaks
page.py     a page: YouTube, TikTok, a podcast, an article with a player; by yt-dlp in a sandboxed child
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from shared.config import Settings
from shared.egress import policy
from shared.intake import sources
from shared.storage import Storage
from shared.transcript import Progress
from tasks.fetch import direct, page
from tasks.stages.download import Fetch, Fetched, FetchLimits


def ways(config: Settings, storage: Storage) -> tuple[Fetch, ...]:
    """All of them, in the order in which they are asked."""
    guard = policy.guard(config)
    return (
        partial(_from_bucket, config, storage),
        partial(direct.fetch, guard),
        partial(page.fetch, guard, page.PageOptions.of(config)),
    )


def _from_bucket(
    config: Settings, storage: Storage, url: str, folder: Path, limits: FetchLimits, progress: Progress
) -> Fetched | None:
    if not url.startswith(sources.S3_SCHEME):
        return None
    from tasks.fetch import bucket  # with boto3, which nobody else needs where objects are in a folder

    return bucket.fetch(config, storage, url, folder, limits, progress)


def limits(config: Settings, max_duration: float | None) -> FetchLimits:
    """What one recording may cost by the settings. `max_duration` are the seconds to record of a live stream."""
    return FetchLimits(
        config.max_upload_bytes,
        config.max_duration,
        config.download_timeout_s,
        config.download_idle_timeout_s,
        min(max_duration, config.max_live_recording_s, config.max_duration) if max_duration else None,
    )
