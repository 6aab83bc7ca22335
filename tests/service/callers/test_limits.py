"""Limits of an API key, on a real gateway with real servers."""

from __future__ import annotations

import re
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from api.limits import PAUSE_S
from scripts.local.stack import Stack
from shared import claims
from shared.claims import Answer
from shared.config import Settings
from shared.db import session
from shared.kernel import leases
from shared.kernel.jobs import Outcome
from shared.models import ApiKey, Stage
from shared.storage import Storage, storage_of
from tests.service.gateway import Gateway, RawUpload, finish, gateway_on, gateway_with, hand_in, work_on
from tests.service.kernel.test_kernel import SUMMARY, claim, complete, held, submit

GIB = 1024**3
UNREACHABLE = "redis://127.0.0.1:1/0"


gateway = gateway_with()


# ---- requests per minute


def test_requests_over_the_limit_are_told_when_to_come_back(gateway: Gateway) -> None:
    """Five a minute: every answer, also an error, says how many are left, the sixth is 429; others do not notice."""
    caller, other = gateway.limited(requests_per_minute=5), gateway.caller()
    answers = [
        caller.http.get(path) for path in ("/models", f"/status/{uuid.uuid4()}", "/history", "/models", "/models")
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 200, 200, 200]
    for remaining, answer in zip((4, 3, 2, 1, 0), answers, strict=True):
        assert answer.headers["RateLimit-Policy"] == '"requests";q=5;w=60'
        assert re.fullmatch(rf'"requests";r={remaining};t=\d+', answer.headers["RateLimit"])
    refused = caller.http.get("/models")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60 + 12
    assert refused.headers["RateLimit"].startswith('"requests";r=0;')
    free = other.http.get("/models")
    assert free.status_code == 200
    assert "RateLimit" not in free.headers


