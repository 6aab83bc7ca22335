"""Undoing: by the browser's key, of one correction, and of all of them."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from tests.browser.recordings import Recordings
from tests.browser.screen import Screen

A = ("First of A.", "Second of A.")


def agrees(screen: Screen, recordings: Recordings, task: uuid.UUID) -> list[str]:
    """What the fields and the server say alike, once nothing is on its way."""
    screen.page.wait_for_timeout(1000)
    shown = screen.page.locator("#transcript .said").all_inner_texts()
    assert shown == recordings.texts(task)
    return shown


@pytest.mark.parametrize("focus", ["elsewhere", "in the sentence", "in another sentence"])
def test_undoing_after_a_save_is_the_same_in_the_field_and_on_the_server(
    screen: Screen, recordings: Recordings, a: uuid.UUID, focus: str
) -> None:
    """Ctrl+Z and Ctrl+Y after Enter leave no text in a field that the server does not have."""
    screen.sentence(0).click()
    screen.page.keyboard.press("End")
    screen.page.keyboard.type(" And more.")
    screen.page.keyboard.press("Enter")
    screen.has_saved()
    if focus != "elsewhere":
        screen.sentence(0 if focus == "in the sentence" else 1).click()
    for key in ("Control+z", "Control+z", "Control+y"):
        screen.page.keyboard.press(key)
        if focus != "elsewhere":
            screen.page.keyboard.press("Enter")
        agrees(screen, recordings, a)


def test_undoing_takes_a_saved_correction_back(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """Ctrl+Z in the sentence brings the old text into the field, and leaving the field saves it."""
    screen.sentence(0).click()
    screen.page.keyboard.press("End")
    screen.page.keyboard.type("!")
    screen.page.keyboard.press("Enter")
    screen.has_saved()
    screen.sentence(0).click()
    screen.page.keyboard.press("Control+z")
    screen.page.keyboard.press("Enter")
    recordings.becomes(a, *A)
    assert agrees(screen, recordings, a) == list(A)


def test_words_that_are_dragged_from_one_sentence_to_another_are_saved_in_both(
    screen: Screen, recordings: Recordings, a: uuid.UUID
) -> None:
    """The sentence that lost them never had the focus when it did."""
    screen.sentence(0).dblclick(position={"x": 5, "y": 10})
    box, target = screen.box(screen.sentence(0)), screen.box(screen.sentence(1))
    screen.page.mouse.move(box["x"] + 8, box["y"] + 10)
    screen.page.mouse.down()
    screen.page.mouse.move(target["x"] + 20, target["y"] + 10, steps=5)
    screen.page.mouse.move(target["x"] + 22, target["y"] + 10)
    screen.page.mouse.up()
    screen.page.keyboard.press("Enter")
    shown = agrees(screen, recordings, a)
    assert "First" not in shown[0] and "First" in shown[1]


def test_undoing_all_asks_first(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """Nothing is undone unless the person agrees; then all is, and can be brought back."""
    screen.correct(0, "Mine.")
    screen.has_saved()
    screen.rename("spk_2", "Anna")
    screen.has_saved()
    screen.answer_is_yes = False
    screen.button("Undo all corrections").click()
    screen.page.wait_for_timeout(300)
    assert len(screen.dialogs) == 1 and "a.wav" in screen.dialogs[0]
    assert (recordings.texts(a)[0], recordings.names(a)[1]) == ("Mine.", "Anna")
    screen.answer_is_yes = True
    screen.button("Undo all corrections").click()
    screen.sees(*A)
    assert (recordings.texts(a)[0], recordings.names(a)[1]) == (A[0], "spk_2")
    screen.button("Bring them back").click()
    screen.sees("Mine.", A[1])
    assert (recordings.texts(a)[0], recordings.names(a)[1]) == ("Mine.", "Anna")
    expect(screen.button("Bring them back")).to_have_count(0)


def test_undoing_all_comes_behind_what_was_just_typed(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """A sentence that is left by the click on the button is saved first and undone with the others."""
    screen.type_into(0, "Just typed.")
    screen.page.keyboard.press("Enter")
    screen.has_saved()
    with screen.slow_saves() as network:
        screen.type_into(1, "Just typed, too.")
        screen.button("Undo all corrections").click()
        network.holds(1)
        network.let_all_through()
        screen.sees(*A)
    assert recordings.texts(a) == list(A)
    screen.button("Bring them back").click()
    recordings.becomes(a, "Just typed.", "Just typed, too.")
