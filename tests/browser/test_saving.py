"""A correction goes to the recording it was typed into, whatever is opened before it is saved."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Route, expect

from tests.browser.recordings import Recordings
from tests.browser.screen import Screen

A, B = ("First of A.", "Second of A."), ("First of B.", "Second of B.")


@pytest.fixture
def two(screen: Screen, recordings: Recordings) -> tuple[uuid.UUID, uuid.UUID]:
    """Two recordings, a.wav of which is open. Their tasks."""
    tasks = recordings.finished("a.wav", *A), recordings.finished("b.wav", *B)
    screen.enter()
    screen.open("a.wav", A[0])
    return tasks


def test_corrections_on_their_way_go_to_the_recording_they_were_typed_into(
    screen: Screen, recordings: Recordings, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    """Two corrections, the first of them slow, are both saved although another recording was opened meanwhile."""
    with screen.slow_saves() as network:
        screen.correct(0, "One.")
        screen.correct(1, "Two.")
        network.holds(1)
        screen.open("b.wav", B[0])
        network.let_through()
        network.holds(2)
        sent = network.seen[1].post_data_json
        assert sent is not None
        assert sent["version"] == 1, "it waited for the version that the first one made"
        network.let_through()
        recordings.becomes(two[0], "One.", "Two.")
    assert recordings.texts(two[1]) == list(B)
    screen.sees(*B)


@pytest.mark.parametrize("way", ["click", "keyboard"])
def test_a_sentence_that_is_left_by_opening_another_recording_is_saved_where_it_was_typed(
    screen: Screen, recordings: Recordings, two: tuple[uuid.UUID, uuid.UUID], way: str
) -> None:
    """Neither the click nor the key that opens another recording takes the sentence there."""
    screen.type_into(0, "Left behind.")
    if way == "click":
        screen.entry("b.wav").click()
    else:
        screen.entry("b.wav").press("Enter")
    expect(screen.sentence(0)).to_have_text(B[0])
    recordings.becomes(two[0], "Left behind.", A[1])
    assert recordings.texts(two[1]) == list(B)


def test_a_name_on_its_way_goes_to_the_recording_it_was_typed_into(
    screen: Screen, recordings: Recordings, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    """A slow renaming is saved in its own recording, and the one that is open by then keeps its names."""
    with screen.slow_saves() as network:
        screen.rename("spk_1", "Anna")
        network.holds(1)
        screen.open("b.wav", B[0])
        network.let_through()
        screen.says("Saved in")
    assert recordings.names(two[0]) == ["Anna", "spk_2"]
    assert recordings.names(two[1]) == ["spk_1", "spk_2"]
    assert screen.page.locator("#transcript .who").all_inner_texts() == ["spk_1", "spk_2"]


def test_a_recording_that_comes_late_is_not_shown_in_place_of_the_one_opened_after_it(
    screen: Screen, recordings: Recordings, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    """What is shown and what is saved belong to the recording that was clicked last."""
    held = []
    screen.page.route(f"**/result/{two[0]}*", lambda route: held.append(route))
    screen.entry("a.wav").click()
    screen.page.wait_for_timeout(100)
    screen.open("b.wav", B[0])
    for route in held:
        route.continue_()
    screen.page.unroute_all()
    screen.page.wait_for_timeout(500)
    screen.sees(*B)
    screen.correct(0, "Corrected.")
    recordings.becomes(two[1], "Corrected.", B[1])
    assert recordings.texts(two[0]) == list(A)


def test_a_sentence_that_is_corrected_twice_in_a_row_ends_as_it_was_typed_last(
    screen: Screen, recordings: Recordings, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    """The second correction waits for the first, and neither the field nor the server goes back."""
    with screen.slow_saves() as network:
        screen.correct(0, "Once.")
        network.holds(1)
        screen.correct(0, "Twice.")
        network.let_through()
        network.holds(2)
        expect(screen.sentence(0)).to_have_text("Twice.")
        network.let_through()
        screen.has_saved()
    recordings.becomes(two[0], "Twice.", A[1])
    screen.sees("Twice.", A[1])


def test_what_is_typed_while_a_sentence_is_being_saved_stays(
    screen: Screen, recordings: Recordings, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    """The answer to the first correction leaves the caret and the new letters in the same sentence alone."""
    with screen.slow_saves() as network:
        screen.correct(0, "Once")
        network.holds(1)
        screen.type_into(0, "Once upon")
        network.let_through()
        screen.page.wait_for_timeout(500)
        screen.page.keyboard.type(" a time.")
        screen.page.keyboard.press("Enter")
        network.holds(2)
        network.let_through()
    recordings.becomes(two[0], "Once upon a time.", A[1])
    screen.sees("Once upon a time.", A[1])


def test_a_recording_opened_again_shows_what_is_on_its_way(
    screen: Screen, recordings: Recordings, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    """Its new text is there before the server has it, and after."""
    with screen.slow_saves() as network:
        screen.correct(0, "One.")
        network.holds(1)
        screen.open("b.wav", B[0])
        screen.open("a.wav", "One.")
        network.let_through()
        recordings.becomes(two[0], "One.", A[1])
    screen.has_saved()
    screen.sees("One.", A[1])
    screen.correct(1, "Two.")
    recordings.becomes(two[0], "One.", "Two.")


def test_an_old_answer_never_covers_a_saved_correction(
    screen: Screen, recordings: Recordings, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    """A transcript that was read before a correction and arrives after it is read anew."""
    answers = []

    def late(route: Route) -> None:
        answers.append((route, route.fetch()))

    screen.page.route(f"**/result/{two[0]}*", late, times=1)
    screen.entry("a.wav").click()
    while not answers:
        screen.page.wait_for_timeout(50)
    screen.correct(0, "One.")
    screen.has_saved()
    route, answer = answers.pop()
    route.fulfill(response=answer)
    screen.page.wait_for_timeout(500)
    screen.sees("One.", A[1])
    screen.correct(1, "Two.")
    recordings.becomes(two[0], "One.", "Two.")


def test_a_file_that_is_downloaded_has_the_correction_that_was_just_typed(
    screen: Screen, recordings: Recordings, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    """The download waits for corrections of its recording that are on their way."""
    with screen.slow_saves() as network, screen.page.expect_download() as download:
        screen.type_into(0, "Just typed.")
        screen.page.locator("#downloads").get_by_role("button", name="text", exact=True).click()
        network.holds(1)
        screen.page.wait_for_timeout(500)
        network.let_through()
    assert "Just typed." in download.value.path().read_text()


def test_text_that_the_server_writes_otherwise_is_shown_as_the_server_has_it(
    screen: Screen, recordings: Recordings, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    """Line breaks, control characters and runs of spaces become one space, in the field as on the server."""
    screen.sentence(0).click()
    screen.page.keyboard.press("Control+a")
    screen.page.keyboard.insert_text("Two\nlines,\u00a0 and\u0007 a bell. ")
    screen.page.keyboard.press("Enter")
    screen.has_saved()
    recordings.becomes(two[0], "Two lines, and a bell.", A[1])
    screen.sees("Two lines, and a bell.", A[1])


def test_nothing_is_saved_where_nothing_was_typed(
    screen: Screen, recordings: Recordings, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    """A sentence that was entered and left, or typed and taken back, makes no version."""
    screen.sentence(0).click()
    screen.sentence(1).click()
    screen.type_into(0, "Never mind.")
    screen.page.keyboard.press("Escape")
    screen.type_into(1, A[1])
    screen.page.keyboard.press("Enter")
    screen.page.wait_for_timeout(500)
    assert recordings.result(two[0])["version"] == 0
    screen.sees(*A)
