"""Idempotency-Key: a request that is sent again is not carried out again."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
from sqlalchemy import func, select, text, update

from shared.config import Settings
from shared.db import session
from shared.models import IdempotencyKey, Job
from shared.repair import repair
from shared.storage import Storage
from tests.service.gateway import Caller, Gateway, eventually, finish

AT_ONCE = 50


def submit(caller: Caller, key: str, content: bytes, **fields: str) -> httpx.Response:
    files = {"file": ("call.wav", content)}
    return caller.http.post("/transcribe", files=files, data=fields, headers={"Idempotency-Key": key})


def jobs_of(caller: Caller) -> int:
    with session() as work:
        return work.scalar(select(func.count()).where(Job.owner_id == caller.id)) or 0


def test_a_repeated_request_gives_the_same_task(gateway: Gateway, caller: Caller) -> None:
    """The same key and request get the same answer, also later; nothing of the second upload stays."""
    content = os.urandom(64)
    first = submit(caller, "one", content, language="en")
    task_id = uuid.UUID(first.json()["task_id"])
    again = submit(caller, "one", content, language="en")
    assert (again.status_code, again.json()) == (202, first.json())
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    finish(task_id, gateway.storage)
    assert submit(caller, "one", content, language="en").json() == first.json()
    waited = submit(caller, "one", content, language="en", wait="5")
    assert (waited.status_code, waited.json()["status"]) == (200, "done")
    assert jobs_of(caller) == 1
    assert all(f"/{task_id}/" in key for key in gateway.objects(caller))
    assert gateway.announcements(caller) == 0


def test_a_key_stands_for_one_request(gateway: Gateway, caller: Caller) -> None:
    """Other content, options or priority under the same key are 409; every caller has keys of their own."""
    content = os.urandom(64)
    task_id = submit(caller, "one", content).json()["task_id"]
    for other in (
        submit(caller, "one", os.urandom(64)),
        submit(caller, "one", content, format="srt"),
        submit(caller, "one", content, priority="batch"),
    ):
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
        assert other.json()["detail"] == {"task_id": task_id}
    assert jobs_of(caller) == 1
    assert gateway.objects(caller) == {f"{caller.id}/{task_id}/upload"}
    assert gateway.announcements(caller) == 0
    with gateway.caller().http as http:
        stranger = http.post("/transcribe", files={"file": ("a.wav", content)}, headers={"Idempotency-Key": "one"})
        assert stranger.status_code == 202
        assert stranger.json()["task_id"] != task_id


def test_a_url_is_a_request_like_any(caller: Caller) -> None:
    """The same key with the same URL is the same task, as JSON and as a form; with another URL it is a conflict."""
    headers = {"Idempotency-Key": "url"}
    body = {"url": "https://media.example/call.mp3"}
    first = caller.http.post("/transcribe", json=body, headers=headers)
    again = caller.http.post("/transcribe", data=body, headers=headers)
    assert (first.status_code, again.json()) == (202, first.json())
    other = caller.http.post("/transcribe", json={"url": "https://media.example/other.mp3"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert jobs_of(caller) == 1


def test_fifty_at_once_make_one_job(gateway: Gateway, caller: Caller) -> None:
    """50 equal requests at the same time: 50 equal answers, one job, one object, no announcement left."""
    content = os.urandom(64)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: submit(caller, "at once", content), range(AT_ONCE)))
    assert [answer.status_code for answer in answers] == [202] * AT_ONCE
    (task_id,) = {answer.json()["task_id"] for answer in answers}
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == AT_ONCE - 1
    assert jobs_of(caller) == 1
    assert gateway.objects(caller) == {f"{caller.id}/{task_id}/upload"}
    assert (gateway.unfinished_uploads(caller), gateway.announcements(caller)) == (0, 0)


def test_a_deleted_task_frees_its_key(caller: Caller) -> None:
    """After DELETE the same request makes a new task."""
    content = os.urandom(64)
    first = submit(caller, "one", content).json()["task_id"]
    assert caller.http.delete(f"/tasks/{first}").status_code == 200
    assert submit(caller, "one", content).json()["task_id"] != first


def test_a_key_is_forgotten_after_a_day(environment: Settings, bucket: Storage, caller: Caller) -> None:
    """After 24 hours the key is free again, and the sweep removes it."""
    content = os.urandom(64)
    first, second = (submit(caller, key, content).json()["task_id"] for key in ("one", "two"))

    def keys() -> set[str]:
        with session() as work:
            return set(work.scalars(select(IdempotencyKey.key).where(IdempotencyKey.owner_id == caller.id)))

    with session() as work:
        statement = update(IdempotencyKey).where(IdempotencyKey.owner_id == caller.id)
        work.execute(statement.values(created_at=func.now() - text("interval '24 hours 1 second'")))
    assert submit(caller, "one", content).json()["task_id"] != first
    assert submit(caller, "one", content).json()["task_id"] not in (first, second)
    repair(environment, bucket, lambda _: None)
    assert eventually(lambda: keys() == {"one"}, "the old key is gone")


def test_a_task_is_tried_again_once(caller: Caller) -> None:
    """The same retry with the same key gives the same new task; of another task, or as a submission, it is 409."""
    old, other = caller.task(), caller.task()
    for task_id in (old, other):
        assert caller.http.post(f"/tasks/{task_id}/cancel").is_success
    headers = {"Idempotency-Key": "again"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: caller.http.post(f"/tasks/{old}/retry", headers=headers), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 7
    for conflict in (caller.http.post(f"/tasks/{other}/retry", headers=headers), submit(caller, "again", b"x")):
        assert (conflict.status_code, conflict.json()["code"]) == (409, "idempotency_conflict")
    assert jobs_of(caller) == 3


def test_a_repeated_request_is_answered_at_a_limit(gateway: Gateway, caller: Caller) -> None:
    """With no room for another task, by file, by URL, as a retry and through another API: the first answer again."""
    other_api = partial(caller.http.post, "/api/v1/transcribe-async", headers={"Idempotency-Key": "v1"})
    by_url = {"url": "https://media.example/once.mp3"}
    failed, content = caller.task(), os.urandom(64)
    assert caller.http.post(f"/tasks/{failed}/cancel").is_success
    requests: list[Callable[[], httpx.Response]] = [
        partial(submit, caller, "file", content),
        partial(caller.http.post, "/transcribe", json=by_url, headers={"Idempotency-Key": "url"}),
        partial(caller.http.post, f"/tasks/{failed}/retry", headers={"Idempotency-Key": "retry"}),
        partial(other_api, files={"file": ("a.wav", content)}),
    ]
    first = [request().json() for request in requests]
    assert gateway.caller("admin").http.patch(f"/admin/keys/{caller.id}", json={"max_queued": 1}).is_success
    assert [request().json() for request in requests] == first
    refused = [
        caller.submit(),
        submit(caller, "new", content),
        caller.http.post("/transcribe", json=by_url),
        caller.http.post(f"/tasks/{failed}/retry"),
    ]
    assert [answer.status_code for answer in refused] == [429] * len(refused)
    assert submit(caller, "file", os.urandom(64)).status_code == 409
