"""The API of clips on a real gateway."""

from __future__ import annotations

import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from shared.db import session
from shared.errors import NoAudio
from shared.kernel import leases
from tests.service.gateway import NOTHING, Caller, Gateway, eventually, finish, gateway_with, work_on

gateway = gateway_with()


def upload(caller: Caller, content: bytes = b"") -> str:
    answer = caller.http.post("/api/audio", files={"file": ("interview.mp3", content or os.urandom(64))})
    assert answer.status_code == 200, answer.text
    assert (set(answer.json()), answer.json()["message"]) == ({"clip_id", "message"}, "File uploaded successfully.")
    return str(answer.json()["clip_id"])


def the_task(caller: Caller) -> uuid.UUID:
    """The one that waits."""

    def latest() -> Any:
        return caller.http.get("/history", params={"status": "queued"}).json()["items"]

    return uuid.UUID(eventually(latest, "a task")[0]["task_id"])


def transcribe(gateway: Gateway, caller: Caller, clip_id: str, **query: str) -> httpx.Response:
    """The answer, with the workers' part done meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.http.post, "/api/transcribe", params={"clip_id": clip_id, **query})
        finish(the_task(caller), gateway.storage, diarization=query.get("diarize") != "false")
        return waiting.result()


def test_a_clip_is_uploaded_and_transcribed(gateway: Gateway, caller: Caller) -> None:
    """Upload, transcribe by the id, and again without waiting; each segment says who spoke when."""
    clip_id = upload(caller)
    answer = transcribe(gateway, caller, clip_id)
    assert answer.json() == {
        "segments": [
            {"speaker": "SPEAKER_01", "start": 0.0, "end": 1.0, "text": "Hello there."},
            {"speaker": "SPEAKER_02", "start": 1.2, "end": 2.0, "text": "Good day."},
        ]
    }
    task = caller.http.get(f"/tasks/{answer.headers['X-Task-Id']}").json()
    assert (task["options"]["diarization"], task["file"]["name"]) == (True, "interview.mp3")
    again = caller.http.post("/api/transcribe", params={"clip_id": clip_id})
    assert again.json() == answer.json()


def test_a_speaker_with_a_name_has_it(gateway: Gateway, caller: Caller) -> None:
    """When a request is repeated, whoever was named by a correction is called so."""
    clip_id = upload(caller)
    transcribe(gateway, caller, clip_id)
    caller.http.headers["Idempotency-Key"] = "clip"
    answer = caller.http.post("/api/transcribe", params={"clip_id": clip_id})
    named = {"version": 0, "speakers": {"spk_1": "Ann"}}
    caller.http.patch(f"/tasks/{answer.headers['x-task-id']}", json=named).raise_for_status()
    again = caller.http.post("/api/transcribe", params={"clip_id": clip_id}).json()["segments"]
    assert [segment["speaker"] for segment in again] == ["Ann", "SPEAKER_02"]


def test_speakers_can_be_left_out(gateway: Gateway, caller: Caller) -> None:
    """diarize=false spares the work; what it must be else is true or false."""
    clip_id = upload(caller)
    answer = transcribe(gateway, caller, clip_id, diarize="false")
    assert answer.status_code == 200
    assert caller.http.get(f"/tasks/{answer.headers['X-Task-Id']}").json()["options"]["diarization"] is False
    assert caller.http.post("/api/transcribe", params={"clip_id": clip_id, "diarize": "x"}).status_code == 422


def test_a_clip_that_cannot_be_heard_is_the_error(caller: Caller) -> None:
    """The answer has the code of what ended the task."""
    clip_id = upload(caller)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.http.post, "/api/transcribe", params={"clip_id": clip_id})
        with session() as work:
            leases.fail(work, work_on(the_task(caller), "convert"), NoAudio("Nothing can be heard."), max_attempts=1)
        assert (waiting.result().status_code, waiting.result().json()["code"]) == (422, "no_audio")


def test_a_clip_can_be_looked_at_and_deleted(gateway: Gateway, caller: Caller) -> None:
    """By its owner; then it is 404, and storage is empty."""
    content = os.urandom(100)
    clip_id, twin = upload(caller, content), upload(caller, content)
    assert gateway.objects(caller) == {f"{caller.id}/{clip_id}/upload"}
    clip = caller.http.get(f"/api/audio/{clip_id}").json()
    assert (clip["clip_id"], clip["filename"], clip["size"]) == (clip_id, "interview.mp3", 100)
    stranger = gateway.caller().http
    for refused in (
        stranger.get(f"/api/audio/{clip_id}"),
        stranger.delete(f"/api/audio/{clip_id}"),
        stranger.post("/api/transcribe", params={"clip_id": clip_id}),
    ):
        assert refused.status_code == 404
    for each in (clip_id, twin):
        assert caller.http.delete(f"/api/audio/{each}").json()["clip_id"] == each
        assert caller.http.get(f"/api/audio/{each}").status_code == 404
    assert caller.http.post("/api/transcribe", params={"clip_id": clip_id}).status_code == 404
    assert gateway.objects(caller) == set()


def test_what_is_no_clip_is_refused(gateway: Gateway, caller: Caller) -> None:
    """No file, an empty one, a field that is none, an id that is none; nothing stays."""
    assert caller.http.post("/api/audio", files={"file": ("a.mp3", b"")}).json()["code"] == "no_audio"
    assert caller.http.post("/api/audio", files={"audio": ("a.mp3", b"x")}).json()["code"] == "invalid_request"
    assert caller.http.post("/api/audio", files={"file": b"x"}, data={"language": "en"}).status_code == 422
    assert caller.http.post("/api/transcribe").status_code == 422
    unknown = caller.http.post("/api/transcribe", params={"clip_id": str(uuid.uuid4()), "language": "de"})
    assert (unknown.status_code, unknown.json()["detail"]["parameter"]) == (422, "language")
    assert gateway.left_behind(caller) == NOTHING


def test_an_upload_in_parts_is_a_clip_when_it_is_complete(caller: Caller) -> None:
    """Until then it is 404."""
    upload = caller.http.post("/uploads", json={"bytes": 3}).json()
    path = f"/uploads/{upload['upload_id']}"
    assert caller.http.get(f"/api/audio/{upload['upload_id']}").status_code == 404
    caller.http.put(f"{path}/parts/1", content=b"abc").raise_for_status()
    caller.http.post(f"{path}/complete").raise_for_status()
    assert caller.http.get(f"/api/audio/{upload['upload_id']}").json()["size"] == 3
