"""GET /tasks/{id}/audio and /peaks: any range of the copy and of the recording, as long as the task is kept."""

from __future__ import annotations

import os
import uuid
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select, update

from shared.claims import Answer, Copy
from shared.db import session
from shared.kernel import leases
from shared.models import Artifact
from shared.storage import Storage
from tests.service.gateway import NOTHING, SUMMARY, Caller, Gateway, finish, hand_in, work_on

OPUS = os.urandom(3000)
LANES = bytes([0, 51, 255, 102]), bytes([255, 0, 0, 0])


def convert(task_id: uuid.UUID, storage: Storage) -> tuple[str, ...]:
    """Hand in the audio of a task with its copy, as a worker does; keys of objects that nobody published."""
    claim = work_on(task_id, "convert")
    prefix = f"{claim.owner_id}/{claim.job_id}/convert/0.{claim.fence}"
    wav, webm = f"{prefix}.wav", f"{prefix}.webm"
    meta = {"audio_bytes": len(OPUS), "lane_bytes": 4, "lanes": 2, "duration": 0.2}
    copy = Copy(webm, storage.put(webm, OPUS + b"".join(LANES)), meta)
    with session() as work:
        outcome = leases.complete(work, claim, Answer(wav, storage.put(wav, bytes(100)), {**SUMMARY}, copy=copy))
    storage.delete(outcome.unused)
    return outcome.unused


def finished(gateway: Gateway, caller: Caller, recording: bytes) -> uuid.UUID:
    task = caller.task(recording)
    convert(task, gateway.storage)
    for stage in ("transcribe", "merge", "store"):
        hand_in(work_on(task, stage), gateway.storage)
    return task


def audio(caller: Caller, task: uuid.UUID, range_: str = "", **query: str) -> httpx.Response:
    headers = {"Range": range_} if range_ else {}
    return caller.http.get(f"/tasks/{task}/audio", headers=headers, params=query)


def stored_bytes(caller: Caller) -> int:
    return int(caller.http.get("/usage").json()["quotas"]["max_stored_bytes"]["used"])


@pytest.mark.parametrize(
    ("range_", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=2990-", 2990, 3000),
        ("bytes=-5", 2995, 3000),
        ("bytes=-99999", 0, 3000),
        ("bytes=100-999999", 100, 3000),
    ],
)
def test_a_range_is_sent(gateway: Gateway, caller: Caller, range_: str, first: int, end: int) -> None:
    """206 with just these bytes of the Opus, which say where they are; never a byte of the peaks behind it."""
    task = finished(gateway, caller, os.urandom(100))
    answer = audio(caller, task, range_)
    assert (answer.status_code, answer.content) == (206, OPUS[first:end])
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/3000"
    assert answer.headers["content-type"] == "audio/webm"


def test_all_of_it_is_sent(gateway: Gateway, caller: Caller) -> None:
    """Without a range, with several, with one that makes no sense, and with one of an earlier version: all, as 200."""
    task = finished(gateway, caller, os.urandom(100))
    for range_ in ("", "bytes=0-1,5-6", "bytes=9-3", "bytes=-", "lines=1-2", "bytes=x-"):
        answer = audio(caller, task, range_)
        assert (answer.status_code, answer.content) == (200, OPUS)
        assert (answer.headers["accept-ranges"], answer.headers["content-length"]) == ("bytes", "3000")
    url, etag = f"/tasks/{task}/audio", answer.headers["etag"]
    assert caller.http.get(url, headers={"Range": "bytes=0-9", "If-Range": '"another"'}).status_code == 200
    assert caller.http.get(url, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    head = caller.http.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "3000", b"")


def test_a_range_behind_the_end_is_refused(gateway: Gateway, caller: Caller) -> None:
    """416 with the size, in the header and in the body."""
    task = finished(gateway, caller, os.urandom(100))
    for range_ in ("bytes=3000-", "bytes=-0"):
        answer = audio(caller, task, range_)
        assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
        assert (answer.headers["content-range"], answer.json()["detail"]) == ("bytes */3000", {"bytes": 3000})


