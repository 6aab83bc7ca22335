"""A job that goes on and ends beside a recording that is read or edited."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.recordings import Recordings
from tests.browser.screen import Screen

A = tuple(f"Sentence {number} of A." for number in range(40))
NEW = ("First of the new one.", "Second of the new one.")


def test_a_sentence_that_is_typed_while_a_job_ends_is_saved_where_it_was_typed(
    screen: Screen, recordings: Recordings, a: uuid.UUID, recording: Path
) -> None:
    """The end of the job takes neither the sentence nor the caret away, and Enter saves it into its own recording."""
    task = screen.send(recording)
    claim = recordings.begin(task)
    screen.open("a.wav", A[0])
    screen.type_into(0, "Typed while")
    recordings.end(claim, *NEW)
    screen.says("“meeting.wav” is done.")
    screen.page.keyboard.type(" the job ended.")
    screen.page.keyboard.press("Enter")
    screen.has_saved()
    assert recordings.texts(a) == ["Typed while the job ended.", *A[1:]]
    assert recordings.texts(task) == list(NEW)
    screen.button("Open transcript").click()
    screen.sees(*NEW)
    expect(screen.button("Open transcript")).to_have_count(0)


def test_live_text_stays_out_of_the_transcript_that_is_open(
    screen: Screen, recordings: Recordings, a: uuid.UUID, recording: Path
) -> None:
    """What is recognised goes to the job's own view, which a button brings up and an opened recording hides."""
    task = screen.send(recording)
    claim = recordings.begin(task)
    screen.open("a.wav", A[0])
    recordings.hear(claim, "Live one.")
    screen.button("Show text so far").click()
    expect(screen.page.locator("#transcript .turn")).to_have_text(["00:00 Live one."])
    screen.open("a.wav", A[0])
    recordings.hear(claim, "Live one.", "Live two.")
    screen.page.wait_for_timeout(1500)
    screen.sees(*A)
    assert "Live" not in screen.page.locator("#transcript").inner_text()
    screen.button("Show text so far").click()
    expect(screen.page.locator("#transcript .turn")).to_have_text(["00:00 Live one.", "00:02 Live two."])
    recordings.end(claim, *NEW)
    screen.button("Open transcript").click()
    screen.sees(*NEW)


def test_a_job_that_is_started_and_ends_moves_nothing(
    screen: Screen, recordings: Recordings, a: uuid.UUID, recording: Path
) -> None:
    """Neither its start, nor its text, nor its end scrolls what is read, at the top and in the middle."""
    for number in (0, 30):
        screen.page.mouse.wheel(0, -100_000)
        screen.sentence(number).scroll_into_view_if_needed()
        screen.page.wait_for_timeout(300)
        before = screen.top(screen.sentence(number))
        scrolled = screen.page.evaluate("scrollY")
        recording.write_bytes(uuid.uuid4().bytes * 8)
        screen.page.get_by_label("Recording", exact=True).set_input_files(recording)
        earlier = recordings.caller.newest()
        screen.page.locator("#form").evaluate("form => form.requestSubmit()")
        claim = recordings.begin(recordings.newer_than(earlier))
        recordings.hear(claim, "Live one.")
        expect(screen.button("Show text so far")).to_be_visible()
        recordings.end(claim, *NEW)
        expect(screen.button("Open transcript")).to_have_count(1 + (number > 0))
        screen.page.wait_for_timeout(500)
        assert (screen.top(screen.sentence(number)), screen.page.evaluate("scrollY")) == (before, scrolled)
        screen.sees(*A)


def test_the_lines_of_a_job_cover_no_sentence_that_is_being_typed(
    screen: Screen, recordings: Recordings, a: uuid.UUID, recording: Path
) -> None:
    """A sentence at the window's lower edge is moved out from behind them, and typed on."""
    screen.page.get_by_label("Recording", exact=True).set_input_files(recording)
    screen.type_into(20, "Half a")
    assert screen.page.viewport_size
    box, window = screen.box(screen.sentence(20)), screen.page.viewport_size["height"]
    screen.page.evaluate("distance => scrollBy(0, distance)", box["y"] + box["height"] + 2 - window)
    screen.page.locator("#form").evaluate("form => form.requestSubmit()")
    recordings.end(recordings.begin(recordings.newer_than(a)), *NEW)
    expect(screen.button("Open transcript")).to_be_visible()
    screen.page.wait_for_timeout(500)
    box = screen.box(screen.sentence(20))
    assert box["y"] > 0 and box["y"] + box["height"] <= screen.top(screen.page.locator(".news")) < window
    screen.page.keyboard.type(" sentence.")
    screen.page.keyboard.press("Enter")
    screen.has_saved()
    assert recordings.texts(a)[20] == "Half a sentence."


def test_the_live_text_that_is_read_stays_when_the_job_ends(
    screen: Screen, recordings: Recordings, recording: Path
) -> None:
    """The job's end is said beside it, and the transcript comes when it is asked for."""
    screen.enter()
    task = screen.send(recording)
    claim = recordings.begin(task)
    recordings.hear(claim, "Live one.")
    expect(screen.page.locator("#transcript .turn")).to_have_text(["00:00 Live one."])
    recordings.end(claim, *NEW)
    screen.says("“meeting.wav” is done.")
    expect(screen.page.locator("#transcript .turn")).to_have_text(["00:00 Live one."])
    screen.button("Open transcript").click()
    screen.sees(*NEW)


