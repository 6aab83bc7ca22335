"""Waiting for jobs: many in one process, and over HTTP with `wait`."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select, text
from uuid_utils.compat import uuid7

from api.waiting import until_ended
from scripts.local.stack import Stack
from shared.config import Settings
from shared.db import session
from shared.errors import NoAudio, NotFound
from shared.kernel import erasure, jobs, leases
from shared.kernel.orders import JobOrder, Source
from shared.kernel.submission import new_jobs
from shared.options import JobOptions
from shared.states import JobState
from shared.storage import storage_of
from tests.service.gateway import PATIENCE_S, Caller, Gateway, eventually, finish, gateway_on, gateway_with, work_on

WAITERS = 1000


def submit(owner: uuid.UUID) -> uuid.UUID:
    job_id = uuid7()
    with session() as work:
        source = Source(f"{owner}/{job_id}/upload", uuid.uuid4().hex, 10, "call.wav")
        new_jobs.submit(work, JobOrder(job_id=job_id, owner_id=owner, source=source, options=JobOptions()))
    return job_id


def cancel(owner: uuid.UUID, job_id: uuid.UUID) -> None:
    with session() as work:
        jobs.cancel(work, owner, job_id)


def connections() -> int:
    """Connections of all processes to the database; those of its own workers, such as autovacuum, are none."""
    with session() as work:
        here = text("datname = current_database() AND backend_type = 'client backend'")
        return work.scalar(select(func.count()).select_from(text("pg_stat_activity")).where(here)) or 0


def test_a_wait_ends_with_the_job(owner: uuid.UUID) -> None:
    """The waiter learns of the end, whether it came after the wait began or before."""
    job_id = submit(owner)

    async def wait() -> list[JobState | None]:
        waiting = asyncio.create_task(until_ended(job_id, owner, PATIENCE_S))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(cancel, owner, job_id)
        return [await waiting, await until_ended(job_id, owner, PATIENCE_S)]

    assert asyncio.run(wait()) == [JobState.CANCELLED, JobState.CANCELLED]


def test_a_wait_ends_with_its_time(owner: uuid.UUID) -> None:
    """A job that has not ended in time is answered with None and stays as it is."""
    job_id = submit(owner)
    assert asyncio.run(until_ended(job_id, owner, 0.6)) is None
    assert asyncio.run(until_ended(job_id, owner, 0)) is None


def test_nobody_waits_for_what_is_not_theirs(owner: uuid.UUID) -> None:
    """A job of another owner, and one that is deleted meanwhile, are not found."""
    job_id = submit(owner)
    with pytest.raises(NotFound):
        asyncio.run(until_ended(job_id, uuid7(), 30))

    async def deleted() -> None:
        waiting = asyncio.create_task(until_ended(job_id, owner, 30))
        await asyncio.sleep(0.3)
        with session() as work:
            erasure.erase(work, owner, job_id)
        await waiting

    with pytest.raises(NotFound):
        asyncio.run(deleted())


def test_a_thousand_wait_as_cheaply_as_one(owner: uuid.UUID) -> None:
    """1,000 waiters need one connection and one thread more, and all learn of the end."""
    job_ids = [submit(owner) for _ in range(20)]
    before = connections(), threading.active_count()

    async def wait() -> tuple[list[JobState | None], int, int]:
        waiting = [asyncio.create_task(until_ended(job_ids[i % 20], owner, PATIENCE_S)) for i in range(WAITERS)]
        await asyncio.sleep(1)
        threads = threading.active_count()
        during = await asyncio.to_thread(connections)
        for job_id in job_ids:
            await asyncio.to_thread(cancel, owner, job_id)
        return await asyncio.gather(*waiting), during, threads

    states, during, threads = asyncio.run(wait())
    assert states == [JobState.CANCELLED] * WAITERS
    assert during - before[0] <= 2
    assert threads - before[1] <= 2


# ---- over HTTP


gateway = gateway_with(MAX_WAIT_S="60")


def newest(caller: Caller) -> uuid.UUID:
    """The task of a submission that has not been answered yet."""
    task_id: uuid.UUID = eventually(caller.newest, "the task is there")
    return task_id


def while_waiting(submit: Callable[[], httpx.Response], work: Callable[[], None]) -> httpx.Response:
    """The answer to a submission that waits, while `work` is done."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(submit)
        work()
        return answer.result(PATIENCE_S)


