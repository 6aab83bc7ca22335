"""What strangers do: odd names, endless transcripts, two clicks for one, two keys, files that are dropped anywhere."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.recordings import Recordings
from tests.browser.screen import Screen
from tests.service.gateway import Gateway, eventually

A = ("First of A.", "Second of A.", "Third of A.")
MARKUP = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
NAMES = ("a'b\"c&amp;<b>.wav", "..%2f..%2fpasswd.wav", "__proto__", "متن \u202egnp.wav", "録音 🎙.wav", f"{MARKUP}.wav")

DROP = """(target, count) => {
    const files = new DataTransfer();
    for (let n = 0; n < count; n++) files.items.add(new File(["noise"], `dropped${n}.wav`));
    for (const name of ["dragenter", "dragover", "drop"]) {
        const event = new DragEvent(name, { dataTransfer: files, bubbles: true, cancelable: true });
        if (target.dispatchEvent(event) && name === "drop") throw new Error("the browser would open the file");
    }
}"""


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_called_what_it_is_called(
    screen: Screen, recordings: Recordings, recording: Path, name: str
) -> None:
    """Odd names, of files and of speakers, and odd texts are shown as they are and saved as they were typed."""
    task = recordings.finished(name, MARKUP, "Second of A.")
    known = recordings.caller.http.get("/history").json()["items"][0]["filename"]
    screen.enter()
    screen.entry(" ".join(known.split())).click()
    screen.sees(MARKUP, "Second of A.")
    screen.correct(1, MARKUP)
    screen.has_saved()
    screen.rename("spk_1", "__proto__")
    eventually(lambda: recordings.names(task) == ["__proto__", "spk_2"], "the name is saved")
    with screen.broken_saves():
        screen.correct(0, f"Mine {MARKUP}")
        expect(screen.page.locator("#notices q")).to_have_text(f"Mine {MARKUP}")
        expect(screen.page.locator("#notices li")).to_contain_text(" ".join(known.split()))
    screen.button("Try again").click()
    recordings.becomes(task, f"Mine {MARKUP}", MARKUP)
    assert screen.dialogs == []


def test_a_transcript_without_end_is_corrected_like_any_other(screen: Screen, recordings: Recordings) -> None:
    """In 2,000 sentences of two speakers one is corrected, conflicts, and is kept, while a later one is typed."""
    texts = [f"Sentence {number}." for number in range(2000)]
    task = recordings.finished("long.wav", *texts)
    screen.enter()
    screen.open("long.wav", texts[0])
    recordings.correct(task, segments=[{"id": 1500, "text": "Theirs."}])
    screen.correct(1500, "Mine.")
    expect(screen.button("Keep yours")).to_be_visible()
    screen.type_into(1999, "The last")
    recordings.correct(task, segments=[{"id": 3, "text": "Theirs, too."}])
    screen.page.keyboard.type(" one.")
    screen.page.keyboard.press("Enter")
    screen.has_saved()
    screen.button("Keep yours").click()
    expect(screen.button("Keep yours")).to_have_count(0)
    screen.has_saved()
    now = recordings.texts(task)
    assert (now[3], now[1500], now[1999]) == ("Theirs, too.", "Mine.", "The last one.")
    for number in (3, 1500, 1999):
        expect(screen.sentence(number)).to_have_text(now[number])


def test_two_clicks_are_one(screen: Screen, recordings: Recordings, a: uuid.UUID, recording: Path) -> None:
    """Sending, opening, trying again, keeping and loading more happen once."""
    screen.page.get_by_label("Recording", exact=True).set_input_files(recording)
    screen.button("Transcribe").dblclick()
    claim = recordings.begin(recordings.newer_than(a))
    recordings.end(claim, "Said.")
    with screen.broken_saves():
        screen.correct(0, "Mine.")
        expect(screen.button("Try again")).to_be_visible()
    with screen.slow_saves() as network:
        screen.button("Try again").evaluate("button => { button.click(); button.click(); }")
        network.holds(1)
        network.let_all_through()
        screen.has_saved()
        assert len(network.seen) == 1
    recordings.correct(a, segments=[{"id": 1, "text": "Theirs."}])
    screen.correct(1, "Mine, too.")
    screen.button("Keep yours").evaluate("button => { button.click(); button.click(); }")
    recordings.becomes(a, "Mine.", "Mine, too.", A[2])
    screen.button("Open transcript").evaluate("button => { button.click(); button.click(); }")
    screen.sees("Said.")
    assert len(recordings.caller.http.get("/history").json()["items"]) == 2
    assert recordings.result(a)["version"] == 3


def test_the_next_page_of_the_list_comes_once(screen: Screen, recordings: Recordings) -> None:
    """However often it is asked for while it comes."""
    for number in range(12):
        recordings.finished(f"{number}.wav", "Said.")
    screen.enter()
    screen.button("More").evaluate("button => { button.click(); button.click(); }")
    expect(screen.page.locator("#history li")).to_have_count(12)
    screen.page.wait_for_timeout(500)
    expect(screen.page.locator("#history li")).to_have_count(12)


def test_what_is_open_is_saved_with_the_key_that_opened_it(
    screen: Screen, gateway: Gateway, recordings: Recordings, a: uuid.UUID
) -> None:
    """Another key that is typed meanwhile shows its own recordings, and takes no correction from the first one's."""
    stranger = gateway.caller()
    with stranger.http:
        theirs = Recordings(stranger, recordings.storage).finished("theirs.wav", "Theirs.")
        screen.type_into(0, "Mine.")
        screen.page.get_by_label("API key").fill(stranger.key)
        screen.page.get_by_label("API key").press("Tab")
        expect(screen.entry("theirs.wav")).to_be_visible()
        recordings.becomes(a, "Mine.", *A[1:])
        screen.correct(1, "Mine, too.")
        recordings.becomes(a, "Mine.", "Mine, too.", A[2])
        assert Recordings(stranger, recordings.storage).texts(theirs) == ["Theirs."]


