"""Sending: many files at once, folders, addresses, and only what the server can do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import func, update

from shared.db import session
from shared.kernel import fleet
from shared.models import Worker
from tests.page.recordings import Recordings, noise
from tests.page.screen import Screen

DROP = """(target, names) => {
    const files = new DataTransfer();
    for (const name of names) files.items.add(new File(["noise " + name], name, { lastModified: 1 }));
    for (const name of ["dragenter", "dragover", "drop"]) {
        const event = new DragEvent(name, { dataTransfer: files, bubbles: true, cancelable: true });
        if (target.dispatchEvent(event) && name === "drop") throw new Error("the browser would open the file");
    }
}"""


def test_many_files_go_at_once(screen: Screen, recordings: Recordings, tmp_path: Path) -> None:
    """Each with the options that were chosen, and they are in the list at the end (fault 9)."""
    paths = [noise(tmp_path / f"n{number}.wav") for number in range(4)]
    screen.enter("#/send")
    screen.choose(*paths)
    expect(screen.page.get_by_text("4 files")).to_be_visible()
    screen.button("Remove n3.wav").click()
    screen.page.get_by_role("combobox", name="Language", exact=True).select_option("German")
    screen.page.get_by_label("Number of speakers").fill("3")
    screen.page.get_by_text("More options").click()
    screen.page.get_by_label("Tags", exact=True).fill("north, interview")
    screen.page.get_by_label("Delete after so many days").fill("2")
    screen.button("Add 3 recordings to queue").click()
    expect(screen.rows()).to_have_count(3)
    expect(screen.page.get_by_text("Sending")).to_have_count(0)
    tasks = recordings.details(3)
    assert {one["file"]["name"] for one in tasks} == {"n0.wav", "n1.wav", "n2.wav"}
    for one in tasks:
        options = one["options"]
        assert (options["language"], options["diarization"], options["num_speakers"]) == ("de", True, 3)
        assert one["tags"] == ["north", "interview"]
    screen.page.get_by_role("link", name="Add recordings").first.click()
    expect(screen.page.get_by_role("combobox", name="Language", exact=True)).to_have_value("de")  # as it was used last


def test_what_is_done_before_it_was_seen_is_said(screen: Screen, recordings: Recordings, recording: Path) -> None:
    """A recording that was sent before is done at once: the stream of events tells its end and nothing before."""
    screen.enter()
    recordings.end(recordings.begin(screen.send(recording)), "Said.")
    screen.load("")
    again = screen.send(recording)
    assert recordings.caller.status(again) == "done"
    screen.says("“meeting.wav” is done.")


def test_presets_set_what_their_names_say(screen: Screen, recordings: Recordings, recording: Path) -> None:
    """A call's channels are its speakers, subtitles have the times of words."""
    screen.enter("#/send")
    screen.page.get_by_label("Call, two channels").check()
    expect(screen.page.get_by_label("Identify speakers")).to_be_hidden()
    screen.choose(recording)
    screen.button("Add to queue").click()
    [call] = recordings.details(1)
    assert (call["options"]["channels"], call["options"]["diarization"]) == ("split", False)
    screen.page.get_by_role("link", name="Add recordings").first.click()
    screen.page.get_by_label("Subtitles").check()
    screen.page.get_by_label("Audio or page URL").fill("https://media.example/film.mp4")
    screen.button("Add to queue").click()
    film = recordings.details(2)[-1]
    assert (film["options"]["format"], film["options"]["timestamp_granularity"]) == ("srt", "word")


def test_addresses_are_taken_by_line(screen: Screen, recordings: Recordings) -> None:
    """One that is none stays, with what to do; the others go (faults 9 and 17)."""
    screen.enter("#/send")
    screen.page.get_by_label("Audio or page URL").fill(
        "https://media.example/1.mp3\n\nnot an address\nhttps://media.example/2.mp3"
    )
    screen.button("Add 3 recordings to queue").click()
    expect(screen.rows()).to_have_count(2)
    wrong = screen.page.get_by_role("listitem").filter(has_text="not an address")
    expect(wrong).to_contain_text("This is no URL of a recording")
    wrong.get_by_role("button", name="Remove").click()
    expect(wrong).to_be_hidden()
    assert {one["file"]["url"] for one in recordings.details(2)} == {
        "https://media.example/1.mp3",
        "https://media.example/2.mp3",
    }