def test_who_waits_gets_the_result(gateway: Gateway, caller: Caller) -> None:
    """With the field `wait` the answer is 200 with the transcript in the task's format, and says where it is."""
    answer = while_waiting(
        lambda: caller.submit(wait="60", format="srt"), lambda: finish(newest(caller), gateway.storage)
    )
    task_id = newest(caller)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-subrip; charset=utf-8")
    assert answer.text == caller.http.get(f"/result/{task_id}").text
    assert answer.headers["content-location"] == f"/result/{task_id}"


def test_a_preference_to_wait_is_honoured(gateway: Gateway, caller: Caller) -> None:
    """`Prefer: wait=N` is the same as the field; a preference that means nothing is ignored."""
    content = os.urandom(64)

    def submit() -> httpx.Response:
        files = {"file": ("call.wav", content)}
        return caller.http.post("/transcribe", files=files, headers={"Prefer": "respond-async, wait=60"})

    assert while_waiting(submit, lambda: finish(newest(caller), gateway.storage)).json()["status"] == "done"
    assert submit().json()["cached"] is True
    files = {"file": ("call.wav", content)}
    ignored = caller.http.post("/transcribe", files=files, headers={"Prefer": "wait=long"})
    assert (ignored.status_code, ignored.json()["status"]) == (202, "done")


def test_who_waits_is_told_of_a_failure(caller: Caller) -> None:
    """A task that fails in time is answered with the error that ended it, and that error's status."""

    def fail() -> None:
        with session() as work:
            leases.fail(work, claim, NoAudio("There is no sound."), max_attempts=3)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: caller.submit(wait="60"))
        claim = work_on(newest(caller), "convert")
        fail()
    assert (answer.result().status_code, answer.result().json()["code"]) == (422, "no_audio")


def test_what_takes_longer_is_accepted(servers: Stack, environment: Settings, tmp_path: Path) -> None:
    """202 when the time is over, which MAX_WAIT_S bounds."""
    with gateway_on(servers, tmp_path, storage_of(environment), MAX_WAIT_S="1") as impatient:
        caller = impatient.caller()
        began = time.monotonic()
        answer = caller.submit(wait="3600")
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
        assert 1 <= time.monotonic() - began < PATIENCE_S


def test_a_time_that_is_none_is_refused(caller: Caller) -> None:
    """422 for a `wait` that is no number of seconds."""
    for wrong in ("-1", "soon", "nan"):
        refused = caller.submit(wait=wrong)
        assert (refused.status_code, refused.json()["detail"]) == (422, {"parameter": "wait"})


def test_a_task_outlives_the_client_that_waited(gateway: Gateway, caller: Caller) -> None:
    """A client that goes away while it waits takes nothing with it."""
    task_id = caller.give_up("/transcribe", files={"file": ("a.wav", os.urandom(64))}, data={"wait": "60"})
    finish(task_id, gateway.storage)
    assert caller.status(task_id) == "done"


def test_a_gateway_that_ends_lets_go_of_whoever_waits(servers: Stack, environment: Settings, tmp_path: Path) -> None:
    """At SIGTERM a stream of events just ends, a `wait` is answered with the task, and the next gateway knows both."""
    with gateway_on(servers, tmp_path, storage_of(environment), MAX_WAIT_S="600") as running:
        caller = running.caller()
        followed = caller.task()
        path = f"/tasks/{followed}/events"
        with ThreadPoolExecutor(1) as pool, caller.http.stream("GET", path) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: status"
            waiting = pool.submit(caller.submit, wait="600")
            eventually(lambda: newest(caller) != followed, "the task that is waited for")
            running.stack.stop_process("api")
            rest, answer = [*lines], waiting.result(PATIENCE_S)
        assert '"status": "queued"' in rest[0] and not any("event: " in line for line in rest)
        assert answer.status_code == 202
        running.stack.start_process("api")
        finish(followed, running.storage)
        assert caller.status(uuid.UUID(answer.json()["task_id"])) == "queued"
        assert '"status": "done"' in caller.http.get(path).text
