"""A stage is its record and its function: one that these tests add runs in every job, and no table has to know it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from scripts.bench.soak.caller import noise
from scripts.local.apps import API, App, worker
from shared.stages import STAGES, shows_words
from tests.faults.rig import Rig, start

REDACTED = "[redacted]"
PATIENCE_S = 60


def knowing(app: App) -> App:
    """The app with the stage of redaction.py."""
    return replace(app, arguments=("tests.service.kernel.redaction", *app.arguments))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    apps = (knowing(API), knowing(worker("all", "io,cpu,asr,diarize", concurrency=1, threads=1)))
    with start(tmp_path_factory.mktemp("redaction"), apps, sleeper_seconds=3) as running:
        yield running


def test_a_job_goes_through_it(rig: Rig) -> None:
    """The task's status lists it with its progress, and the result is what it made."""
    task, events = followed(rig.caller.http)
    detail = rig.caller.http.get(f"/tasks/{task}").json()
    assert [stage["name"] for stage in detail["stages"]] == [
        "download",
        "convert",
        "transcribe",
        "diarize",
        "merge",
        "redact",
        "store",
    ]
    redaction = detail["stages"][-2]
    assert (redaction["state"], redaction["progress"]) == ("done", 1.0)
    assert rig.caller.http.get(f"/result/{task}").json()["segments"][0]["text"] == REDACTED
    assert (events[-1]["id"], events[-1]["status"]) == ("end", "done")


def test_followers_never_see_what_it_takes_out(rig: Rig) -> None:
    """A follower from the first moment on is shown no word that was recognised."""
    _, events = followed(rig.caller.http)
    assert not [event for event in events if event["event"] == "segment"]
    assert (events[-1]["id"], events[-1]["status"]) == ("end", "done")


def test_words_are_shown_where_nothing_changes_them() -> None:
    """Without a later stage that writes words, followers see those of speech recognition, and of no other stage."""
    options = {"diarization": True}
    assert [name for name in STAGES if shows_words(name, options)] == ["transcribe"]


def followed(http: httpx.Client) -> tuple[str, list[dict[str, object]]]:
    """A fresh task, and all that a follower of it was told until its end."""
    answer = http.post("/transcribe", files={"file": ("call.wav", noise())})
    assert answer.status_code == 202, answer.text
    task = str(answer.json()["task_id"])
    lines = {"Accept": "application/x-ndjson"}
    with http.stream("GET", f"/tasks/{task}/events", headers=lines, timeout=PATIENCE_S) as stream:
        return task, [json.loads(line) for line in stream.iter_lines() if line.strip()]