def test_all_options_reach_the_server(screen: Screen, recordings: Recordings) -> None:
    """Several languages, script, track, length of a live stream, terms, times."""
    screen.enter("#/send")
    page = screen.page
    page.get_by_label("Audio or page URL").fill("https://media.example/live")
    page.get_by_role("combobox", name="Language", exact=True).select_option("Several languages…")
    page.get_by_label("Languages that may be spoken").fill("German, Chinese")
    page.get_by_text("More options").click()
    page.get_by_label("Chinese text in").select_option("Traditional characters (Taiwan)")
    page.get_by_label("At least so many speakers").fill("2")
    page.get_by_label("At most so many speakers").fill("4")
    page.get_by_label("Audio track of a video").fill("2")
    page.get_by_label("Minutes to record of a live stream").fill("5")
    page.get_by_label("Names and terms").fill("Parley, Kowalczyk")
    page.get_by_label("Text that shows the spelling").fill("So it goes.")
    page.get_by_label("Temperature").fill("0.2")
    page.get_by_label("Priority").select_option("Before my other recordings")
    page.get_by_label("Your own name or number").fill("case-17")
    screen.button("Add to queue").click()
    [task] = recordings.details(1)
    expected = {
        "languages": "de,zh", "script": "Hant", "min_speakers": 2, "max_speakers": 4, "track": 2, "max_duration": 300,
        "hotwords": "Parley, Kowalczyk", "prompt": "So it goes.", "temperature": 0.2,
    }  # fmt: skip
    assert {name: task["options"].get(name) for name in expected} == expected
    assert (task["priority"], task["reference"]) == ("interactive", "case-17")


@pytest.mark.parametrize("place", ["#/send", "#/usage"])
def test_files_that_are_dropped_anywhere_are_taken(screen: Screen, place: str) -> None:
    """The browser does not leave the page for them (fault 10)."""
    screen.enter(place)
    screen.page.locator("body").evaluate(DROP, ["one.wav", "two.wav"])
    expect(screen.page.get_by_role("heading", level=1)).to_have_text("Add recordings")
    expect(screen.page.get_by_text("2 files")).to_be_visible()
    screen.page.locator("body").evaluate(DROP, ["one.wav"])
    expect(screen.page.get_by_text("2 files")).to_be_visible()


def test_a_folder_is_taken_with_what_is_in_it(screen: Screen, recordings: Recordings, tmp_path: Path) -> None:
    """Files of the system stay out."""
    for name in ("a.wav", "b.wav", ".DS_Store"):
        (tmp_path / "tapes").mkdir(exist_ok=True)
        noise(tmp_path / "tapes" / name)
    screen.enter("#/send")
    screen.page.get_by_label("Choose a folder").set_input_files(tmp_path / "tapes")
    expect(screen.page.get_by_text("tapes/a.wav")).to_be_visible()
    screen.button("Add 2 recordings to queue").click()
    assert {one["file"]["name"] for one in recordings.details(2)} == {"a.wav", "b.wav"}


@pytest.fixture
def one_model(screen: Screen) -> Iterator[None]:
    """A worker that has weights of one model."""
    with session() as work:
        fleet.show(work, "asr@page", ["asr"], 1, deaf=False, stock=fleet.Stock(["base"], ["base"]))
        moment = func.now() + func.make_interval(0, 0, 0, 1)  # however long the page takes to ask
        work.execute(update(Worker).where(Worker.name == "asr@page").values(seen_at=moment))
    yield
    with session() as work:
        fleet.leave(work, "asr@page")


@pytest.mark.usefixtures("one_model")
def test_only_models_that_are_installed_are_offered(screen: Screen) -> None:
    """Nobody sends a recording for a model that no worker has (fault 11)."""
    screen.enter("#/send")
    screen.page.get_by_text("More options").click()
    options = screen.page.get_by_label("Model").locator("option")
    expect(options).to_have_text(["The server's default", "base"])


def test_nothing_is_sent_where_nothing_was_chosen(screen: Screen) -> None:
    """And the page says what is missing."""
    screen.enter("#/send")
    screen.button("Add to queue").click()
    expect(screen.page.get_by_role("alert")).to_have_text("Choose a file, or enter a URL.")


def test_an_empty_file_is_refused_with_a_reason(screen: Screen, tmp_path: Path) -> None:
    """It stays in the queue until it is removed, and is sent nowhere."""
    (tmp_path / "empty.wav").touch()
    screen.enter("#/send")
    screen.choose(tmp_path / "empty.wav")
    screen.button("Add to queue").click()
    row = screen.page.get_by_role("listitem").filter(has_text="empty.wav")
    expect(row).to_contain_text("Not sent")
    expect(row).to_contain_text("The file is empty.")