def test_without_valkey_nobody_is_refused(
    servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A limit is not worth an outage: all requests are let through, and the log says so once."""
    home = tmp_path_factory.mktemp("gateway")
    with gateway_on(servers, home, storage_of(environment), REDIS_URL=UNREACHABLE) as gateway:
        caller = gateway.limited(requests_per_minute=1)
        began = time.monotonic()
        assert [caller.http.get("/models").status_code for _ in range(5)] == [200] * 5
        pauses = (time.monotonic() - began) // PAUSE_S  # behind each of which Valkey is asked once more
        assert 1 <= gateway.log().count("rate_limit_off") <= 1 + pauses


# ---- tasks that wait


def finish_without_device(task_id: uuid.UUID, storage: Storage) -> None:
    """As the workers do it: only the stages that run a model have a device."""
    for stage in ("convert", "transcribe", "merge", "store"):
        with session() as work:
            lease = leases.claim(work, task_id, stage, 0, worker="w", device="", lease_s=30)
        assert lease is not None
        hand_in(lease, storage)


def test_a_key_with_enough_waiting_tasks_is_refused_before_its_upload(gateway: Gateway) -> None:
    """The answer comes while the body has not begun; `Retry-After` is the pace of the last five minutes."""
    caller = gateway.limited(max_queued=3)
    for _ in range(2):
        finish_without_device(caller.task(), gateway.storage)
    waiting = [caller.task() for _ in range(3)]
    upload = RawUpload(gateway, caller.key, content_length=GIB)
    status, answer = upload.answer()
    assert (status, '"code":"too_many_queued"' in answer) == (429, True)
    assert "retry-after: 150\r\n" in answer.lower()  # two tasks in 300 s
    assert gateway.announcements(caller) == 0
    work_on(waiting[0], "convert")
    assert caller.submit().status_code == 202


def test_a_full_queue_says_when_there_is_room(
    servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory, owner: uuid.UUID
) -> None:
    """With as many tasks waiting as the server takes, every key gets 503 with a time, for new tasks and retries."""
    submit(owner)
    home = tmp_path_factory.mktemp("gateway")
    with gateway_on(servers, home, storage_of(environment), MAX_QUEUED_TASKS="1") as gateway:
        caller = gateway.caller()
        for answer in (caller.submit(), caller.http.post(f"/tasks/{uuid.uuid4()}/retry")):
            assert (answer.status_code, answer.json()["code"]) == (503, "service_busy")
            assert 1 <= int(answer.headers["Retry-After"]) <= 300
        assert caller.http.get("/history").json()["items"] == []


# ---- minutes of audio


def let_midnight_pass() -> None:
    """Nothing, but in the last minute of a day in UTC."""
    now = datetime.now(UTC)
    left_s = (now.replace(hour=0, minute=0, second=0) + timedelta(days=1) - now).total_seconds()
    if left_s < 60:
        time.sleep(left_s)


def test_minutes_of_a_day_are_not_won_back_by_deleting(gateway: Gateway) -> None:
    """Once a day's minutes are used, submissions are 429 until midnight UTC, and nothing else is refused."""
    let_midnight_pass()
    caller = gateway.limited(minutes_per_day=2)
    for seconds in (60.0, 61.0):
        task = caller.task()
        converting = work_on(task, "convert")
        with session() as work:
            key = f"{caller.id}/{task}/convert/0.{converting.fence}.wav"
            leases.complete(work, converting, Answer(key, 1, {**SUMMARY, "duration": seconds}))
    refused = caller.submit()
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    resets_at = datetime.fromisoformat(refused.json()["detail"]["resets_at"])
    rest_s = (resets_at - datetime.now(UTC)).total_seconds()
    assert (resets_at.hour, resets_at.minute, resets_at.second) == (0, 0, 0)
    assert abs(int(refused.headers["Retry-After"]) - rest_s) < 30
    assert caller.http.delete(f"/tasks/{task}").status_code in (200, 202)
    assert caller.submit().status_code == 429


def test_what_is_known_already_costs_no_minutes(gateway: Gateway) -> None:
    """The same recording with the same options is answered from what is known and not counted again."""
    caller = gateway.limited(minutes_per_day=1)
    recording = uuid.uuid4().bytes * 4
    first = caller.task(recording)
    finish(first, gateway.storage)  # two seconds of audio
    assert all(caller.submit(recording).json()["status"] == "done" for _ in range(40))
    assert caller.submit().status_code == 202


# ---- running at once


def allow(owner: uuid.UUID, running: int) -> None:
    with session() as work:
        work.execute(update(ApiKey).where(ApiKey.id == owner).values(max_running=running))


def rung(outcome: Outcome, owner: uuid.UUID) -> list[str]:
    with session() as work:
        return [
            bell.stage for bell in outcome.rings if work.get_one(Stage, (bell.job_id, bell.stage, 0)).owner_id == owner
        ]


def test_a_key_with_one_running_stage_does_one_after_the_other(owner: uuid.UUID) -> None:
    """Transcribe and diarize of a job, which else run side by side: the second is rung when the first has ended."""
    allow(owner, 1)
    job_id, _ = submit(owner, diarization=True)
    first = rung(complete(held(job_id, "convert")), owner)
    assert len(first) == 1
    (second,) = {"transcribe", "diarize"} - set(first)
    running = held(job_id, first[0])
    assert claim(job_id, second) is None
    assert rung(complete(running), owner) == [second]
    assert rung(complete(held(job_id, second)), owner) == ["merge"]


def test_many_workers_at_once_do_not_pass_the_limit(owner: uuid.UUID) -> None:
    """Eight workers that claim eight tasks of a key at the same moment get the three that it may run."""
    jobs = [submit(owner)[0] for _ in range(8)]
    for job_id in jobs:
        complete(held(job_id, "convert"))
    allow(owner, 3)
    won: list[claims.Claim] = []
    barrier = threading.Barrier(len(jobs))

    def answer(job_id: uuid.UUID) -> None:
        barrier.wait(timeout=10)
        if lease := claim(job_id, "transcribe"):
            won.append(lease)

    threads = [threading.Thread(target=answer, args=(job_id,)) for job_id in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(won) == 3
    following = complete(won[0])
    assert rung(following, owner).count("transcribe") == 1


# ---- administration


def test_limits_are_set_one_by_one(gateway: Gateway) -> None:
    """A new key may bring limits; PATCH changes those that it names, null takes one back, nonsense is 422."""
    admin = gateway.caller("admin").http
    key = admin.post("/admin/keys", json={"name": "laptop", "max_running": 2, "minutes_per_day": 60}).json()
    path = f"/admin/keys/{key['id']}"
    assert (key["max_running"], key["minutes_per_day"], key["max_queued"]) == (2, 60, None)
    changed = admin.patch(path, json={"max_running": None, "max_queued": 0}).json()
    assert (changed["max_running"], changed["minutes_per_day"], changed["max_queued"]) == (None, 60, 0)
    listed = next(row for row in admin.get("/admin/keys").json()["items"] if row["id"] == key["id"])
    assert listed == changed
    for nonsense in (
        {"max_queued": -1},
        {"max_queued": 2**31},
        {"speed": 1},
        {"max_queued": "1"},
        {"max_queued": True},
    ):
        assert admin.patch(path, json=nonsense).status_code == 422
    assert admin.patch(f"/admin/keys/{uuid.uuid4()}", json={"max_queued": 1}).status_code == 404
    assert gateway.caller().http.patch(path, json={"max_queued": 1}).status_code == 403
