"""A researcher with many interviews: sent together, followed, searched as one, corrected, and saved as one file."""

from __future__ import annotations

import uuid
import zipfile
from pathlib import Path

from playwright.sync_api import expect

from tests.page.recordings import Recordings, noise
from tests.page.screen import Screen
from tests.page.transcript.paper import Paper
from tests.page.transcript.spoken import listen, transcript

COUNT = 5
PLACE = 40
SECOND = 2 * PLACE + 3 * 0.25
"""Of the fourth word there; each of the six takes a quarter of a second."""

QUOTED = "Nobody mends the lighthouse any more."


def interview(number: int) -> list[str]:
    """Two minutes of an interview; the third has the quote in its second 80."""
    texts = [f"Sentence {n} of interview {number}." for n in range(60)]
    if number == 3:
        texts[PLACE] = QUOTED
    return texts


def test_a_researcher_works_with_many_interviews(screen: Screen, recordings: Recordings, tmp_path: Path) -> None:
    """A folder goes with one preset and tag, each row shows its end, a quote is found in all of them and opened at its
    second, a speaker is named, words are corrected, and all transcripts come in one archive."""
    page, paper = screen.page, Paper(screen)
    names = [f"interview-{number}.wav" for number in range(1, COUNT + 1)]
    (tmp_path / "interviews").mkdir()
    for name in names:
        noise(tmp_path / "interviews" / name)
    screen.enter()
    page.get_by_role("link", name="Add recordings").first.click()
    page.get_by_label("Choose a folder").set_input_files(tmp_path / "interviews")
    page.get_by_role("radio", name="Interview").check()
    page.get_by_text("More options").click()
    page.get_by_label("Tags", exact=True).fill("lighthouses")
    screen.button(f"Add {COUNT} recordings to queue").click()

    expect(screen.rows()).to_have_count(COUNT)
    tasks = {one["file"]["name"]: uuid.UUID(one["task_id"]) for one in recordings.details(COUNT)}
    assert set(tasks) == set(names)
    for number, name in enumerate(names, 1):
        expect(screen.row(name)).to_contain_text("Waiting")
        listen(recordings, tasks[name], transcript(interview(number)), sound_s=90.0 if number == 3 else 0)
        expect(screen.row(name)).to_contain_text("Done")

    screen.search("lighthouse")
    expect(screen.rows()).to_have_count(1)
    screen.row("interview-3.wav").get_by_role("link", name="lighthouse").last.click()
    expect(paper.sentence(PLACE)).to_be_in_viewport()
    screen.until(f"Math.abs(document.querySelector('audio')?.currentTime - {SECOND}) < 0.1")

    paper.correct(PLACE, "Nobody minds the lighthouse any more.")
    speakers = paper.panel("Speakers")
    speakers.get_by_role("button", name="Rename Speaker 1 everywhere").click()
    speakers.get_by_role("textbox").fill("Keeper")
    speakers.get_by_role("textbox").press("Enter")
    paper.has_saved()

    page.get_by_role("link", name="Recordings", exact=True).click()
    screen.row("interview-1.wav").get_by_role("link", name="lighthouses").click()
    expect(screen.rows()).to_have_count(COUNT)
    page.get_by_label("Select all").check()
    page.get_by_label("Format").select_option("md")
    with page.expect_download() as download:
        screen.button("Download").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {name.replace("wav", "md") for name in names}
        third = archive.read("interview-3.md").decode()
    assert "Nobody minds the lighthouse any more." in third and "Keeper" in third
    assert third == recordings.caller.http.get(f"/result/{tasks['interview-3.wav']}", params={"format": "md"}).text
