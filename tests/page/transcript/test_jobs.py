"""Recordings that are worked on while another one is read: each has its own view."""

from __future__ import annotations

import os
import uuid

from playwright.sync_api import expect

from tests.page.late import late_answer
from tests.page.recordings import Recordings
from tests.page.transcript.paper import Paper

A = ("First of A.", "Second of A.")


def submitted(recordings: Recordings) -> uuid.UUID:
    answer = recordings.caller.http.post(
        "/transcribe", files={"file": ("job.wav", os.urandom(64))}, data={"diarization": "true"}
    )
    return uuid.UUID(answer.json()["task_id"])


def test_a_job_adds_nothing_to_another_transcript_and_its_end_moves_nothing(
    paper: Paper, recordings: Recordings, a: uuid.UUID
) -> None:
    """While a sentence of A is typed a job speaks and ends: A and the caret in it stay, and a line says it is done."""
    task = submitted(recordings)
    claim = recordings.begin(task)
    with paper.page.expect_response("**/events"):  # whose beginning tells of the job: its end is news from then on
        paper.page.reload()
    paper.type_into(0, "Still ")
    recordings.hear(claim, "Live one.", "Live two.")
    recordings.end(claim, "Live one.", "Live two.")
    paper.screen.says("job.wav")
    paper.page.keyboard.type("typing.")
    assert str(a) in paper.page.url
    paper.page.keyboard.press("Enter")
    paper.sees("Still typing.", A[1])
    recordings.becomes(a, "Still typing.", A[1])
    assert recordings.texts(task) == ["Live one.", "Live two."]


def test_a_running_job_shows_its_text_in_its_own_view_and_waits_to_be_opened(
    paper: Paper, recordings: Recordings
) -> None:
    """The text so far grows; at the end it stays, and a button opens the transcript."""
    task = submitted(recordings)
    claim = recordings.begin(task)
    paper.screen.go(f"#/transcript/{task}")
    expect(paper.page.get_by_role("progressbar")).to_be_visible()
    recordings.hear(claim, "Live one.", "Live two.")
    so_far = paper.page.locator("main ol > li")
    expect(so_far).to_have_count(2)
    expect(so_far.last).to_contain_text("Live two.")
    recordings.end(claim, "Live one.", "Live two, in full.")
    expect(paper.button("Open transcript")).to_be_visible()
    expect(so_far).to_have_count(2)
    paper.button("Open transcript").click()
    paper.sees("Live one.", "Live two, in full.")


def test_an_end_before_the_screen_knows_how_the_job_stands_is_not_missed(paper: Paper, recordings: Recordings) -> None:
    """On a slow line the answer comes behind the end of the job, which the stream tells once."""
    task = submitted(recordings)
    claim = recordings.begin(task)
    with late_answer(paper.screen, f"**/tasks/{task}") as late:
        paper.screen.go(f"#/transcript/{task}")
        late.is_written()
        recordings.end(claim, "Live one.", "Live two.")
        paper.sees("Live one.", "Live two.")
        late.comes()
        paper.sees("Live one.", "Live two.")
