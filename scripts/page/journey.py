"""Count clicks and seconds from opening the page to a corrected, exported transcript of two minutes of speech.

python -m scripts.page.journey      # a stack of its own with the models that are installed, and Chromium
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
import wave
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect

from scripts.demo import sample
from scripts.local.stack import Stack
from scripts.page.stand import PATIENCE_MS, browser, stand

SECONDS = 120
COUNT = "window.clicks = 0; addEventListener('click', (event) => event.isTrusted && clicks++, true)"


@dataclass(frozen=True)
class Journey:
    """What it took. `waited_s` of `seconds` went by until the transcript was there."""

    clicks: int
    seconds: float
    waited_s: float


def two_minutes(path: Path) -> Path:
    """The sample call, again and again."""
    with wave.open(str(sample())) as call, wave.open(str(path), "wb") as whole:
        whole.setparams(call.getparams())
        frames = call.readframes(call.getnframes())
        length = SECONDS * call.getframerate() * call.getsampwidth() * call.getnchannels()
        whole.writeframes((frames * (length // len(frames) + 1))[:length])
    return path


def travel(page: Page, stack: Stack, recording: Path) -> Journey:
    """Sign in, send, wait, correct a sentence, export."""
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(COUNT)
    start = time.monotonic()
    page.goto(stack.url)
    page.get_by_label("API key").fill(stack.api_key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Add recordings").first.click()
    page.get_by_label("Choose files").set_input_files(recording)
    page.get_by_role("button", name="Add to queue").click()
    sent_at = time.monotonic()
    page.get_by_role("button", name="Open transcript").click()
    waited = time.monotonic() - sent_at
    page.locator("#segment-0").dblclick()
    page.keyboard.press("Control+a")
    page.keyboard.type("A corrected sentence.")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All changes are saved.")).to_be_visible()
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_text(re.compile("^Download")).click()
    if "A corrected sentence." not in download.value.path().read_text():
        raise ValueError("the exported transcript is not the corrected one")
    # the file dialog that a person opens and confirms is no click in the page
    return Journey(int(page.evaluate("clicks")), time.monotonic() - start, waited)


def main() -> int:
    with tempfile.TemporaryDirectory() as place:
        recording = two_minutes(Path(place) / "call.wav")
        with stand(Path(place) / "home") as stack, browser() as chromium:
            journey = travel(chromium.new_page(), stack, recording)
    own = journey.seconds - journey.waited_s
    print(
        f"{journey.clicks} clicks, {journey.seconds:.0f} s: {journey.waited_s:.0f} s for recognition, {own:.0f} s else"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
