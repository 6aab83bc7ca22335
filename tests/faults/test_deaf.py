"""Workers that are alive and take nothing: they are ended after DEAF_TIMEOUT_S, short here, and start again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from celery import Celery
from sqlalchemy import select

from scripts import health_check
from scripts.local.apps import API, BEAT, ROOT, App, worker
from scripts.local.processes import members
from shared.models import Worker
from tests.faults.rig import Rig, asleep, eventually, start

DEAF_S = 6
SHORT = {"lease_s": 3, "heartbeat_s": 0.25, "sweep_interval_s": 1, "ring_again_s": 2, "deaf_timeout_s": DEAF_S}
RECOVERY_S = 45
SILENT_S = 3
"""For the pulse, which beats every second."""


@pytest.fixture(scope="module")
def pulses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the files that the workers touch."""
    return tmp_path_factory.mktemp("pulses")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, pulses: Path) -> Iterator[Rig]:
    """One worker per queue, so that nobody else takes what a deaf one leaves."""

    def alone(queue: str) -> App:
        app = asleep(worker(queue, queue, 1, 1), 4)
        return replace(app, env={**app.env, "PULSE_FILE": str(pulses / queue)})

    workers = tuple(alone(queue) for queue in ("io", "cpu", "asr", "diarize"))
    with start(tmp_path_factory.mktemp("deaf"), (API, *workers, BEAT), **SHORT) as running:
        yield running


def test_a_worker_that_waits_for_the_database_is_well(rig: Rig, pulses: Path) -> None:
    """Its pulse goes on, so no container is restarted; it is not ready, as nobody can hear of it."""
    eventually(lambda: _is_well(pulses / "asr"), "a pulse", 30)
    assert _ready(rig) == 0
    before = rig.stack.pid("worker-asr")
    rig.stack.stop_process("postgres")
    try:
        assert _ready(rig) == 1
        (pulses / "asr").unlink()
        eventually(lambda: _is_well(pulses / "asr"), "a pulse without the database", 30)
    finally:
        rig.stack.start_process("postgres")
    eventually(lambda: _ready(rig) == 0, "it is ready again", 30)
    assert rig.stack.pid("worker-asr") == before


def test_a_child_that_stops_in_the_middle_is_replaced(rig: Rig) -> None:
    """SIGSTOP of the only process of a pool: the lease runs out, the process is killed, its successor does the work."""
    task = rig.submit()
    name, child = rig.worker_of(rig.running(task, "transcribe"))
    before = rig.stack.pid(name)
    os.kill(child, signal.SIGSTOP)
    assert rig.caller.wait(task, timeout_s=RECOVERY_S) == "done"
    assert rig.stack.pid(name) == before  # the others of the pool would not have been touched
    assert child not in members(before or 0)


def test_deaf_workers_are_seen_and_start_again(rig: Rig, pulses: Path) -> None:
    """A consumer without its queue, a main process that is stopped, and a child that never begins: each worker is
    ended, started again, and does what waited."""
    before = {name: rig.stack.pid(name) for name in ("worker-cpu", "worker-asr", "worker-diarize")}
    main = before["worker-diarize"]
    assert main is not None
    Celery(broker=rig.stack.env["REDIS_URL"]).control.cancel_consumer("asr", [f"asr@{socket.gethostname()}"])
    eventually(lambda: "Canceling queue asr" in rig.stack.log("worker-asr").read_text(), "it is cancelled", 30)
    task = rig.submit(diarization="true")
    rig.reached(task, "convert", "done")
    os.kill(main, signal.SIGSTOP)
    eventually(lambda: _crew(rig, "asr") == (0, 1), "the deaf one is seen", DEAF_S + 2)
    eventually(lambda: _has_nothing_to_do(rig, "worker-cpu"), "the converter is idle", 30)
    (idle,) = _children(rig, "worker-cpu")
    os.kill(idle, signal.SIGSTOP)
    other = rig.submit()

    eventually(lambda: not _is_well(pulses / "diarize"), "the stopped one has no pulse", DEAF_S + 2)
    for one in (task, other):
        assert rig.caller.wait(one, timeout_s=RECOVERY_S) == "done"
    assert all(rig.stack.pid(name) not in (None, pid) for name, pid in before.items())
    for queue in ("cpu", "asr", "diarize"):
        eventually(lambda queue=queue: _crew(rig, queue) == (1, 0), f"one hears again on {queue}", 30)  # type: ignore[misc]
        eventually(lambda queue=queue: _is_well(pulses / queue), f"its pulse goes on for {queue}", 30)  # type: ignore[misc]
    assert "none is fetched" in rig.stack.log("worker-asr").read_text()
    assert "no child begins" in rig.stack.log("worker-cpu").read_text()
    assert "worker_hangs" in rig.stack.log("worker-diarize").read_text()
    rig.check_history()


def test_a_worker_that_ends_in_order_says_goodbye(rig: Rig) -> None:
    """Nobody takes it for deaf: its row is gone with it."""
    rig.stack.stop_process("worker-diarize")
    assert "diarize" not in {queue for row in rig.truth.rows(select(Worker.queues)) for queue in row.queues}
    assert _crew(rig, "diarize") == (0, 0)


def _children(rig: Rig, name: str) -> list[int]:
    """The pool of a worker."""
    main = rig.stack.pid(name) or 0
    return [pid for pid in members(main) if pid != main]


def _has_nothing_to_do(rig: Rig, name: str) -> bool:
    """What it fetched has ended."""
    log = rig.stack.log(name).read_text()
    return log.count("] received") == log.count("] succeeded in")


def _crew(rig: Rig, queue: str) -> tuple[int, int]:
    queue_health = httpx.get(f"{rig.stack.url}/health/async", timeout=10).json()["queues"][queue]
    return queue_health["workers"], queue_health["deaf"]


def _is_well(pulse: Path) -> bool:
    """What the health check of a container says, with less patience."""
    return health_check.file(pulse, SILENT_S) is None


def _ready(rig: Rig) -> int:
    """What the readiness probe of a worker says."""
    probe = (sys.executable, "-m", "scripts.health_check", "worker")
    return subprocess.run(probe, cwd=ROOT, env=rig.stack.env, capture_output=True, timeout=30, check=False).returncode