@pytest.mark.parametrize("end", ["cancelled", "failed", "deleted"])
def test_a_job_that_ends_otherwise_says_so_and_takes_nothing_away(
    screen: Screen, recordings: Recordings, a: uuid.UUID, recording: Path, end: str
) -> None:
    """A job that is cancelled, fails or is deleted leaves the half-typed sentence of another recording in its field."""
    if end == "failed":
        recording.write_bytes(b"")
    screen.page.get_by_label("Recording", exact=True).set_input_files(recording)
    screen.type_into(0, "Half a")
    screen.page.locator("#form").evaluate("form => form.requestSubmit()")
    if end == "failed":
        screen.says("empty")
    else:
        task = recordings.newer_than(a)
        call = ("POST", f"/tasks/{task}/cancel") if end == "cancelled" else ("DELETE", f"/tasks/{task}")
        assert recordings.caller.http.request(*call).is_success
        screen.says(f"“meeting.wav” was {end}.")
    screen.page.keyboard.type(" sentence.")
    screen.page.keyboard.press("Enter")
    screen.has_saved()
    assert recordings.texts(a)[0] == "Half a sentence."


def test_the_list_that_is_read_stays_when_a_job_ends(screen: Screen, recordings: Recordings, recording: Path) -> None:
    """Earlier recordings that were asked for with "More" are still there, and the new one is on top."""
    for number in range(12):
        recordings.finished(f"{number}.wav", "Said.")
    screen.enter()
    screen.button("More").click()
    expect(screen.page.locator("#history li")).to_have_count(12)
    claim = recordings.begin(screen.send(recording))
    screen.entry("0.wav").focus()
    recordings.end(claim, *NEW)
    expect(screen.page.locator("#history li")).to_have_count(13)
    expect(screen.page.locator("#history li").first).to_contain_text("meeting.wav")
    expect(screen.entry("0.wav")).to_be_focused()


def test_what_was_searched_for_stays_when_a_job_ends(screen: Screen, recordings: Recordings, recording: Path) -> None:
    """A list of hits is about the same words afterwards."""
    recordings.finished("a.wav", "A delay.")
    recordings.finished("b.wav", "Nothing.")
    screen.enter()
    screen.page.get_by_label("Words that were said").fill("delay")
    screen.page.get_by_label("Words that were said").press("Enter")
    expect(screen.page.locator("#history li")).to_have_count(1)
    recordings.end(recordings.begin(screen.send(recording)), *NEW)
    expect(screen.button("Open transcript")).to_be_visible()
    screen.page.wait_for_timeout(500)
    expect(screen.page.locator("#history li")).to_have_count(1)
    expect(screen.entry("a.wav")).to_be_visible()


def test_each_job_that_has_ended_can_be_opened(screen: Screen, recordings: Recordings, recording: Path) -> None:
    """Two jobs that end one after another have a line each, which opens its own transcript and goes with it."""
    screen.enter()
    for name in ("one", "two"):
        path = recording.with_name(f"{name}.wav")
        path.write_bytes(uuid.uuid4().bytes)
        recordings.end(recordings.begin(screen.send(path)), f"Said in {name}.")
        screen.says(f"“{name}.wav” is done.")
    screen.button("Open transcript").first.click()
    screen.sees("Said in one.")
    expect(screen.page.locator("#player")).to_be_visible()
    assert "“two.wav” is done." in screen.page.locator("#notices").inner_text()
    screen.open("two.wav", "Said in two.")
    expect(screen.button("Open transcript")).to_have_count(0)


def test_a_recording_can_be_played_after_another_one_was_sent(
    screen: Screen, recordings: Recordings, recording: Path
) -> None:
    """The player of the transcript that is open keeps its recording."""
    screen.enter()
    recordings.end(recordings.begin(screen.send(recording)), *NEW)
    screen.button("Open transcript").click()
    screen.sees(*NEW)
    source = screen.page.locator("#player").get_attribute("src")
    other = recording.with_name("other.wav")
    other.write_bytes(uuid.uuid4().bytes)
    screen.send(other)
    assert screen.page.locator("#player").get_attribute("src") == source
    loads = """player => new Promise((resolve, reject) => {
        player.onloadedmetadata = () => resolve(player.duration);
        player.onerror = () => reject(player.error);
        player.load();
    })"""
    assert screen.page.locator("#player").evaluate(loads) == 0.5


def test_the_transcript_that_is_deleted_is_the_one_that_was_shown_when_the_person_agreed(
    screen: Screen, recordings: Recordings, a: uuid.UUID
) -> None:
    """Another recording that is opened while the first is being erased is neither erased nor closed."""
    b = recordings.finished("b.wav", "First of B.", "Second of B.")
    screen.page.reload()
    screen.open("a.wav", A[0])
    held = []
    screen.page.route("**/tasks/*", lambda route: held.append(route))
    screen.button("Delete").click()
    screen.open("b.wav", "First of B.")
    for route in held:
        route.continue_()
    screen.page.unroute_all()
    screen.says("Deleted")
    screen.sees("First of B.", "Second of B.")
    assert recordings.caller.http.get(f"/result/{a}").status_code == 404
    assert recordings.texts(b) == ["First of B.", "Second of B."]
    expect(screen.entry("a.wav")).to_have_count(0)
    assert "a.wav" in screen.dialogs[0]
