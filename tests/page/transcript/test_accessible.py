"""For eyes, ears and fingers of every kind."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from shared.transcript import Caveat
from tests.page.recordings import Recordings
from tests.page.transcript.paper import Paper
from tests.page.transcript.spoken import finished_recording, transcript

A = ("The train was [late].", "Nobody told us.", "It left.", "We walked.")
SIZES = ((360, 740), (800, 1000), (1400, 900))


def test_axe_finds_nothing_in_light_and_dark_at_three_sizes(paper: Paper, recordings: Recordings, axe: str) -> None:
    """On the whole screen, with every panel open, a sentence in a field, a conflict, the menu of speakers, dialogs."""
    loop = Caveat("repetition_loop", "The text repeats itself.", 2.0, 4.0)
    task = finished_recording(recordings, "a.wav", transcript(A, warnings=[loop]), sound_s=8.0)
    recordings.correct(task, speakers={"spk_1": "Anna"})
    page = paper.page
    paper.open(task)
    recordings.correct(task, segments=[{"id": 2, "text": "Theirs."}])
    paper.correct(2, "Mine.")
    expect(page.get_by_role("alert")).to_be_visible()
    paper.button("Find and replace").click()
    page.get_by_label("Find", exact=True).fill("t")
    paper.panel("Versions").locator("summary").click()
    paper.panel("Versions").get_by_role("button", name="Compare").last.click()
    expect(paper.panel("Versions").locator("del").first).to_be_visible()
    paper.type_into(3, "Typed")
    for scheme in ("light", "dark"):
        for width, height in SIZES:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            assert paper.screen.violations(axe) == [], (scheme, width)
    page.keyboard.press("Enter")
    paper.who().first.click()
    assert paper.screen.violations(axe) == []
    page.keyboard.press("Escape")
    for name in ("Export", "Share", "Keys"):
        paper.button(name).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert paper.screen.violations(axe) == [], name
        page.keyboard.press("Escape")


def test_the_transcript_is_one_stop_of_the_tab_key(paper: Paper, a: uuid.UUID) -> None:
    """With its tools before it: not one stop per sentence. The arrows go through the sentences."""
    stops = paper.page.evaluate(
        "[...document.querySelectorAll('.reader *')].filter(one => one.tabIndex === 0 && one.checkVisibility()).length"
    )
    assert stops == 4  # the sentence, and above it who, when, edit
    paper.sentence(0).focus()
    paper.page.keyboard.press("ArrowDown")
    expect(paper.sentence(1)).to_be_focused()
    paper.page.keyboard.press("Tab")
    expect(paper.page.locator(".reader :focus")).to_have_count(0)
    paper.page.keyboard.press("Shift+Tab")
    expect(paper.sentence(1)).to_be_focused()


def test_keys_alone_correct_name_and_undo(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """Without a mouse: into a sentence, on to the next, another speaker, back; the focus is never lost."""
    page = paper.page
    paper.sentence(0).focus()
    page.keyboard.press("F2")
    expect(paper.field()).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("Mine.")
    page.keyboard.press("Alt+ArrowDown")
    expect(paper.field()).to_have_value("Nobody told us.")
    page.keyboard.press("Control+a")
    page.keyboard.type("Mine, too.")
    page.keyboard.press("Enter")
    expect(paper.sentence(1)).to_be_focused()
    recordings.becomes(a, "Mine.", "Mine, too.", *A[2:])
    for _ in range(3):
        page.keyboard.press("Shift+Tab")
    expect(paper.who().nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Who says this?").get_by_role("button", name="Speaker 1")).to_be_focused()
    page.keyboard.press("Enter")
    expect(paper.who()).to_have_text(["Speaker 1", "Speaker 2"])
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    recordings.becomes(a, "Mine.", *A[1:2], *A[2:])
    assert recordings.names(a) == ["spk_1", "spk_2"] * 2


@pytest.mark.parametrize("is_on", [True, False])
def test_keys_of_one_letter_can_be_turned_off(paper: Paper, recordings: Recordings, is_on: bool) -> None:
    """For those who speak to their computer (WCAG 2.1.4)."""
    paper.open(finished_recording(recordings, "a.wav", transcript(A), sound_s=8.0))
    paper.screen.until("document.querySelector('audio').readyState >= 1")
    paper.button("Keys").click()
    paper.page.get_by_label("Use keys of one letter").set_checked(is_on)
    paper.page.keyboard.press("Escape")
    paper.sentence(0).focus()
    paper.page.keyboard.press("l")
    paper.screen.until(f"document.querySelector('audio').currentTime === {5 if is_on else 0}")
