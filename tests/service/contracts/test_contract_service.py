"""Service v1 (/api/v1) on a real gateway: waiting, jobs, and the rule by which a request is one of tasks."""

from __future__ import annotations

import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from scripts.local.stack import Stack
from shared.config import Settings
from shared.db import session
from shared.errors import NoAudio
from shared.kernel import leases
from shared.storage import storage_of
from tests.service.gateway import Caller, Gateway, eventually, finish, gateway_on, gateway_with, hand_in, work_on

V1 = "/api/v1"


gateway = gateway_with()


def post(caller: Caller, path: str, content: bytes = b"", /, **fields: str) -> httpx.Response:
    return caller.http.post(V1 + path, files={"file": ("call.wav", content or os.urandom(64))}, data=fields)


def status(caller: Caller, job_id: str) -> dict[str, Any]:
    return dict(caller.http.get(f"{V1}/status/{job_id}").json())


def only_task(caller: Caller) -> uuid.UUID | None:
    items = caller.http.get("/history").json()["items"]
    return uuid.UUID(items[0]["task_id"]) if items else None


# ---- waiting


def test_a_transcript_is_waited_for(gateway: Gateway, caller: Caller) -> None:
    """The answer holds text, language with its probability, segments with words, and the time that it took."""
    with ThreadPoolExecutor() as pool:
        call = pool.submit(post, caller, "/transcribe", language="en", timestamp_granularity="word")
        finish(eventually(lambda: only_task(caller), "the task"), gateway.storage)
        answer = call.result()
    body = answer.json()
    assert (answer.status_code, body["text"], body["language"]) == (200, "Hello there. Good day.", "en")
    assert (body["language_probability"], body["duration"]) == (0.98, 2.0)
    assert body["processing_time"] > 0
    assert body["segments"][0]["confidence"] == 0.9
    first = {"word": "Hello", "start": 0.0, "end": 0.4, "confidence": 0.9, "speaker": "spk_1"}
    assert body["segments"][0]["words"][0] == first


def test_the_answer_has_the_format_asked_for(gateway: Gateway, caller: Caller) -> None:
    """srt, vtt and text come as they are."""
    content = os.urandom(64)
    finish(caller.task(content), gateway.storage)
    srt = post(caller, "/transcribe", content, response_format="srt")
    assert (srt.status_code, srt.headers["content-type"]) == (200, "application/x-subrip; charset=utf-8")
    assert post(caller, "/transcribe", content, response_format="vtt").text.startswith("WEBVTT")
    assert "Good day." in post(caller, "/transcribe", content, response_format="text").text


