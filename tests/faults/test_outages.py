"""A server is away for a while: nothing is lost, nothing is promised that does not hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy.exc import OperationalError

from scripts.bench.soak import chaos
from scripts.bench.soak.caller import Caller, Task
from shared.states import StageState
from tests.faults.rig import PATIENCE_S, Rig, eventually, frozen, stopped

RESUME_S = 30
SUBMITTED_S = 5
HELD_S = 60
"""How long a worker keeps an answer for an object store that is away: tasks/patience.py."""

WORKERS = ("worker-asr", "worker-asr-2")


def test_what_is_submitted_without_a_broker_is_done_when_it_is_back(rig: Rig) -> None:
    """202 while Valkey is stopped; afterwards the sweep rings, and no worker is deaf."""
    with stopped(rig, "valkey"):
        began = time.monotonic()
        tasks = [rig.submit() for _ in range(2)]
        submitted_s = time.monotonic() - began
        print(f"two submissions without a broker took {submitted_s:.2f} s")
        time.sleep(5)  # long enough for every connection to notice
        assert {rig.caller.look(task)["status"] for task in tasks} == {"queued"}
    back = time.monotonic()
    assert submitted_s < SUBMITTED_S  # the client is not made to wait for attempts to reach it
    for task in tasks:
        assert rig.caller.wait(task, timeout_s=60) == "done"
    print(f"both done {time.monotonic() - back:.1f} s after the broker was back")
    _nobody_is_deaf(rig)


def test_a_killed_broker_leaves_no_worker_deaf(rig: Rig) -> None:
    """`kill -9` of Valkey while workers wait for messages: after its restart each of them takes work again."""
    task = rig.submit()
    rig.running(task, "transcribe")
    chaos.kill_tree(rig.stack, "valkey")
    assert rig.caller.wait(task, timeout_s=60) == "done"
    _nobody_is_deaf(rig)


def test_an_emptied_broker_loses_no_job(rig: Rig) -> None:
    """FLUSHALL while jobs run and others wait for their turn: every doorbell is lost, every job is done."""
    tasks = [rig.submit() for _ in range(2)]
    with ExitStack() as held:
        for task in tasks:
            held.enter_context(_held(rig, task))  # until the others have come so far
        tasks += [rig.submit() for _ in range(2)]
        for task in tasks[2:]:
            rig.reached(task, "transcribe", "queued")
    redis.Redis.from_url(rig.stack.env["REDIS_URL"], socket_timeout=5).flushall()
    emptied = time.monotonic()
    for task in tasks:
        assert rig.caller.wait(task, timeout_s=90) == "done"
    print(f"four jobs done {time.monotonic() - emptied:.1f} s after FLUSHALL")


def test_without_the_database_nothing_is_promised(rig: Rig) -> None:
    """Every call is a clean 503; whatever got a 2xx before or after exists; work goes on within 30 s of its return."""
    earlier = rig.submit()
    assert rig.caller.wait(earlier) == "done"
    running = rig.submit()
    rig.running(running, "transcribe")
    waiting = rig.submit()
    with _submitting(rig) as (acknowledged, statuses):
        with stopped(rig, "postgres"):
            for method, path, arguments in _calls(earlier):
                answer = rig.caller.http.request(method, path, **arguments)
                assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable"), (method, path)
            time.sleep(3)
        back = time.monotonic()
        resumed = eventually(lambda: _started_since(rig, running, waiting), "work goes on", RESUME_S)
        for task in (running, waiting):
            assert rig.caller.wait(task, timeout_s=RESUME_S + 15) == "done"
        print(f"work went on {resumed:.1f} s after the database was back, done after {time.monotonic() - back:.1f} s")
    assert set(statuses) <= {202, 503}, statuses
    assert {202, 503} <= set(statuses)
    jobs = rig.truth.jobs()
    assert [task.id for task in acknowledged if task.id not in jobs] == []
    for task in acknowledged:
        assert rig.caller.wait(task, timeout_s=120) == "done"


def test_without_storage_work_waits(rig: Rig) -> None:
    """Before a download and before an upload: tried again, not counted, done when S3 is back; no new task meanwhile."""
    uploading = rig.submit()
    with ExitStack() as held:
        held.enter_context(_held(rig, uploading))
        held.enter_context(frozen(rig, "worker-io"))
        downloading = rig.submit()
        before = set(rig.truth.jobs())
        with stopped(rig, "seaweedfs"):
            held.close()
            with pytest.raises(httpx.HTTPStatusError) as refused:
                rig.caller.submit()
            assert refused.value.response.status_code == 503
            assert refused.value.response.json()["code"] == "storage_unavailable"
            stages = ((uploading, "transcribe"), (downloading, "convert"))
            for task, stage in stages:
                _fails_for_storage(rig, task, stage)
    back = time.monotonic()
    for task in (uploading, downloading):
        assert rig.caller.wait(task, timeout_s=60) == "done"
    print(f"both done {time.monotonic() - back:.1f} s after storage was back")
    for task, stage in stages:
        row = rig.truth.stage(task.id, stage)
        assert (row.attempt, row.fence > 1) == (1, True)
    assert set(rig.truth.jobs()) == before


def test_finished_work_outlasts_a_restart_of_storage(rig: Rig) -> None:
    """An answer that cannot be stored is kept until it can be: nothing is done twice."""
    task = rig.submit()
    name, _ = rig.worker_of(rig.running(task, "transcribe"))
    with ExitStack() as held:
        held.enter_context(_held(rig, task))
        with stopped(rig, "seaweedfs"):
            held.close()
            eventually(lambda: _waits_for_storage(rig, name, task), "the answer cannot be stored", PATIENCE_S)
    assert rig.caller.wait(task, timeout_s=60) == "done"
    row = rig.truth.stage(task.id, "transcribe")
    assert (row.attempt, row.fence) == (1, 1)


def _nobody_is_deaf(rig: Rig) -> None:
    """Two jobs at once are taken by both workers, which have heard the first doorbell of each: no second one rings
    without beat, and neither worker has started again, as a deaf one would."""
    before = {name: rig.stack.pid(name) for name in WORKERS}
    with stopped(rig, "beat"):
        first, second = (rig.submit() for _ in range(2))
        eventually(lambda: _runs(rig, first) or _runs(rig, second), "one of them runs", PATIENCE_S)
        with _held(rig, first if _runs(rig, first) else second):  # so that it cannot take both, one after the other
            rows = [rig.running(task, "transcribe") for task in (first, second)]
        assert [row.rings for row in rows] == [1, 1]
        assert {rig.worker_of(row)[0] for row in rows} == set(WORKERS)
        assert {name: rig.stack.pid(name) for name in WORKERS} == before
    for task in (first, second):
        assert rig.caller.wait(task) == "done"


def _runs(rig: Rig, task: Task) -> bool:
    return rig.truth.stage(task.id, "transcribe").state == StageState.RUNNING


@contextmanager
def _held(rig: Rig, task: Task) -> Iterator[None]:
    """The worker that transcribes a task does nothing during the block; far shorter than a lease lasts."""
    name, _ = rig.worker_of(rig.running(task, "transcribe"))
    with frozen(rig, name):
        yield


def _waits_for_storage(rig: Rig, worker: str, task: Task) -> bool:
    lines = rig.stack.log(worker).read_text().splitlines()
    return any('"storage_away"' in line and str(task.id) in line for line in lines)


def _fails_for_storage(rig: Rig, task: Task, stage: str) -> None:
    """Which it does at once where it reads, and behind HELD_S where it has an answer."""
    patience_s = HELD_S + PATIENCE_S
    eventually(
        lambda: rig.truth.stage(task.id, stage).error_code == "storage_unavailable", f"{stage} fails", patience_s
    )


def _calls(task: Task) -> list[tuple[str, str, dict[str, Any]]]:
    """One call of every route that a key is needed for."""
    return [
        ("POST", "/transcribe", {"files": {"file": ("call.wav", b"RIFF")}}),
        ("GET", f"/status/{task.id}", {}),
        ("GET", f"/result/{task.id}", {}),
        ("GET", "/history", {}),
        ("GET", f"/tasks/{task.id}", {}),
        ("POST", f"/tasks/{task.id}/cancel", {}),
        ("POST", f"/tasks/{task.id}/retry", {}),
        ("DELETE", f"/tasks/{task.id}", {}),
        ("GET", "/models", {}),
        ("GET", "/languages", {}),
        ("GET", "/admin/keys", {}),
        ("POST", "/admin/keys", {"json": {"name": "laptop"}}),
        ("DELETE", f"/admin/keys/{task.id}", {}),
        ("GET", "/admin/queue", {}),
        ("POST", "/jobs/repair", {}),
    ]


@contextmanager
def _submitting(rig: Rig) -> Iterator[tuple[list[Task], list[int]]]:
    """Somebody who submits all the while, once a second: the tasks that were acknowledged, and every status."""
    caller, enough = Caller(rig.stack.url, rig.stack.api_key), threading.Event()
    acknowledged: list[Task] = []
    statuses: list[int] = []

    def submit() -> None:
        while not enough.wait(1):
            try:
                acknowledged.append(caller.submit())
                statuses.append(202)
            except httpx.HTTPStatusError as error:
                statuses.append(error.response.status_code)

    with ThreadPoolExecutor(1) as pool:
        submissions = pool.submit(submit)
        try:
            yield acknowledged, statuses
        finally:
            enough.set()
            submissions.result()
            rig.tasks += acknowledged


def _started_since(rig: Rig, running: Task, waiting: Task) -> bool:
    """The job that ran has got on and the one that waited has been taken up."""
    try:
        return (
            rig.truth.stage(running.id, "merge").attempt > 0 and rig.truth.stage(waiting.id, "transcribe").attempt > 0
        )
    except OperationalError:
        return False
