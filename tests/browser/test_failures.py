"""A correction that cannot be saved: the text is kept, the page says so, and saves it when that is possible again."""

from __future__ import annotations

import uuid

from playwright.sync_api import Route, expect

from api.transcripts.correction_request import MAX_TEXT_CHARS
from shared.callers import keys
from shared.db import session
from tests.browser.recordings import Recordings
from tests.browser.screen import Screen
from tests.service.gateway import Gateway, eventually

A = ("First of A.", "Second of A.", "Third of A.")


def has_failed(screen: Screen, text: str, reason: str) -> None:
    """The page says that this was not saved, and why."""
    line = screen.page.locator("#notices li").filter(has_text=text)
    expect(line).to_contain_text("Not saved")
    expect(line).to_contain_text(reason)
    assert screen.page.locator("#message").inner_text() != "Saved."


def test_a_sentence_is_kept_while_the_network_is_gone(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """It stays in its field, and "Try again" saves it."""
    with screen.broken_saves():
        screen.correct(0, "Mine.")
        has_failed(screen, "Mine.", "cannot be reached")
        expect(screen.sentence(0)).to_have_text("Mine.")
        screen.button("Try again").click()
        has_failed(screen, "Mine.", "cannot be reached")
    assert recordings.texts(a) == list(A)
    screen.button("Try again").click()
    screen.has_saved()
    assert recordings.texts(a) == ["Mine.", *A[1:]]
    expect(screen.button("Try again")).to_have_count(0)
    screen.sees("Mine.", *A[1:])


def test_all_that_the_network_kept_back_is_saved_once_it_is_there_again(
    screen: Screen, recordings: Recordings, a: uuid.UUID
) -> None:
    """One "Try again", or one correction that succeeds, saves the others too."""
    with screen.broken_saves():
        screen.correct(0, "One.")
        screen.correct(1, "Two.")
        expect(screen.button("Try again")).to_have_count(2)
    screen.correct(2, "Three.")
    recordings.becomes(a, "One.", "Two.", "Three.")
    expect(screen.button("Try again")).to_have_count(0)


def test_a_sentence_that_was_not_saved_goes_to_its_recording_from_another_one(
    screen: Screen, recordings: Recordings, a: uuid.UUID
) -> None:
    """It survives that another recording is opened, is tried again from there, and is there when its own is shown."""
    b = recordings.finished("b.wav", "First of B.")
    screen.page.reload()
    screen.open("a.wav", A[0])
    with screen.broken_saves():
        screen.correct(0, "Mine.")
        screen.open("b.wav", "First of B.")
        has_failed(screen, "Mine.", "a.wav")
        screen.button("Show").click()
        screen.sees("Mine.", *A[1:])
        screen.open("b.wav", "First of B.")
    screen.button("Try again").click()
    screen.says("Saved in “a.wav”.")
    assert (recordings.texts(a)[0], recordings.texts(b)) == ("Mine.", ["First of B."])
    screen.sees("First of B.")


def test_a_correction_whose_answer_was_lost_is_saved_once(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """It is on the server already when it is tried again, which is no conflict."""

    def lose_answer(route: Route) -> None:
        if route.request.method == "PATCH":
            route.fetch()
            route.abort("connectionreset")
        else:
            route.continue_()

    screen.page.route("**/tasks/*", lose_answer)
    screen.correct(0, "Mine.")
    has_failed(screen, "Mine.", "cannot be reached")
    screen.page.unroute_all()
    screen.button("Try again").click()
    screen.has_saved()
    assert recordings.result(a)["version"] == 1
    screen.correct(1, "Two.")
    recordings.becomes(a, "Mine.", "Two.", A[2])


def test_a_text_that_the_server_refuses_is_kept(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """It can be shortened where it stands, and is saved then."""
    long = "long " * (MAX_TEXT_CHARS // 5 + 1)
    screen.sentence(0).click()
    screen.page.keyboard.press("Control+a")
    screen.page.keyboard.insert_text(long)
    screen.page.keyboard.press("Enter")
    has_failed(screen, "long long", "")
    expect(screen.sentence(0)).to_have_text(long.strip())
    screen.correct(0, "Short.")
    screen.has_saved()
    recordings.becomes(a, "Short.", *A[1:])


def test_a_name_that_the_server_refuses_is_kept(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """It can be typed otherwise where it stands, and is saved then."""
    screen.rename("spk_1", "spk_2")
    has_failed(screen, "spk_2", "speaker's id")
    screen.page.locator("#transcript .who").first.click()
    expect(screen.page.get_by_label("Name of this speaker")).to_have_value("spk_2")
    screen.page.keyboard.type("Anna")
    screen.page.keyboard.press("Enter")
    screen.has_saved()
    assert recordings.names(a) == ["Anna", "spk_2", "Anna"]


def test_a_name_is_kept_while_the_network_is_gone(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """It stands where it was typed, and "Try again" saves it."""
    with screen.broken_saves():
        screen.rename("spk_1", "Anna")
        has_failed(screen, "Anna", "cannot be reached")
        expect(screen.page.locator("#transcript .who").first).to_have_text("Anna")
    screen.button("Try again").click()
    screen.has_saved()
    assert recordings.names(a) == ["Anna", "spk_2", "Anna"]
    expect(screen.page.locator("#transcript .who")).to_have_text(["Anna", "spk_2", "Anna"])


def test_a_sentence_of_a_recording_that_others_deleted_is_kept(
    screen: Screen, recordings: Recordings, a: uuid.UUID
) -> None:
    """The page says that the task is gone and keeps the text until the person discards it."""
    assert recordings.caller.http.delete(f"/tasks/{a}").is_success
    screen.correct(0, "Mine.")
    has_failed(screen, "Mine.", "no such task")
    expect(screen.sentence(0)).to_have_text("Mine.")
    screen.answer_is_yes = False
    screen.button("Discard").click()
    has_failed(screen, "Mine.", "no such task")
    screen.answer_is_yes = True
    screen.button("Discard").click()
    expect(screen.page.locator("#notices li")).to_have_count(0)


def test_a_sentence_is_kept_when_its_key_was_revoked(
    screen: Screen, gateway: Gateway, recordings: Recordings, a: uuid.UUID
) -> None:
    """It is tried again with the key that stands in the form then, which may be a stranger's and not do either."""
    with session() as work:
        keys.revoke(work, recordings.caller.id)
    screen.correct(0, "Mine.")
    has_failed(screen, "Mine.", "")
    stranger = gateway.caller()
    stranger.http.close()
    screen.page.get_by_label("API key").fill(stranger.key)
    screen.button("Try again").click()
    has_failed(screen, "Mine.", "no such task")
    expect(screen.sentence(0)).to_have_text("Mine.")


def test_a_recording_that_cannot_be_opened_leaves_the_one_that_is_open(
    screen: Screen, recordings: Recordings, a: uuid.UUID
) -> None:
    """The page says why, and what is shown stays."""
    recordings.finished("b.wav", "First of B.")
    screen.page.reload()
    screen.open("a.wav", A[0])
    screen.page.route("**/result/*", lambda route: route.abort("connectionfailed"))
    screen.entry("b.wav").click()
    screen.says("cannot be reached")
    screen.sees(*A)


def test_a_recording_that_could_not_be_erased_is_still_there(
    screen: Screen, recordings: Recordings, a: uuid.UUID
) -> None:
    """The page says why, and keeps showing the recording and its place in the list."""
    screen.page.route("**/tasks/*", lambda route: route.abort("connectionfailed"))
    screen.button("Delete").click()
    screen.says("cannot be reached")
    screen.sees(*A)
    expect(screen.entry("a.wav")).to_be_visible()


def test_a_gateway_that_is_stopped_and_started_takes_what_was_typed_meanwhile(
    screen: Screen, gateway: Gateway, recordings: Recordings, a: uuid.UUID
) -> None:
    """Corrections that are made while the server is away are saved when it is back."""
    gateway.stack.stop_process("api")
    try:
        screen.correct(0, "One.")
        screen.rename("spk_2", "Anna")
        expect(screen.button("Try again")).to_have_count(2)
    finally:
        gateway.stack.start_process("api")
    screen.button("Try again").first.click()
    recordings.becomes(a, "One.", *A[1:])
    eventually(lambda: recordings.names(a) == ["spk_1", "Anna", "spk_1"], "the name is saved")
    expect(screen.button("Try again")).to_have_count(0)