def test_a_wait_that_is_too_long_ends_with_the_job(
    servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After CONTRACT_WAIT_S the answer is 202 and where to ask."""
    home = tmp_path_factory.mktemp("hasty")
    with gateway_on(servers, home, storage_of(environment), CONTRACT_WAIT_S="0.5") as hasty:
        caller = hasty.caller()
        answer = post(caller, "/transcribe")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert answer.json()["status_url"] == f"{V1}/status/{answer.json()['job_id']}"


# ---- jobs


def test_a_job_is_polled_until_it_is_completed(gateway: Gateway, caller: Caller) -> None:
    """pending, processing, completed; the transcript is in the status then."""
    answer = post(caller, "/transcribe-async", language="en")
    job_id = answer.json()["job_id"]
    assert (answer.status_code, answer.json()["status"], answer.json()["estimated_time"]) == (202, "pending", None)
    first = status(caller, job_id)
    assert (first["job_id"], first["status"], first["result"]) == (job_id, "pending", None)
    hand_in(work_on(uuid.UUID(job_id), "convert"), gateway.storage)
    assert status(caller, job_id)["status"] == "processing"
    for stage in ("transcribe", "merge", "store"):
        hand_in(work_on(uuid.UUID(job_id), stage), gateway.storage)
    last = status(caller, job_id)
    assert (last["status"], last["progress"], last["error"]) == ("completed", 100, None)
    assert last["result"]["text"] == "Hello there. Good day."
    assert last["completed_at"] > last["created_at"]


def test_a_failed_job_says_why(caller: Caller) -> None:
    """`failed`, with a message for people and a code for programs."""
    job_id = post(caller, "/transcribe-async").json()["job_id"]
    with session() as work:
        leases.fail(work, work_on(uuid.UUID(job_id), "convert"), NoAudio("Nothing can be heard."), max_attempts=1)
    job = status(caller, job_id)
    assert (job["status"], job["error"], job["error_code"]) == ("failed", "Nothing can be heard.", "no_audio")


def test_jobs_are_listed_by_status(gateway: Gateway, caller: Caller) -> None:
    """The filter takes the words of this API; a page leads to the next."""
    job_ids = [post(caller, "/transcribe-async").json()["job_id"] for _ in range(3)]
    finish(uuid.UUID(job_ids[0]), gateway.storage)
    listing = caller.http.get(f"{V1}/jobs", params={"status": "completed"}).json()
    assert [job["job_id"] for job in listing["jobs"]] == job_ids[:1]
    page = caller.http.get(f"{V1}/jobs", params={"status": "pending", "limit": 1}).json()
    rest = caller.http.get(f"{V1}/jobs", params={"status": "pending", "cursor": page["next_cursor"]}).json()
    assert [job["job_id"] for job in page["jobs"] + rest["jobs"]] == job_ids[:0:-1]
    assert caller.http.get(f"{V1}/jobs", params={"status": "sleeping"}).status_code == 422


def test_jobs_are_cancelled_and_deleted(gateway: Gateway, caller: Caller) -> None:
    """Cancelling stops a job, deleting leaves nothing of it; another key can do neither."""
    job_id = post(caller, "/transcribe-async").json()["job_id"]
    stranger = gateway.caller()
    assert stranger.http.get(f"{V1}/status/{job_id}").status_code == 404
    assert stranger.http.post(f"{V1}/jobs/{job_id}/cancel").status_code == 404
    assert stranger.http.delete(f"{V1}/jobs/{job_id}").status_code == 404
    assert caller.http.post(f"{V1}/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    assert status(caller, job_id)["status"] == "cancelled"
    assert caller.http.delete(f"{V1}/jobs/{job_id}").json()["deleted"] is True
    assert caller.http.get(f"{V1}/status/{job_id}").status_code == 404
    assert gateway.objects(caller) == set()


def test_a_request_with_a_key_makes_one_job(caller: Caller) -> None:
    """Idempotency-Key works as on our own paths: the same job again, and 409 for another request."""
    headers = {"Idempotency-Key": "once"}
    first, again, other = (
        caller.http.post(f"{V1}/transcribe-async", files={"file": content}, headers=headers)
        for content in (b"one", b"one", b"two")
    )
    assert first.json()["job_id"] == again.json()["job_id"]
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


def test_the_catalogue_is_ours(caller: Caller) -> None:
    """Models and languages are those of /models and /languages."""
    for path in ("/models", "/languages"):
        assert caller.http.get(V1 + path).json() == caller.http.get(path).json()


# ---- the rule


@pytest.mark.parametrize("field", [{"lang": "auto"}, {"format": "json"}, {"diarization": "true"}])
def test_a_form_of_tasks_is_answered_at_once(gateway: Gateway, caller: Caller, field: dict[str, str]) -> None:
    """`lang`, `format` or `diarization` make it a task, whose id has dashes and whose status has the words of tasks."""
    answer = post(caller, "/transcribe", model="base", **field)
    task_id = answer.json()["task_id"]
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    task = status(caller, task_id)
    assert (task["task_id"], task["status"], task["eta_seconds"]) == (task_id, "queued", None)
    finish(uuid.UUID(task_id), gateway.storage, diarization="diarization" in field)
    assert status(caller, task_id)["status"] == "done"
    result = caller.http.get(answer.json()["result_url"]).json()
    assert answer.json()["result_url"] == f"{V1}/result/{task_id}"
    assert (result["status"], result["full_text"]) == ("done", "Hello there. Good day.")
