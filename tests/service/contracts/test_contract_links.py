"""The API of links on a real gateway: what follows a POST /transcribe with a URL."""

from __future__ import annotations

import hashlib
import os
import uuid
from typing import Any

import httpx
import pytest

from shared.db import session
from shared.errors import MediaTooLong, ParleyError, StageStalled, WorkerLost
from shared.kernel import leases
from tests.service.gateway import PATIENCE_S, Caller, Gateway, finish, gateway_with, hand_in, work_on

gateway = gateway_with()


def look(caller: Caller, job_id: uuid.UUID) -> dict[str, Any]:
    answer = caller.http.get(f"/transcribe/{job_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def fail(task_id: uuid.UUID, error: ParleyError) -> None:
    with session() as work:
        leases.fail(work, work_on(task_id, "convert"), error, max_attempts=1)


def test_a_link_is_taken_as_json(caller: Caller) -> None:
    """The answer holds the id by which the job is followed; an address that is none is `invalid_url`."""
    answer = caller.http.post("/transcribe", json={"url": "https://media.example/talk.mp3"})
    job_id = uuid.UUID(answer.json()["job_id"])
    assert look(caller, job_id)["status"] == "QUEUED"
    refused = caller.http.post("/transcribe", json={"url": "no address"})
    assert (refused.is_success, refused.json()["code"]) == (False, "invalid_url")


def test_a_complete_job_has_its_text_and_its_files(gateway: Gateway, caller: Caller) -> None:
    """COMPLETE with text and preview; transcript and sound are where the answer says, for the owner alone."""
    content = os.urandom(64)
    task_id = caller.task(content)
    hand_in(work_on(task_id, "convert"), gateway.storage)
    assert look(caller, task_id)["status"] == "PROCESSING"
    assert caller.http.get(f"/transcript/{task_id}").json()["code"] == "not_ready"
    for stage in ("transcribe", "merge", "store"):
        hand_in(work_on(task_id, stage), gateway.storage)
    digest = hashlib.sha256(content).hexdigest()
    job = look(caller, task_id)
    assert job == {
        "status": "COMPLETE",
        "job_id": str(task_id),
        "text": "Hello there. Good day.",
        "text_preview": "Hello there. Good day.",
        "audio_url": f"/files/audio/{digest}.wav",
        "transcript_url": f"/files/transcripts/{digest}.json",
    }
    transcript = caller.http.get(f"/transcript/{task_id}").json()
    assert (transcript["content_hash"], transcript["model"], transcript["text"]) == (digest, "base", job["text"])
    assert set(transcript) == {"job_id", "text", "source_url", "created_at", "model", "content_hash"}
    assert caller.http.get(job["transcript_url"]).json() == transcript
    converted = next(key for key in gateway.objects(caller) if "/convert/" in key)
    sound = caller.http.get(job["audio_url"])
    assert (sound.content, sound.headers["content-type"]) == (gateway.storage.get(converted), "audio/wav")
    stranger = gateway.caller()
    for path in (f"/transcribe/{task_id}", f"/transcript/{task_id}", job["audio_url"], job["transcript_url"]):
        assert stranger.http.get(path).status_code == 404
        assert httpx.get(gateway.url + path, timeout=PATIENCE_S).status_code == 401


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MediaTooLong("It lasts too long."), "media_too_long"),
        (StageStalled("It stood still."), "transcription_error"),
        (WorkerLost("The worker was lost."), "unexpected_error"),
    ],
)
def test_a_failed_job_has_one_of_the_codes_of_this_api(caller: Caller, error: ParleyError, code: str) -> None:
    """FAILED with code and message; our own code stays in raw_error."""
    task_id = caller.task()
    fail(task_id, error)
    job = look(caller, task_id)
    assert job == {
        "status": "FAILED",
        "job_id": str(task_id),
        "code": code,
        "message": error.message,
        "raw_error": error.code,
    }


def test_a_cancelled_job_has_failed(caller: Caller) -> None:
    """Clients that wait for COMPLETE or FAILED come to an end."""
    task_id = caller.task()
    caller.http.post(f"/tasks/{task_id}/cancel")
    assert (look(caller, task_id)["status"], look(caller, task_id)["code"]) == ("FAILED", "cancelled")


def test_failed_jobs_are_listed_and_cleared(gateway: Gateway, caller: Caller) -> None:
    """The summary counts this key's jobs; DELETE /jobs/failed removes its failed ones and no others."""
    failed, waiting = caller.task(), caller.task()
    fail(failed, MediaTooLong("It lasts too long."))
    stranger = gateway.caller()
    other = stranger.task()
    fail(other, MediaTooLong("It lasts too long."))
    summary = caller.http.get("/jobs").json()
    assert (summary["counts"]["queued"], summary["counts"]["error"], summary["stuck"]) == (1, 1, [])
    assert [entry["job_id"] for entry in summary["failed"]] == [str(failed)]
    assert caller.http.delete("/jobs/failed").json() == {"deleted": 1}
    assert caller.http.get("/jobs/all").json()["counts"]["error"] == 0
    assert caller.status(waiting) == "queued"
    assert stranger.status(other) == "error"


def test_a_job_without_a_worker_is_stuck(caller: Caller) -> None:
    """One whose lease has run out is listed until the sweep has put it right."""
    task_id = caller.task()
    claim = work_on(task_id, "convert")
    with session() as work:
        leases.heartbeat(work, claim, progress=0.1, lease_s=0)
    assert [entry["job_id"] for entry in caller.http.get("/jobs").json()["stuck"]] == [str(task_id)]


def test_only_an_admin_clears_everything(gateway: Gateway, caller: Caller) -> None:
    """DELETE /jobs/all needs the scope admin and leaves no job of any key."""
    task_id = caller.task()
    finish(task_id, gateway.storage)
    for method, path in (("DELETE", "/jobs/all"), ("POST", "/jobs/clear")):
        assert caller.http.request(method, path).status_code == 403
    admin = gateway.caller("admin")
    assert admin.http.delete("/jobs/all").json()["deleted"] >= 1
    assert caller.http.get(f"/status/{task_id}").status_code == 404
    assert admin.http.post("/jobs/clear").json() == {"deleted": 0}
