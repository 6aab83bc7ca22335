"""From opening the page to a corrected, exported transcript, with real workers behind it; only their engines sleep."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from scripts.local.apps import API, BEAT, worker
from tests.faults.rig import Rig, start
from tests.page.recordings import Recordings
from tests.page.screen import Screen
from tests.service.gateway import PATIENCE_S, Caller, eventually

MOST_CLICKS = 8


@pytest.fixture
def rig(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A stack whose speech recognition takes a second and hears one word."""
    workers = (worker("io", "io,cpu", 2, 1), worker("asr", "asr", 1, 1), worker("diarize", "diarize", 1, 1))
    with start(tmp_path_factory.mktemp("journey"), (API, *workers, BEAT), sleeper_seconds=1) as running:
        yield running


def test_a_reporter_checks_a_quote(browser: Browser, rig: Rig, recording: Path) -> None:
    """The recording is sent, followed to its end, opened, corrected, exported, found again by what is said, and deleted
    with a receipt."""
    headers = {"Authorization": f"Bearer {rig.stack.api_key}"}
    with httpx.Client(base_url=rig.stack.url, headers=headers, timeout=PATIENCE_S) as http, browser.new_page() as page:
        screen = Screen(page, rig.stack.url, Recordings(Caller(uuid.uuid4(), rig.stack.api_key, http)))
        page.add_init_script("window.clicks = 0; addEventListener('click', (e) => e.isTrusted && clicks++, true)")
        start = time.monotonic()
        screen.go("")
        screen.sign_in(rig.stack.api_key)
        page.get_by_role("link", name="Add recordings").first.click()
        screen.choose(recording)
        screen.button("Add to queue").click()
        expect(screen.row("meeting.wav")).to_be_visible()
        screen.button("Open transcript").click()
        sentence = page.locator("#segment-0")
        sentence.dblclick()
        expect(page.locator(".reader textarea")).to_be_focused()
        page.keyboard.press("Control+a")
        page.keyboard.type("Somebody said something.")
        page.keyboard.press("Enter")
        expect(page.get_by_text("All changes are saved.")).to_be_visible()
        screen.button("Export").click()
        with page.expect_download() as download:
            page.get_by_role("dialog").get_by_text(re.compile("^Download")).click()
        assert "Somebody said something." in download.value.path().read_text()
        seconds, clicks = time.monotonic() - start, page.evaluate("clicks")
        print(f"corrected and exported after {seconds:.0f} s and {clicks} clicks")
        assert clicks <= MOST_CLICKS
        screen.go("")
        screen.search("something")
        hit = screen.row("meeting.wav").get_by_role("link", name="something")
        expect(hit).to_be_visible()
        hit.click()
        expect(sentence).to_contain_text("Somebody said something.")
        screen.go("")
        screen.row("meeting.wav").get_by_role("button", name="Delete").click()
        screen.answer("Delete", says="meeting.wav")
        eventually(lambda: http.get("/history").json()["items"] == [], "nothing is left")
        page.get_by_role("link", name="Receipts").click()
        expect(page.get_by_role("row", name="meeting.wav")).to_be_visible()
