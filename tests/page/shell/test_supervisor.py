"""A supervisor of a call centre: a call in stereo, whose sides are heard alone, and which is shown without a key."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from shared.transcript import Caveat
from tests.page.recordings import Recordings, noise
from tests.page.screen import Screen
from tests.page.transcript.paper import Paper
from tests.page.transcript.spoken import listen, transcript

CALL = ("Good morning, how can I help?", "My [parcel] never came.", "I am sorry to hear that.", "So am I.")

HEARD = """async () => {
    const audio = document.querySelector("audio"), heard = new Set();
    audio.currentTime = 0;
    await audio.play();
    while (!audio.paused) {
        await new Promise(requestAnimationFrame); // after the page's own, which has skipped what it skips
        if (!audio.paused) heard.add(Math.floor(audio.currentTime / 2));
    }
    return [...heard].sort();
}"""
"""The sentences that are played until the player stops by itself."""


def sentences_of(page: Page, side: str) -> list[int]:
    page.get_by_label("Listen to").select_option(side)
    numbers: list[int] = page.evaluate(HEARD)
    return numbers


def test_a_supervisor_checks_a_call(
    screen: Screen, new_screen: Callable[..., Screen], recordings: Recordings, tmp_path: Path
) -> None:
    """Its sides stand in two lanes and can be heard alone, the quality card leads to what is doubtful, a link shows the
    call without a key until it is revoked, and usage counts it."""
    page, paper = screen.page, Paper(screen)
    screen.enter("#/send")
    page.get_by_label("Call, two channels").check()
    screen.choose(noise(tmp_path / "call-17.wav", channels=2))
    screen.button("Add to queue").click()
    [task] = recordings.details(1)
    warning = Caveat("low_confidence", "Few words are sure here.", 2.0, 3.5)
    listen(recordings, uuid.UUID(task["task_id"]), transcript(CALL, warnings=[warning]), sound_s=8.0, channels=2)
    screen.row("call-17.wav").get_by_role("link", name="call-17.wav", exact=True).click()
    turns = page.locator(".reader .turn")
    expect(turns).to_have_count(4)
    assert screen.box(turns.nth(1))["x"] > screen.box(turns.nth(0))["x"] + 50

    assert sentences_of(page, "Speaker 2") == [1, 3]
    assert sentences_of(page, "Speaker 1") == [0, 2]

    quality = paper.panel("Quality")
    expect(quality).to_contain_text("87%")
    quality.get_by_role("button", name="Play from 0:02").first.click()
    screen.until("document.querySelector('audio').currentTime >= 2")

    paper.button("Share").click()
    dialog = page.get_by_role("dialog", name="Share call-17.wav")
    dialog.get_by_label("Valid for").select_option("1 day")
    dialog.get_by_label("With the sound").check()
    dialog.get_by_role("button", name="Create link").click()
    link = dialog.get_by_label("Link", exact=True).input_value()
    expect(dialog.get_by_text("Valid until")).to_be_visible()
    guest = new_screen().page
    guest.goto(link)
    expect(guest.locator(".reader .segment")).to_have_count(4)
    expect(guest.get_by_text("Valid until")).to_be_visible()
    expect(guest.get_by_role("button", name="Play", exact=True)).to_be_visible()
    expect(guest.get_by_role("button", name="Export")).to_have_count(0)
    dialog.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog", name="Revoke this link").get_by_role("button", name="Revoke").click()
    expect(dialog.get_by_role("button", name="Revoke")).to_have_count(0)
    guest.reload()
    expect(guest.get_by_role("alert")).to_be_visible()
    page.keyboard.press("Escape")

    page.get_by_role("link", name="Usage").click()
    expect(page.locator(".sums .card").filter(has_text="Recordings")).to_contain_text("1")
