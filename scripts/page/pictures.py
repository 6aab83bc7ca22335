"""Take the four pictures of the page that are in README and docs/page.md.

python -m scripts.page.pictures     # a stack of its own, the sample call, Chromium: two minutes; then look at them
"""

from __future__ import annotations

import sys
import tempfile
import wave
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from scripts.demo import sample
from scripts.local.apps import ROOT
from scripts.local.stack import Stack
from scripts.page.journey import two_minutes
from scripts.page.stand import PATIENCE_MS, browser, enter, stand

FOLDER = ROOT / "docs/pictures"
WINDOW = {"width": 1280, "height": 800}
MOST_BYTES = 150_000
COLOURS = 256


def send(http: httpx.Client, name: str, content: bytes, **fields: str) -> str:
    """The id of a task."""
    answer = http.post("/transcribe", files={"file": (name, content)}, data=fields)
    answer.raise_for_status()
    return str(answer.json()["task_id"])


def silence(path: Path, seconds: float = 3) -> bytes:
    """A recording in which nobody speaks."""
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(int(32_000 * seconds)))
    return path.read_bytes()


def fill(http: httpx.Client, folder: Path) -> str:
    """Recordings in several states. The id of the one to open."""
    content = sample().read_bytes()
    task = send(http, "Call with the new office.wav", content, diarization="true", tags="office", reference="case-17")
    send(http, "Interview, part 1.wav", content, tags="lighthouses")
    send(http, "Interview, part 2.wav", content, tags="lighthouses", language="en")
    send(http, "Empty tape.wav", silence(folder / "silence.wav"))
    send(http, "Broken file.mp3", b"This is no recording.")
    return task


def ended(http: httpx.Client) -> bool:
    states = {one["status"] for one in http.get("/history").json()["items"]}
    return states <= {"done", "error"}


def list_of(page: Page, stack: Stack) -> None:
    enter(page, stack)
    expect(page.get_by_role("progressbar")).to_be_visible()


def transcript_of(page: Page, stack: Stack, task: str) -> None:
    enter(page, stack, f"#/transcript/{task}")
    speakers = page.locator(".side details").filter(has=page.get_by_role("heading", name="Speakers"))
    for number, name in enumerate(("Diane", "Sheila"), 1):
        speakers.get_by_role("button", name=f"Rename Speaker {number} everywhere").click()
        speakers.get_by_role("textbox").fill(name)
        speakers.get_by_role("textbox").press("Enter")
    expect(page.get_by_text("All changes are saved.")).to_be_visible()
    page.locator("#segment-3").click()
    expect(page.locator(".spoken-now")).to_have_count(1)


def sending(page: Page, stack: Stack, folder: Path) -> None:
    enter(page, stack, "#/send")
    paths = [folder / f"Interview, part {number}.wav" for number in (3, 4, 5)]
    for path in paths:
        path.write_bytes(sample().read_bytes())
    page.get_by_label("Choose files").set_input_files(paths)
    page.get_by_label("Number of speakers").fill("2")
    page.get_by_label("Number of speakers").blur()
    expect(page.get_by_text("3 files")).to_be_visible()


def administration(page: Page, stack: Stack) -> None:
    enter(page, stack, "#/admin")
    expect(page.get_by_role("heading", name="Workers")).to_be_visible()
    expect(page.get_by_text("no_audio")).to_be_visible()


def take(page: Page, name: str) -> None:
    """Write a picture of what is shown, in 256 colours. Raises ValueError where it is too large."""
    from PIL import Image  # of matplotlib, which pyannote.audio brings: no requirement of the page's

    path = FOLDER / f"{name}.png"
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)  # what fades in has
    page.screenshot(path=path)
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, more than {MOST_BYTES}")


def take_all(page: Page, stack: Stack, folder: Path) -> None:
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=120) as http:
        task = fill(http, folder)
        for _ in range(PATIENCE_MS // 1000):
            if ended(http):
                break
            page.wait_for_timeout(1000)
        send(http, "Interview, part 3.wav", two_minutes(folder / "long.wav").read_bytes(), tags="lighthouses")
    list_of(page, stack)
    take(page, "recordings")
    transcript_of(page, stack, task)
    take(page, "transcript")
    sending(page, stack, folder)
    take(page, "send")
    administration(page, stack)
    take(page, "administration")


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    options: dict[str, Any] = {"viewport": WINDOW, "color_scheme": "light", "locale": "en-GB"}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with stand(folder / "home") as stack, browser() as chromium:
            take_all(chromium.new_page(**options), stack, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
