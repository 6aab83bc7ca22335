"""What is typed gets to its own recording, whatever happens to the page, the network and the server meanwhile."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from tests.page.recordings import Recordings
from tests.page.transcript.network import broken_saves, slow_saves
from tests.page.transcript.paper import Paper
from tests.page.transcript.spoken import finished_recording, transcript

A = ("First of A.", "Second of A.", "Third of A.")
B = ("First of B.", "Second of B.")

KEEPS = """(async () => {
    const asked = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
    const database = await asked(indexedDB.open("parley.edits"));
    const edits = await asked(database.transaction("edits").objectStore("edits").getAll());
    database.close();
    return JSON.stringify(edits).includes("%s");
})()"""
"""Whether the browser has the sentence. Nobody reloads within the milliseconds that a letter takes to get there."""


@pytest.fixture
def b(recordings: Recordings) -> uuid.UUID:
    return finished_recording(recordings, "b.wav", transcript(B))


def test_a_sentence_is_saved_into_the_recording_it_was_typed_into(
    paper: Paper, recordings: Recordings, a: uuid.UUID, b: uuid.UUID
) -> None:
    """Another recording is opened while a sentence is being typed and another one is on its way: both stay A's."""
    with slow_saves(paper.page) as network:
        paper.correct(0, "On its way.")
        network.holds(1)
        paper.type_into(1, "Being typed.")
        paper.page.evaluate("task => { location.hash = `#/transcript/${task}` }", str(b))
        paper.sees(*B)
        network.let_all_through()
    recordings.becomes(a, "On its way.", "Being typed.", A[2])
    assert recordings.texts(b) == list(B)
    paper.sees(*B)


def test_a_half_typed_sentence_outlives_a_reload(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """It is offered again, and saved when the person says so; without that the server keeps what it had."""
    paper.type_into(0, "Half a sen")
    paper.screen.until(KEEPS.replace("%s", "Half a sen"))
    paper.page.reload()
    expect(paper.page.get_by_text("1 sentence was not finished")).to_be_visible()
    expect(paper.sentence(0)).to_have_text("Half a sen")
    assert recordings.texts(a) == list(A)
    paper.button("Save").click()
    recordings.becomes(a, "Half a sen", *A[1:])
    expect(paper.page.get_by_text("was not finished")).to_have_count(0)


def test_without_a_network_nothing_is_lost(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """Corrections are kept in the browser, also over a reload of the page, and go when the server is back."""
    with broken_saves(paper.page):
        paper.correct(0, "Offline.")
        expect(paper.page.get_by_text("kept in this browser until the server is back")).to_be_visible()
        paper.correct(1, "Offline, too.")
        paper.sees("Offline.", "Offline, too.", A[2])
        paper.screen.until(KEEPS.replace("%s", "Offline, too."))
        paper.page.reload()
        paper.sees("Offline.", "Offline, too.", A[2])
        assert recordings.texts(a) == list(A)
    paper.page.reload()
    recordings.becomes(a, "Offline.", "Offline, too.", A[2])
    assert recordings.result(a)["version"] == 2


def test_a_correction_whose_answer_got_lost_is_made_once(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """The server has it, the page does not know: it asks again, and finds its own text and no conflict."""
    with broken_saves(paper.page, is_answer_lost=True):
        paper.correct(0, "Mine.")
        paper.screen.eventually(lambda: recordings.texts(a) == ["Mine.", *A[1:]], "the server has it")
    paper.correct(0, "Mine again.")
    recordings.becomes(a, "Mine again.", *A[1:])
    paper.has_saved()
    assert recordings.result(a)["version"] == 2


def test_corrections_of_other_recordings_that_wait_are_named_and_sent(
    paper: Paper, recordings: Recordings, a: uuid.UUID, b: uuid.UUID
) -> None:
    """On any other screen a line says what is not saved and where, until it is."""
    with broken_saves(paper.page):
        paper.correct(0, "Waits.")
        paper.page.evaluate("task => { location.hash = `#/transcript/${task}` }", str(b))
        paper.sees(*B)
        waits = paper.page.get_by_role("region", name="Unsaved changes")
        expect(waits).to_contain_text("1 change in a.wav is not saved yet.")
    recordings.becomes(a, "Waits.", *A[1:])
    expect(waits).to_have_count(0)


def test_what_the_server_refuses_is_kept_and_explained(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """The text stays in its place with the reason beside it, can be tried again, and holds up no other correction."""

    def refuse(route: Route) -> None:
        if route.request.method != "PATCH":
            route.fallback()
            return
        body = {"code": "invalid_request", "message": "Too odd.", "request_id": "1"}
        route.fulfill(status=422, json=body)

    paper.page.route("**/tasks/*", refuse)
    paper.correct(0, "Odd.")
    expect(paper.page.get_by_role("alert")).to_contain_text("Too odd.")
    expect(paper.sentence(0)).to_have_text("Odd.")
    paper.page.unroute("**/tasks/*", refuse)
    paper.correct(1, "Plain.")
    recordings.becomes(a, A[0], "Plain.", A[2])
    paper.button("Try again").click()
    recordings.becomes(a, "Odd.", "Plain.", A[2])


def test_escape_discards_what_is_typed_and_can_be_undone(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """The old text is back at once, nothing is sent, and one button brings back what was typed."""
    paper.screen.keep_lines()
    paper.type_into(0, "Typed.")
    paper.page.keyboard.press("Escape")
    paper.sees(*A)
    paper.screen.says("discarded")
    paper.page.get_by_role("region", name="News").get_by_role("button", name="Undo").click()
    recordings.becomes(a, "Typed.", *A[1:])


def test_signing_out_asks_before_it_leaves_something_behind(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """What is not saved stays while the person does, and is gone from the browser when they go. On the way out no other
    screen is shown: it would be refused, and ask for the key in a page that is about to be left."""
    urls: list[str] = []
    paper.page.on("request", lambda request: urls.append(request.url))
    with broken_saves(paper.page):
        paper.correct(0, "Not saved.")
        paper.page.get_by_role("button", name="Account").click()
        paper.button("Sign out").click()
        paper.screen.answer("Cancel", says="lose 1 change")
        paper.sees("Not saved.", *A[1:])
        paper.page.get_by_role("button", name="Account").click()
        paper.button("Sign out").click()
        paper.screen.answer("Sign out", says="lose 1 change")
        expect(paper.page.get_by_label("API key")).to_be_visible()
    assert not [url for url in urls if "/history" in url]
    paper.screen.enter(f"#/transcript/{a}")
    paper.sees(*A)
    assert recordings.texts(a) == list(A)


def test_two_pages_of_one_browser_do_not_take_each_others_drafts(
    paper: Paper, recordings: Recordings, a: uuid.UUID, new_paper: Callable[..., Paper]
) -> None:
    """What is being typed in one tab is not offered in another one that is opened meanwhile."""
    paper.type_into(0, "In the first tab")
    page = paper.page.context.new_page()
    page.goto(paper.page.url)
    expect(page.locator("#segment-0")).to_have_text(A[0])
    expect(page.get_by_text("was not finished")).to_have_count(0)
    paper.page.keyboard.press("Enter")
    recordings.becomes(a, "In the first tab", *A[1:])
    page.close()
