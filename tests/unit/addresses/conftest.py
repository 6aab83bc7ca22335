"""A download stage that may connect to a few hosts on loopback."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from shared.egress.policy import Guard
from tasks.fetch import direct, page
from tasks.fetch.page import PageOptions
from tasks.stages.download import Download, FetchLimits, download
from tests.unit.intake.outside import MediaServer

LIMITS = FetchLimits(max_bytes=5_000_000, max_duration_s=60, timeout_s=120, idle_timeout_s=30)

Get = Callable[..., Download]


@pytest.fixture(scope="module")
def media() -> Iterator[MediaServer]:
    server = MediaServer()
    yield server
    server.close()


@pytest.fixture
def get(tmp_path: Path) -> Get:
    """Download a URL; the guard exempts its host and `others`. `live` are the seconds to record, `pauses_s` those
    before a server is asked again."""

    def fetch(
        url: str,
        live: float | None = None,
        *,
        extractors: tuple[str, ...] = ("generic", "html5"),
        others: tuple[str, ...] = (),
        pauses_s: tuple[float, ...] = (),
        progress: Callable[[float], None] = lambda _: None,
    ) -> Download:
        guard = Guard(allow_hosts=frozenset({url.split("/")[2], *others}))
        ways = partial(direct.fetch, guard), partial(page.fetch, guard, PageOptions(extractors, None))
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        return download(url, folder, ways, replace(LIMITS, max_live_s=live, retry_pauses_s=pauses_s), progress)

    return fetch
