"""docs/live.md's lines for a browser, in Chromium with a microphone that beeps."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import select

from shared.db import session
from shared.models import LiveChunk, LiveSession
from tasks.sandbox.stream.decoder import stream_decoder
from tests.page.conftest import FLAGS
from tests.page.screen import PATIENCE_MS
from tests.service.gateway import Gateway, eventually, live_worker

ROOT = Path(__file__).parents[3]
PAGE = "http://localhost/"
MICROPHONE = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    # a page that a test has made up has no address, and would have to ask before it reaches this machine
    "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets",
)
SPOKEN_MS = 3000


@pytest.fixture
def listener(gateway: Gateway) -> Iterator[None]:
    """A live worker, for whoever looks whether there is one."""
    with live_worker():
        yield


@pytest.fixture
def page(chromium: str) -> Iterator[Page]:
    """One of somebody else's, who may use the microphone."""
    flags = [*FLAGS, *MICROPHONE, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags, timeout=PATIENCE_MS)
        opened = browser.new_page()
        opened.set_default_timeout(PATIENCE_MS)
        opened.route(PAGE, lambda route: route.fulfill(body="<p>", content_type="text/html"))
        opened.goto(PAGE)
        yield opened
        browser.close()


def test_the_lines_of_the_document_send_what_can_be_heard(
    gateway: Gateway, listener: None, page: Page, tmp_path: Path
) -> None:
    """Each piece of MediaRecorder can be heard when it has come, and all of them are the session."""
    blocks = re.findall(r"^```javascript\n(.*?)^```", (ROOT / "docs/live.md").read_text(), re.M | re.S)
    (program,) = [block for block in blocks if "MediaRecorder" in block]
    caller = gateway.caller()
    address = json.dumps(gateway.url.replace("http", "ws", 1) + "/ws/stream")
    page.evaluate(
        f"""async () => {{
            const url = {address}, key = {json.dumps(caller.key)}, show = () => {{}};
            {program}
            recorder.onstart = () => setTimeout(() => recorder.stop(), {SPOKEN_MS});
        }}"""
    )
    own_sessions = select(LiveSession).where(LiveSession.owner_id == caller.id)

    def ended() -> uuid.UUID | None:
        with session() as work:
            row = work.scalars(own_sessions).one_or_none()
            return row.job_id if row and row.end_reason == "client" else None

    eventually(ended, "the recorder has stopped")
    with session() as work:
        query = select(LiveChunk.data).where(LiveChunk.job_id == ended()).order_by(LiveChunk.seq)
        chunks = [chunk for chunk in work.scalars(query) if chunk]
    with stream_decoder(tmp_path, 60) as decoder:
        lengths = [sum(map(len, decoder.feed(chunk))) for chunk in chunks]
        lengths.append(sum(map(len, decoder.end())))
    assert len(chunks) > 3 and all(lengths[1:-1])
    assert sum(lengths) / 32_000 > SPOKEN_MS / 1000 - 1.5
