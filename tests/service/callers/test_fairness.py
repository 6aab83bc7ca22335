"""A key that floods the queue: real workers whose engines sleep, a real broker, and who has to wait for what."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import redis
from sqlalchemy import func, select

from scripts.bench.soak.caller import Caller, Task
from scripts.local.apps import API, BEAT, ROOT, worker
from shared.kernel.ring_window import RINGS_PER_SLOT
from shared.models import Stage
from shared.options import PRIORITIES
from shared.rings import LEVELS
from shared.stages import queues
from shared.states import StageState
from tests.faults.rig import Rig, eventually, start

SLOTS = 2
FLOOD = 10_000
WINDOW = RINGS_PER_SLOT * SLOTS


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A stack whose speech recognition runs two tasks at once and takes half a second for each."""
    workers = (worker("io", "io,cpu", 2, 1), worker("asr", "asr", SLOTS, 1))
    with start(tmp_path_factory.mktemp("fairness"), (API, *workers, BEAT), sleeper_seconds=0.5) as running:
        yield running


def another_key(rig: Rig, **limits: int) -> Caller:
    """A caller with an API key of its own."""
    answer = rig.caller.http.post("/admin/keys", json={"name": "another", **limits})
    answer.raise_for_status()
    return Caller(rig.stack.url, answer.json()["key"])


def finished(caller: Caller) -> Task:
    """A first task, so that this key's recording is known."""
    task = caller.submit()
    assert caller.wait(task) == "done"
    return task


def flood(rig: Rig, task: Task, *counts: str) -> None:
    """More tasks over the same recording, `PRIORITY=COUNT` each, queued and rung for in this order."""
    command = [sys.executable, "-m", "scripts.bench.kernel.flood", str(task.id), *counts]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **rig.stack.env}, check=True, timeout=900)


def runs(rig: Rig, *owners: uuid.UUID) -> list[Stage]:
    """Every run of speech recognition of these keys, in the order in which they were begun."""
    query = select(Stage).where(
        Stage.name == "transcribe", Stage.owner_id.in_(owners), Stage.attempt > 0, Stage.started_at.is_not(None)
    )
    return [row.Stage for row in rig.truth.rows(query.order_by(Stage.started_at))]


def owner_of(rig: Rig, task: Task) -> uuid.UUID:
    return rig.truth.jobs()[task.id].owner_id


class Broker:
    """The lists of all queues, looked at over and over."""

    def __init__(self, rig: Rig) -> None:
        self._redis = redis.Redis.from_url(rig.stack.env["REDIS_URL"], socket_timeout=30)
        names = [queue if step == 0 else f"{queue}:{step}" for queue in queues() for step in range(LEVELS)]
        self._names, self.most, self.looks, self.jobs = names, 0, 0, set[str]()

    def look(self) -> None:
        waiting = [json.loads(message) for name in self._names for message in self._all(name)]
        self.most, self.looks = max(self.most, len(waiting)), self.looks + 1
        rings = [message for message in waiting if message["headers"]["task"] != "parley.sweep"]
        self.jobs |= {json.loads(base64.b64decode(message["body"]))[0][0] for message in rings}

    def _all(self, name: str) -> list[bytes | str]:
        return list(self._redis.lrange(name, 0, -1))


@pytest.mark.timeout(1800)
def test_a_flood_of_ten_thousand_delays_another_key_by_what_runs_already(rig: Rig) -> None:
    """Each next task of another key begins before any further one of the flood; Redis holds a window of it."""
    task = finished(rig.caller)
    flooding = owner_of(rig, task)
    broker, enough = Broker(rig), threading.Event()

    def watch() -> None:
        while not enough.wait(0.05):
            broker.look()

    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            flood(rig, task, f"normal={FLOOD}")
            print(f"{FLOOD} tasks queued in {time.monotonic() - began:.1f} s")
            eventually(lambda: len(runs(rig, flooding)) > 3 * SLOTS, "the flood runs", 240)
            other = another_key(rig)
            for _ in range(5):
                finished(other)
        finally:
            enough.set()
            watching.result()
    owner = owner_of(rig, task)
    other_runs = [row for row in runs(rig, *_others(rig, owner)) if row.owner_id != owner]
    assert len(other_runs) == 5
    spans = [(row.rung_at, row.started_at) for row in other_runs if row.rung_at and row.started_at]
    assert len(spans) == 5
    passed = [_begun_between(rig, owner, rung, started) for rung, started in spans]
    waits = [(started - rung).total_seconds() for rung, started in spans]
    print(f"waited {', '.join(f'{wait:.2f}' for wait in waits)} s; tasks of the flood begun meanwhile {passed}")
    print(f"at most {broker.most} messages in Redis, seen {broker.looks} times, of {len(broker.jobs)} jobs")
    # what the slots had already taken from Redis when the other key's task came there may still begin
    assert all(count <= SLOTS for count in passed)
    remaining = rig.truth.rows(
        select(func.count()).where(
            Stage.owner_id == owner, Stage.name == "transcribe", Stage.state == StageState.QUEUED
        )
    )[0][0]
    assert remaining > FLOOD / 2  # they were served while the flood was there
    # two keys in the asr queue, and what the other queues hold of tasks that pass
    assert broker.most <= 4 * WINDOW
    assert {str(job_id) for job_id in rig.truth.jobs()} >= broker.jobs


def test_interactive_goes_before_normal_before_batch(rig: Rig) -> None:
    """Tasks that a key submitted in the opposite order begin by priority, also while another key floods the queue."""
    other = another_key(rig)
    task = finished(other)
    flood(rig, task, "batch=3", "normal=4", "interactive=4")
    owner = owner_of(rig, task)
    eventually(lambda: len(runs(rig, owner)) == 12, "all of them begin", 240)
    stages = runs(rig, owner)[1:]
    print(f"begun in this order: {[row.priority for row in stages]}")
    # the first task of each priority waits among the first ones of all keys, so it may go before urgent further ones
    firsts = {min(row.job_id for row in stages if row.priority == priority) for priority in PRIORITIES.values()}
    # workers may have taken the very first ones before the others were there; two slots may answer in either order
    later = stages[SLOTS:]
    assert all(
        first.priority <= second.priority or first.job_id in firsts
        for number, first in enumerate(later)
        for second in later[number + SLOTS :]
    )
    assert PRIORITIES["interactive"] in [row.priority for row in stages[: 2 * SLOTS]]


def _others(rig: Rig, owner: uuid.UUID) -> set[uuid.UUID]:
    return {job.owner_id for job in rig.truth.jobs().values()} - {owner}


def _begun_between(rig: Rig, owner: uuid.UUID, since: datetime, until: datetime) -> int:
    query = select(func.count()).where(
        Stage.owner_id == owner, Stage.name == "transcribe", Stage.started_at > since, Stage.started_at < until
    )
    return int(rig.truth.rows(query)[0][0])