def test_the_original_is_sent_as_a_file_to_save(gateway: Gateway, caller: Caller) -> None:
    """The recording byte by byte, also ranges of it, under its name, as something that no browser runs."""
    recording = b"<script>alert(1)</script>" + os.urandom(1_200_000)
    task = caller.task(recording)
    answer = audio(caller, task, original="true")
    assert (answer.status_code, answer.content) == (200, recording)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="call.wav"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert audio(caller, task, "bytes=600000-1199999", original="true").content == recording[600_000:1_200_000]


def test_peaks_are_the_loudest_of_equal_stretches(gateway: Gateway, caller: Caller) -> None:
    """One list per channel, of all values, or of as many as were asked for at most."""
    task = finished(gateway, caller, os.urandom(100))
    body = caller.http.get(f"/tasks/{task}/peaks").json()
    assert body == {"duration": 0.2, "peaks": [[0.0, 0.2, 1.0, 0.4], [1.0, 0.0, 0.0, 0.0]]}
    assert caller.http.get(f"/tasks/{task}/peaks?points=9").json()["code"] == "invalid_request"


def test_before_it_is_converted_there_is_nothing_to_hear(gateway: Gateway, caller: Caller) -> None:
    """409 until then; 404 where a release without copies has converted it, and for another key."""
    task = caller.task()
    for path in ("audio", "peaks"):
        answer = caller.http.get(f"/tasks/{task}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")
    finish(task, gateway.storage)
    stranger = gateway.caller()
    for path in ("audio", "peaks"):
        assert caller.http.get(f"/tasks/{task}/{path}").status_code == 404
        assert stranger.http.get(f"/tasks/{task}/{path}").status_code == 404
        assert httpx.get(f"{gateway.url}/tasks/{task}/{path}", timeout=30).status_code == 401


def test_the_copy_outlives_the_audio_and_goes_with_the_last_task(gateway: Gateway, caller: Caller) -> None:
    """It counts as stored, stays when the PCM expires, also for a second task over the same recording when the first is
    deleted, and is removed with the second: nothing is left in storage or in the count."""
    recording = os.urandom(100)
    before = stored_bytes(caller)
    first = finished(gateway, caller, recording)
    second = caller.task(recording, language="de")
    assert stored_bytes(caller) > before + len(OPUS)
    with session() as work:
        old = update(Artifact).where(Artifact.owner_id == caller.id)
        work.execute(old.values(used_at=func.now() - timedelta(days=2)))
    caller.http.post(f"/tasks/{second}/cancel").raise_for_status()
    gateway.caller("admin").http.post("/jobs/repair").raise_for_status()
    assert not [key for key in gateway.objects(caller) if key.endswith(".wav")]
    assert audio(caller, first).content == OPUS

    assert caller.http.delete(f"/tasks/{first}").json()["verified"] is True
    assert audio(caller, second).content == OPUS
    assert caller.http.delete(f"/tasks/{second}").json()["verified"] is True
    assert gateway.left_behind(caller)[:2] == NOTHING[:2]
    assert stored_bytes(caller) == before
    with session() as work:
        assert work.scalars(select(Artifact).where(Artifact.owner_id == caller.id)).all() == []


def test_audio_that_is_made_again_keeps_the_first_copy(gateway: Gateway, caller: Caller) -> None:
    """Of a recording that is converted once more, the copy that there is stays and the new one is thrown away."""
    recording = os.urandom(100)
    finished(gateway, caller, recording)
    with session() as work:
        old = update(Artifact).where(Artifact.owner_id == caller.id)
        work.execute(old.values(used_at=func.now() - timedelta(days=2)))
    gateway.caller("admin").http.post("/jobs/repair").raise_for_status()
    second = caller.task(recording, language="de")
    unused = convert(second, gateway.storage)
    assert [key.rpartition(".")[2] for key in unused] == ["webm"]
    assert len([key for key in gateway.objects(caller) if key.endswith(".webm")]) == 1
    assert audio(caller, second).content == OPUS


def test_a_revoked_key_hears_nothing(gateway: Gateway, caller: Caller) -> None:
    """401 from the next request on."""
    task = finished(gateway, caller, os.urandom(100))
    assert audio(caller, task).status_code == 200
    gateway.caller("admin").http.delete(f"/admin/keys/{caller.id}").raise_for_status()
    assert audio(caller, task).status_code == 401
