"""Leaving the page: it asks when something would be lost, and only then."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.recordings import Recordings
from tests.browser.screen import Screen

A = ("First of A.", "Second of A.")


@pytest.fixture(autouse=True)
def touched(screen: Screen, a: uuid.UUID) -> None:
    """A browser asks nobody who has not touched the page."""
    screen.sentence(1).click()


def asks(screen: Screen) -> bool:
    """Whether the page asks when it is left. The person stays then."""
    screen.answer_is_yes = False
    screen.dialogs.clear()
    screen.page.evaluate("setTimeout(() => location.reload())")
    screen.page.wait_for_timeout(500)
    screen.answer_is_yes = True
    return screen.dialogs == ["beforeunload"]


def test_a_half_typed_sentence_is_asked_about(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """Whoever stays finds the sentence as it was."""
    screen.type_into(0, "Half a")
    assert asks(screen)
    screen.page.keyboard.type(" sentence.")
    screen.page.keyboard.press("Enter")
    screen.has_saved()
    assert recordings.texts(a)[0] == "Half a sentence."
    assert not asks(screen)


def test_a_tab_with_a_half_typed_sentence_is_asked_about_when_it_is_closed(screen: Screen, a: uuid.UUID) -> None:
    """Closing is leaving, too."""
    screen.type_into(0, "Half a")
    screen.answer_is_yes = False
    screen.page.close(run_before_unload=True)
    screen.page.wait_for_timeout(500)
    assert screen.dialogs == ["beforeunload"]
    expect(screen.sentence(0)).to_have_text("Half a")


def test_a_half_typed_name_is_asked_about(screen: Screen, a: uuid.UUID) -> None:
    """A name is text like any other."""
    screen.page.locator("#transcript .who").first.click()
    screen.page.keyboard.type("An")
    assert asks(screen)
    screen.page.keyboard.press("Escape")
    assert not asks(screen)


def test_nothing_is_asked_where_nothing_would_be_lost(screen: Screen, a: uuid.UUID) -> None:
    """Reading, and typing that was taken back, are left without a question."""
    assert not asks(screen)
    screen.open("a.wav", A[0])
    screen.type_into(0, "Never mind.")
    screen.page.keyboard.press("Escape")
    assert not asks(screen)


def test_a_correction_on_its_way_is_asked_about(screen: Screen, a: uuid.UUID) -> None:
    """Until the server has it."""
    with screen.slow_saves() as network:
        screen.correct(0, "Mine.")
        network.holds(1)
        assert asks(screen)
    screen.has_saved()
    assert not asks(screen)


def test_a_correction_that_was_not_saved_is_asked_about(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """Also when another recording is shown."""
    recordings.finished("b.wav", "First of B.")
    screen.page.reload()
    screen.open("a.wav", A[0])
    with screen.broken_saves():
        screen.correct(0, "Mine.")
        expect(screen.button("Try again")).to_be_visible()
        screen.open("b.wav", "First of B.")
        assert asks(screen)


def test_a_conflict_is_asked_about(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """Until the person has chosen."""
    recordings.correct(a, segments=[{"id": 0, "text": "Theirs."}])
    screen.correct(0, "Mine.")
    expect(screen.button("Keep theirs")).to_be_visible()
    assert asks(screen)
    screen.button("Keep theirs").click()
    assert not asks(screen)


def test_a_recording_that_is_being_sent_is_asked_about(
    screen: Screen, recordings: Recordings, a: uuid.UUID, recording: Path
) -> None:
    """Until the server has all of it; the job then goes on without the page."""
    held = []
    screen.page.route("**/transcribe", lambda route: held.append(route))
    screen.page.get_by_label("Recording", exact=True).set_input_files(recording)
    screen.button("Transcribe").click()
    while not held:
        screen.page.wait_for_timeout(50)
    assert asks(screen)
    held.pop().continue_()
    recordings.newer_than(a)
    screen.says("queued")
    assert not asks(screen)
