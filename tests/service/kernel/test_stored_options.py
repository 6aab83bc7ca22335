"""Options in a job's row, which another release may have written, and options of a request."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from shared.db import session
from shared.models import Job
from shared.options import WRITTEN_ALWAYS, JobOptions
from shared.stages import plan
from tests.service.gateway import Caller, Gateway, finish, gateway_with, hand_in, work_on

NEWER: dict[str, Any] = {"redact": ["names"], "style": {"case": "lower"}, "threshold": 0.5, "on": True, "nothing": None}
"""Options of a release that does not exist yet."""

HASHES: tuple[tuple[dict[str, object], dict[str, str]], ...] = (
    ({}, {"convert": "c3fce87b0708ba41", "transcribe": "fd2b862b3d2e7867", "store": "715293e40063a3ed"}),
    (
        {"language": "de", "model": "base", "mode": "accurate", "diarization": True, "num_speakers": 2},
        {"transcribe": "daef1da09939313d", "diarize": "e3f7c21c285e2d25", "store": "29320ee87c6aaf87"},
    ),
    (
        {
            "channels": "split",
            "prompt": "Anna, Bö",
            "temperature": 0.2,
            "hotwords": "x",
            "task": "translate",
            "format": "srt",
        },
        {"convert": "2a84852a79bbd900", "transcribe": "6bf23bd275113792", "store": "7346f44034103a34"},
    ),
)
"""What the answers of stages are called, for a recording of SHA-256 ab...ab, since convert, transcribe and merge are at
version 3 and diarize at 2."""


gateway = gateway_with()


def row(task_id: uuid.UUID) -> dict[str, Any]:
    with session() as work:
        return dict(work.get_one(Job, task_id).options)


def rewritten(task_id: uuid.UUID, options: dict[str, Any]) -> None:
    with session() as work:
        work.execute(update(Job).where(Job.id == task_id).values(options=options))


def test_a_newer_releases_row_is_worked_on_shown_and_repeated(gateway: Gateway, caller: Caller) -> None:
    """Options that this release does not know are passed over by claim, status, history, cancel and retry, and by the
    results of every way to ask; the known ones hold."""
    old = caller.task(language="de", format="srt")
    rewritten(old, row(old) | NEWER)
    claim = work_on(old, "convert")
    assert claim.options == JobOptions(language="de", format="srt")
    hand_in(claim, gateway.storage)
    assert caller.status(old) == "processing"
    assert caller.http.get(f"/tasks/{old}").json()["options"] == claim.options.model_dump()
    assert str(old) in caller.http.get("/history").text
    assert caller.http.post(f"/tasks/{old}/cancel").status_code == 200

    new = uuid.UUID(caller.http.post(f"/tasks/{old}/retry").raise_for_status().json()["task_id"])
    assert caller.http.get(f"/status/{new}").json()["stage"] == "transcribe"  # what was converted is not done again
    rewritten(new, row(new) | NEWER)
    for stage in ("transcribe", "merge", "store"):
        claim = work_on(new, stage)
        assert claim.options.language == "de"
        hand_in(claim, gateway.storage)
    assert caller.http.get(f"/result/{new}").text.startswith("1\n00:00:00,000 --> ")
    for path in (
        "/result/{}?format=json",
        "/transcribe/{}",
        "/transcript/{}",
        "/api/v1/status/{}",
        "/jobs/{}",
        "/tasks/{}/versions",
        "/tasks/{}/events",
    ):
        answer = caller.http.get(path.format(new))
        assert answer.status_code == 200, (path, answer.text)
    bare = new.hex  # an id as that API has them
    assert caller.http.get(f"/api/v1/status/{bare}").json()["status"] == "completed"


@pytest.mark.parametrize("row_has", [{}, {"diarization": False}, JobOptions().model_dump(), JobOptions().stored()])
def test_a_row_means_the_same_with_and_without_defaults(
    gateway: Gateway, caller: Caller, row_has: dict[str, Any]
) -> None:
    """An empty row, a whole one as 0.1 writes it, and ours are carried out and shown alike."""
    task_id = caller.task()
    rewritten(task_id, row_has)
    finish(task_id, gateway.storage)
    assert caller.http.get(f"/tasks/{task_id}").json()["options"] == JobOptions().model_dump()
    assert caller.http.get(f"/result/{task_id}").json()["text"] == "Hello there. Good day."


def test_a_new_format_is_none_that_an_older_release_cannot_read(gateway: Gateway, caller: Caller) -> None:
    """Its row says json, and beside it what this release shows; of a format newer than this one, json is left."""
    task_id = caller.task(format="md")
    assert (row(task_id)["format"], row(task_id)["new_format"]) == ("json", "md")
    finish(task_id, gateway.storage)
    assert caller.http.get(f"/tasks/{task_id}").json()["options"]["format"] == "md"
    assert caller.http.get(f"/result/{task_id}").text.startswith("# call\n")
    rewritten(task_id, row(task_id) | {"new_format": "hologram"})
    assert caller.http.get(f"/result/{task_id}").json()["text"] == "Hello there. Good day."


def test_a_row_is_written_without_defaults(caller: Caller) -> None:
    """So a release that lacks a new option reads every row that does not use it; the four that 0.1 looks up stay."""
    assert set(row(caller.task())) == WRITTEN_ALWAYS
    used = {"language": "de", "diarization": True, "num_speakers": 2, "temperature": 0.5}
    stored = row(caller.task(**{name: str(value) for name, value in used.items()}))
    assert {name: stored[name] for name in used} == used
    assert set(stored) == WRITTEN_ALWAYS | set(used)


@pytest.mark.parametrize(("options", "hashes"), HASHES)
def test_finished_stages_are_found_again(options: dict[str, Any], hashes: dict[str, str]) -> None:
    """The name of a stage's answer stays the one it was given, also for options that have been through a row."""
    job_options = JobOptions(**options)
    for variant in (
        job_options,
        JobOptions.from_row(job_options.stored()),
        JobOptions.from_row(job_options.model_dump() | NEWER),
    ):
        stage_hashes = plan("ab" * 32, variant.model_dump())
        assert {stage: stage_hashes[stage][:16] for stage in hashes} == hashes


def test_requests_may_not_have_what_nobody_knows(caller: Caller) -> None:
    """An unknown option of a form, of JSON or of an item of a batch is an error, as it always was."""
    item = {"url": "https://media.example/a.mp3"}
    answers: tuple[httpx.Response, ...] = (
        caller.submit(redact="names"),
        caller.http.post("/transcribe", json=item | {"redact": "names"}),
        caller.http.post("/transcribe/batch", json={"items": [item | {"redact": "names"}]}),
    )
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(422, "invalid_request")] * 3
    with pytest.raises(ValueError, match="redact"):
        JobOptions.model_validate({"redact": "names"})
