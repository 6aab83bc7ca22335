"""Two people correct one recording: what was typed is kept, both texts are shown, and the person chooses."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.recordings import Recordings
from tests.browser.screen import Screen

A = ("First of A.", "Second of A.", "Third of A.")


def is_asked(screen: Screen, theirs: str, yours: str) -> None:
    """The page shows both texts and has saved neither over the other."""
    expect(screen.page.locator("#notices dd")).to_have_text([theirs, yours])
    expect(screen.button("Keep yours")).to_have_count(1)
    assert screen.page.locator("#message").inner_text() != "Saved."


@pytest.mark.parametrize("choice", ["yours", "theirs"])
def test_a_sentence_that_others_corrected_meanwhile_is_shown_in_both_ways(
    screen: Screen, recordings: Recordings, a: uuid.UUID, choice: str
) -> None:
    """What was typed stays in its field until the person chooses; the choice is in the field and on the server."""
    recordings.correct(a, segments=[{"id": 0, "text": "Theirs."}])
    screen.correct(0, "Mine.")
    is_asked(screen, "Theirs.", "Mine.")
    expect(screen.sentence(0)).to_have_text("Mine.")
    assert recordings.texts(a)[0] == "Theirs."
    screen.button(f"Keep {choice}").click()
    kept = {"yours": "Mine.", "theirs": "Theirs."}[choice]
    recordings.becomes(a, kept, *A[1:])
    screen.sees(kept, *A[1:])
    expect(screen.button("Keep yours")).to_have_count(0)
    screen.correct(1, "Two.")
    recordings.becomes(a, kept, "Two.", A[2])


def test_corrections_of_other_sentences_come_together(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """A sentence that nobody else touched is saved, and those of others are shown."""
    recordings.correct(a, segments=[{"id": 2, "text": "Theirs."}])
    screen.correct(0, "Mine.")
    screen.has_saved()
    recordings.becomes(a, "Mine.", A[1], "Theirs.")
    screen.sees("Mine.", A[1], "Theirs.")


def test_a_conflict_leaves_the_sentence_that_is_being_typed_alone(
    screen: Screen, recordings: Recordings, a: uuid.UUID
) -> None:
    """The caret and the letters around it stay in the second sentence while the first is asked about."""
    recordings.correct(a, segments=[{"id": 0, "text": "Theirs."}])
    with screen.slow_saves() as network:
        screen.correct(0, "Mine.")
        network.holds(1)
        screen.type_into(1, "Being ")
        network.let_through()
        is_asked(screen, "Theirs.", "Mine.")
        screen.page.keyboard.type("typed.")
        screen.page.keyboard.press("Enter")
        network.let_all_through()
    recordings.becomes(a, "Theirs.", "Being typed.", A[2])
    screen.button("Keep yours").click()
    recordings.becomes(a, "Mine.", "Being typed.", A[2])


def test_speakers_that_others_changed_leave_the_sentence_that_is_being_typed_alone(
    screen: Screen, recordings: Recordings, a: uuid.UUID
) -> None:
    """A transcript that has to be drawn anew keeps the letters, the focus and the caret within them."""
    recordings.correct(a, speakers={"spk_1": "Anna", "spk_2": "Anna"})
    screen.correct(0, "Mine.")
    screen.has_saved()
    screen.open("a.wav", "Mine.")
    expect(screen.page.locator("#transcript .who")).to_have_text(["Anna"])
    recordings.correct(a, speakers={"spk_1": None, "spk_2": None})
    with screen.slow_saves() as network:
        screen.correct(0, "Mine again.")
        network.holds(1)
        screen.type_into(1, "Bing")
        screen.page.keyboard.press("Home")
        screen.page.keyboard.press("ArrowRight")
        network.let_all_through()
        expect(screen.page.locator("#transcript .who")).to_have_text(["spk_1", "spk_2", "spk_1"])
        screen.page.keyboard.type("e")
        screen.page.keyboard.press("Enter")
    recordings.becomes(a, "Mine again.", "Being", A[2])


def test_a_name_that_others_gave_meanwhile_is_shown_beside_the_one_that_was_typed(
    screen: Screen, recordings: Recordings, a: uuid.UUID
) -> None:
    """The name that was typed is kept until the person chooses."""
    recordings.correct(a, speakers={"spk_1": "Anna"})
    screen.rename("spk_1", "Bert")
    is_asked(screen, "Anna", "Bert")
    assert recordings.names(a) == ["Anna", "spk_2", "Anna"]
    screen.button("Keep yours").click()
    screen.has_saved()
    assert recordings.names(a) == ["Bert", "spk_2", "Bert"]
    expect(screen.page.locator("#transcript .who")).to_have_text(["Bert", "spk_2", "Bert"])


def test_a_conflict_is_kept_when_another_recording_is_opened(
    screen: Screen, recordings: Recordings, a: uuid.UUID
) -> None:
    """It can be decided from there, and goes to its own recording."""
    b = recordings.finished("b.wav", "First of B.")
    screen.page.reload()
    screen.open("a.wav", A[0])
    recordings.correct(a, segments=[{"id": 0, "text": "Theirs."}])
    screen.correct(0, "Mine.")
    is_asked(screen, "Theirs.", "Mine.")
    screen.open("b.wav", "First of B.")
    is_asked(screen, "Theirs.", "Mine.")
    screen.button("Show").click()
    screen.sees("Mine.", *A[1:])
    screen.open("b.wav", "First of B.")
    screen.button("Keep yours").click()
    recordings.becomes(a, "Mine.", *A[1:])
    assert recordings.texts(b) == ["First of B."]


def test_a_second_conflict_is_asked_about_again(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """Others who correct the same sentence once more, before the choice is made, are not overwritten unseen."""
    recordings.correct(a, segments=[{"id": 0, "text": "Theirs."}])
    screen.correct(0, "Mine.")
    is_asked(screen, "Theirs.", "Mine.")
    recordings.correct(a, segments=[{"id": 0, "text": "Theirs again."}])
    screen.button("Keep yours").click()
    is_asked(screen, "Theirs again.", "Mine.")
    assert recordings.texts(a)[0] == "Theirs again."


def test_what_is_typed_on_into_a_conflict_is_what_is_kept(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """The field can be edited while the page asks, and shows what it would keep."""
    recordings.correct(a, segments=[{"id": 0, "text": "Theirs."}])
    screen.correct(0, "Mine.")
    is_asked(screen, "Theirs.", "Mine.")
    screen.correct(0, "Theirs and mine.")
    is_asked(screen, "Theirs.", "Theirs and mine.")
    screen.button("Keep yours").click()
    recordings.becomes(a, "Theirs and mine.", *A[1:])


def test_the_same_correction_by_two_is_no_conflict(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """Nobody is asked to choose between equal texts."""
    recordings.correct(a, segments=[{"id": 0, "text": "Both."}])
    screen.correct(0, "Both.")
    screen.has_saved()
    assert recordings.result(a)["version"] == 1


def test_nothing_is_undone_that_the_person_has_not_seen(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """Undoing all stops when others have corrected meanwhile, and shows what they wrote."""
    screen.correct(0, "Mine.")
    screen.has_saved()
    recordings.correct(a, segments=[{"id": 1, "text": "Theirs."}])
    screen.button("Undo all corrections").click()
    screen.says("nothing was undone")
    assert recordings.texts(a) == ["Mine.", "Theirs.", A[2]]
    screen.sees("Mine.", "Theirs.", A[2])


def test_two_tabs_on_one_recording_lose_nothing(new_screen: Callable[..., Screen], recordings: Recordings) -> None:
    """What is typed in each of two tabs is saved or asked about, and in the end both show the same."""
    task = recordings.finished("a.wav", *A)
    one, two = new_screen(), new_screen()
    for tab in (one, two):
        tab.enter()
        tab.open("a.wav", A[0])
    one.correct(0, "One.")
    one.has_saved()
    two.correct(0, "Two.")
    is_asked(two, "One.", "Two.")
    two.button("Keep yours").click()
    two.has_saved()
    one.correct(1, "One again.")
    one.has_saved()
    recordings.becomes(task, "Two.", "One again.", A[2])
    one.sees("Two.", "One again.", A[2])