def test_a_server_that_never_answers_is_not_waited_for(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """After half a minute the page says so, keeps the text, and saves it once when it is tried again."""
    screen.page.clock.install()
    with screen.slow_saves() as network:
        screen.correct(0, "Mine.")
        network.holds(1)
        screen.page.clock.fast_forward(31_000)
        expect(screen.page.locator("#notices li")).to_contain_text("does not answer")
        expect(screen.sentence(0)).to_have_text("Mine.")
        network.held.clear()
        screen.button("Try again").click()
        network.holds(2)
    recordings.becomes(a, "Mine.", *A[1:])
    assert recordings.result(a)["version"] == 1


def test_an_answer_that_is_none_loses_nothing(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """A page of somebody between, in place of the server's answer, saves nothing and is not believed."""

    def cut_in(route: Route) -> None:
        if route.request.method == "PATCH":
            route.fulfill(status=200, content_type="text/html", body="<h1>Please log in to this network.</h1>")
        else:
            route.continue_()

    screen.page.route("**/tasks/*", cut_in)
    screen.correct(0, "Mine.")
    expect(screen.button("Try again")).to_be_visible()
    screen.page.unroute_all()
    screen.button("Try again").click()
    screen.has_saved()
    recordings.becomes(a, "Mine.", *A[1:])


@pytest.mark.parametrize("place", ["#transcript .said", "h1", "#history"])
def test_a_file_that_is_dropped_beside_its_field_goes_into_it(screen: Screen, a: uuid.UUID, place: str) -> None:
    """The browser does not leave the page for it, and a sentence that is being typed stays."""
    screen.type_into(0, "Half a")
    screen.page.locator(place).first.evaluate(DROP, 1)
    assert screen.page.locator("#file").evaluate("field => field.files[0].name") == "dropped0.wav"
    screen.page.locator(place).first.evaluate(DROP, 2)
    screen.says("One recording at a time")
    expect(screen.sentence(0)).to_have_text("Half a")


def test_a_job_whose_server_is_away_says_so_and_goes_on(
    screen: Screen, gateway: Gateway, recordings: Recordings, recording: Path
) -> None:
    """The page says that it tries again, and finds the job's end when the server is back."""
    screen.enter()
    claim = recordings.begin(screen.send(recording))
    gateway.stack.stop_process("api")
    try:
        screen.says("cannot be reached")
        recordings.end(claim, "Said.")
    finally:
        gateway.stack.start_process("api")
    screen.button("Open transcript").click()
    screen.sees("Said.")


def test_a_sentence_can_be_emptied_and_filled_again(screen: Screen, recordings: Recordings, a: uuid.UUID) -> None:
    """Nothing is a text, too, and there is still something to click on."""
    screen.sentence(0).click()
    screen.page.keyboard.press("Control+a")
    screen.page.keyboard.press("Delete")
    screen.page.keyboard.press("Enter")
    screen.has_saved()
    recordings.becomes(a, "", *A[1:])
    screen.correct(0, "Again.")
    recordings.becomes(a, "Again.", *A[1:])
    screen.sees("Again.", *A[1:])
