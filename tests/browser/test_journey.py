"""From a recording to a corrected transcript, with real workers behind the page; only their engines sleep."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from scripts.local.apps import API, BEAT, worker
from tests.browser.recordings import Recordings
from tests.browser.screen import Screen
from tests.faults.rig import Rig, start
from tests.service.gateway import PATIENCE_S, Caller


@pytest.fixture
def rig(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A stack whose speech recognition takes a second and hears one word."""
    workers = (worker("io", "io,cpu", 2, 1), worker("asr", "asr", 1, 1), worker("diarize", "diarize", 1, 1))
    with start(tmp_path_factory.mktemp("journey"), (API, *workers, BEAT), sleeper_seconds=1) as running:
        yield running


def test_a_recording_becomes_a_corrected_transcript(browser: Browser, rig: Rig, recording: Path) -> None:
    """It is sent, followed to its end, opened, corrected, named, downloaded, found again and deleted."""
    headers = {"Authorization": f"Bearer {rig.stack.api_key}"}
    with httpx.Client(base_url=rig.stack.url, headers=headers, timeout=PATIENCE_S) as http, browser.new_page() as page:
        recordings = Recordings(Caller(uuid.uuid4(), rig.stack.api_key, http))
        screen = Screen(page, rig.stack.url, recordings)
        screen.enter()
        task = screen.send(recording)
        screen.button("Open transcript").click()
        expect(screen.page.locator("#transcript .said")).to_have_count(1)
        screen.correct(0, "Somebody said something.")
        screen.has_saved()
        screen.rename("spk_1", "Anna")
        expect(screen.page.locator("#facts")).to_contain_text("version 2")
        assert (recordings.texts(task), recordings.names(task)) == (["Somebody said something."], ["Anna"])
        with page.expect_download() as download:
            page.locator("#downloads").get_by_role("button", name="srt").click()
        assert "Somebody said something." in download.value.path().read_text()
        page.reload()
        page.get_by_label("Words that were said").fill("something")
        page.get_by_label("Words that were said").press("Enter")
        screen.open("meeting.wav", "Somebody said something.")
        screen.button("Delete").click()
        screen.says("Deleted")
        assert http.get(f"/result/{task}").status_code == 404
        expect(page.locator("#result")).to_be_hidden()
