"""Who speaks: shares, names, people put together and apart, sentences given to somebody else, two lanes."""

from __future__ import annotations

import uuid

from playwright.sync_api import expect

from tests.page.recordings import Recordings
from tests.page.transcript.paper import Paper
from tests.page.transcript.spoken import finished_recording, transcript

A = ("One.", "Two.", "Three.", "Four.")


def test_each_speaker_has_a_colour_a_share_and_a_name_to_change(
    paper: Paper, recordings: Recordings, a: uuid.UUID
) -> None:
    """The same colour in the list and in the text; a new name is everywhere at once and on the server."""
    speakers = paper.panel("Speakers")
    expect(speakers.locator("li").first).to_contain_text("50%")
    colours = [
        speakers.get_by_role("button", name=f"Speaker {n}", exact=True).evaluate("one => getComputedStyle(one).color")
        for n in (1, 2)
    ]
    assert colours == [paper.who().nth(n).evaluate("one => getComputedStyle(one).color") for n in (0, 1)]
    assert colours[0] != colours[1]
    speakers.get_by_role("button", name="Rename Speaker 2 everywhere").click()
    speakers.get_by_role("textbox").fill("Anna")
    speakers.get_by_role("textbox").press("Enter")
    expect(paper.who()).to_have_text(["Speaker 1", "Anna", "Speaker 1", "Anna"])
    paper.has_saved()
    assert recordings.names(a) == ["spk_1", "Anna", "spk_1", "Anna"]


def test_two_voices_are_merged_by_a_menu_and_separated_again(
    paper: Paper, recordings: Recordings, a: uuid.UUID
) -> None:
    """Undo and "Separate again" give each its own sentences back."""
    paper.screen.keep_lines()
    speakers = paper.panel("Speakers")
    merge = speakers.get_by_label("Speaker 2 is the same person as")
    merge.select_option("Speaker 1")
    expect(paper.who()).to_have_text(["Speaker 1"])
    paper.has_saved()
    assert set(recordings.names(a)) == {"Speaker 1"}
    paper.page.get_by_role("region", name="News").get_by_role("button", name="Undo").click()
    expect(paper.who()).to_have_text(["Speaker 1", "Speaker 2"] * 2)
    merge.select_option("Speaker 1")
    expect(paper.who()).to_have_text(["Speaker 1"])
    speakers.get_by_role("button", name="Separate again").click()
    expect(paper.who()).to_have_text(["Speaker 1", "Speaker 2"] * 2)
    paper.has_saved()
    assert recordings.names(a) == ["spk_1", "spk_2"] * 2


def test_two_voices_are_merged_by_dragging_one_onto_the_other(
    paper: Paper, recordings: Recordings, a: uuid.UUID
) -> None:
    """The one that it is dropped on gives the name."""
    recordings.correct(a, speakers={"spk_2": "Anna"})
    paper.page.reload()
    cards = paper.panel("Speakers").locator("li")
    cards.nth(0).locator(".faint").drag_to(cards.nth(1).locator(".faint"))
    expect(paper.who()).to_have_text(["Anna"])
    paper.has_saved()
    assert set(recordings.names(a)) == {"Anna"}


def test_a_sentence_is_given_to_another_or_a_new_speaker(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """By the name above it; the shares follow."""
    paper.who().nth(1).click()
    menu = paper.page.get_by_role("dialog", name="Who says this?")
    menu.get_by_role("button", name="Speaker 1").click()
    expect(paper.who()).to_have_text(["Speaker 1", "Speaker 2"])
    expect(paper.panel("Speakers").locator("li").first).to_contain_text("75%")
    paper.has_saved()
    assert recordings.names(a) == ["spk_1", "spk_1", "spk_1", "spk_2"]
    paper.sentence(1).click()
    paper.who().nth(0).click()
    menu.get_by_label("Only").check()
    menu.get_by_role("button", name="A new speaker").click()
    expect(paper.who()).to_have_text(["Speaker 1", "Speaker 3", "Speaker 1", "Speaker 2"])
    paper.has_saved()
    assert recordings.names(a) == ["spk_1", "spk_3", "spk_1", "spk_2"]


def test_a_call_has_two_lanes(paper: Paper, recordings: Recordings) -> None:
    """Who is on the right channel stands on the other side, and the waveform has a lane for each."""
    task = finished_recording(recordings, "call.wav", transcript(A), sound_s=8.0, channels=2)
    paper.open(task)
    expect(paper.button("Two lanes")).to_have_attribute("aria-pressed", "true")
    turns = paper.page.locator(".reader .turn")
    assert paper.screen.box(turns.nth(1))["x"] > paper.screen.box(turns.nth(0))["x"] + 50
    paper.button("Two lanes").click()
    assert paper.screen.box(turns.nth(1))["x"] == paper.screen.box(turns.nth(0))["x"]
    paper.screen.until("document.querySelector('audio').duration > 7")
