"""Undoing and redoing, and versions: the page and the server always say the same."""

from __future__ import annotations

import uuid

from playwright.sync_api import expect

from tests.page.recordings import Recordings
from tests.page.transcript.paper import Paper

A = ("First of A.", "Second of A.")


def test_ctrl_z_takes_a_saved_correction_back_on_the_server_too(
    paper: Paper, recordings: Recordings, a: uuid.UUID
) -> None:
    """Each of several, in turn; Ctrl+Y does them again, and so do the buttons."""
    paper.correct(0, "Once.")
    paper.correct(1, "Twice.")
    recordings.becomes(a, "Once.", "Twice.")
    paper.page.keyboard.press("Control+z")
    recordings.becomes(a, "Once.", A[1])
    paper.page.keyboard.press("Control+z")
    recordings.becomes(a, *A)
    paper.sees(*A)
    paper.page.keyboard.press("Control+y")
    recordings.becomes(a, "Once.", A[1])
    paper.button("Redo").click()
    recordings.becomes(a, "Once.", "Twice.")
    expect(paper.button("Redo")).to_be_disabled()
    paper.button("Undo").click()
    recordings.becomes(a, "Once.", A[1])
    paper.sees("Once.", A[1])


def test_ctrl_z_in_a_field_is_the_fields_own(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """It takes letters back, and no correction of before."""
    paper.correct(0, "Saved.")
    recordings.becomes(a, "Saved.", A[1])
    paper.type_into(1, "Typed")
    paper.page.keyboard.press("Control+z")
    paper.page.keyboard.press("Enter")
    paper.has_saved()
    assert recordings.texts(a)[0] == "Saved."


def test_restoring_a_version_asks_shows_what_would_change_and_can_be_undone(
    paper: Paper, recordings: Recordings, a: uuid.UUID
) -> None:
    """Nothing is restored unless the person agrees; all versions stay in the list."""
    paper.correct(0, "Mine of A.")
    recordings.becomes(a, "Mine of A.", A[1])
    recordings.correct(a, speakers={"spk_2": "Anna"})
    paper.page.reload()
    versions = paper.panel("Versions")
    versions.locator("summary").click()
    expect(versions.locator("ol > li")).to_have_count(3)
    versions.get_by_role("button", name="Compare").last.click()
    expect(versions.locator("del")).to_have_text(["Anna", "Mine"])
    expect(versions.locator("ins")).to_have_text(["Speaker 2", "First"])
    versions.get_by_role("button", name="Restore").click()
    paper.screen.answer("Cancel", says="original of a.wav")
    assert recordings.texts(a) == ["Mine of A.", A[1]]
    versions.get_by_role("button", name="Restore").click()
    paper.screen.answer("Restore", says="a.wav")
    recordings.becomes(a, *A)
    paper.sees(*A)
    expect(paper.who()).to_have_text(["Speaker 1", "Speaker 2"])
    paper.page.get_by_role("region", name="News").get_by_role("button", name="Undo").click()
    recordings.becomes(a, "Mine of A.", A[1])
    expect(paper.who()).to_have_text(["Speaker 1", "Anna"])


def test_nothing_is_restored_over_what_the_person_has_not_seen(
    paper: Paper, recordings: Recordings, a: uuid.UUID
) -> None:
    """It stops when others have corrected meanwhile, and shows what they wrote."""
    paper.correct(0, "Mine.")
    recordings.becomes(a, "Mine.", A[1])
    versions = paper.panel("Versions")
    versions.locator("summary").click()
    versions.get_by_role("button", name="Compare").last.click()
    expect(versions.locator("ins")).to_have_count(1)
    recordings.correct(a, segments=[{"id": 1, "text": "Theirs."}])
    versions.get_by_role("button", name="Restore").click()
    paper.screen.answer("Restore")
    paper.screen.says("nothing was changed")
    assert recordings.texts(a) == ["Mine.", "Theirs."]
    paper.sees("Mine.", "Theirs.")
