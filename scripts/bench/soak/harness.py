"""Short jobs from several callers at once while processes are killed at random; afterwards the history is checked."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import func, select

from scripts.bench.soak import chaos
from scripts.bench.soak.caller import Caller, Task
from scripts.bench.soak.history import Check, check
from scripts.bench.soak.truth import Truth, bare_environment
from scripts.local.apps import API, BEAT, worker
from scripts.local.processes import members
from scripts.local.stack import Stack
from shared.models import Stage
from shared.states import StageState

CALLERS = 12
"""Jobs in flight: enough that every worker has one to lose, few enough that each is soon done."""

WORKERS = tuple(
    worker(name, name, concurrency, 1) for name, concurrency in (("io", 1), ("cpu", 2), ("asr", 2), ("diarize", 2))
)

SETTINGS = {
    "ENGINE": "sleeper",
    "SLEEPER_SECONDS": "0.4",
    # short leases, or a run would mostly wait
    "LEASE_S": "3",
    "HEARTBEAT_S": "0.5",
    "GRACE_S": "1",
    "SWEEP_INTERVAL_S": "1",
    "RING_AGAIN_S": "2",
    # with 3, a job that is killed three times by chance would rightly be given up as poison
    "MAX_ATTEMPTS": "50",
}

PAUSE_S = (0.1, 0.6)
"""Between two kills, so that the survivors get some work done."""

JOB_TIMEOUT_S = 120
POLL_S = 0.4

TARGETS = {"busy child": 50, "any child": 30, "worker": 8, "beat": 4, "api": 4, "valkey": 4}
"""What is killed, by weight: the process that holds a lease now, a pool process, a worker with its pool, ..."""


@dataclass
class Outcome:
    """What a run did and what the check of its history says."""

    seconds: float
    tasks: int
    refused: int
    kills: Counter[str]
    lost: Sequence[Task]
    checks: Sequence[Check]

    @property
    def is_clean(self) -> bool:
        return not self.lost and not any(result.broken for result in self.checks)


@dataclass
class _Traffic:
    """Callers that submit, poll and read until `enough` is set. A request that fails is no task."""

    stack: Stack
    seed: int
    tasks: list[Task] = field(default_factory=list)
    lost: list[Task] = field(default_factory=list)
    refused: int = 0
    finished: int = 0
    enough: threading.Event = field(default_factory=threading.Event)

    def run(self, number: int) -> None:
        caller = Caller(self.stack.url, self.stack.api_key, POLL_S)
        choice = random.Random(f"{self.seed}/{number}")  # noqa: S311 - a reproducible choice is wanted
        while not self.enough.is_set():
            try:
                task = caller.submit(diarization=choice.random() < 0.5)
            except (httpx.TransportError, httpx.HTTPStatusError):  # the gateway is being killed as well
                self.refused += 1
                self.enough.wait(0.2)
                continue
            self.tasks.append(task)
            try:
                if caller.wait(task, timeout_s=JOB_TIMEOUT_S) == "done":
                    _read(caller, task)
            except TimeoutError:
                self.lost.append(task)
            self.finished += 1


def run(home: Path, *, jobs: int, kills: int, seed: int, report: Callable[[str], None]) -> Outcome:
    """At least `jobs` jobs and `kills` kills on a stack of its own in `home`."""
    began = time.monotonic()
    environ = {**bare_environment(), **SETTINGS}
    with Stack(home, apps=(API, *WORKERS, BEAT), environ=environ, report=lambda text: None) as stack:
        truth, traffic, killed = Truth(stack), _Traffic(stack, seed), Counter[str]()
        choice = random.Random(seed)  # noqa: S311
        with ThreadPoolExecutor(CALLERS) as pool:
            callers = [pool.submit(traffic.run, number) for number in range(CALLERS)]
            try:
                while killed.total() < kills or traffic.finished < jobs:
                    time.sleep(choice.uniform(*PAUSE_S))
                    if any(caller.done() for caller in callers):
                        break  # a bug in the harness itself; result() raises it
                    # kills are spread over all jobs
                    if killed.total() < kills and traffic.finished * kills >= killed.total() * jobs:
                        killed[_kill(stack, truth, choice)] += 1
                        if killed.total() % 20 == 0:
                            report(f"{killed.total()} kills, {traffic.finished} jobs, {time.monotonic() - began:.0f} s")
            finally:
                traffic.enough.set()
        for caller in callers:
            caller.result()
        checks = check(traffic.tasks, truth)
        seconds = time.monotonic() - began
        return Outcome(seconds, len(traffic.tasks), traffic.refused, killed, traffic.lost, checks)


def _kill(stack: Stack, truth: Truth, choice: random.Random) -> str:
    """Kill something; returns what it was."""
    (target,) = choice.choices(list(TARGETS), list(TARGETS.values()))
    names = [app.name for app in WORKERS]
    match target:
        case "busy child":
            pid = _holder_of_a_lease(stack, truth, names)
            if pid is None:
                return _kill_any_child(stack, choice, names)
            chaos.kill(pid)
        case "any child":
            return _kill_any_child(stack, choice, names)
        case "worker":
            name = choice.choice(names)
            chaos.kill_tree(stack, name)
            chaos.replace(stack, name)
        case name:
            chaos.kill_tree(stack, name)
            chaos.replace(stack, name)
    return target


def _kill_any_child(stack: Stack, choice: random.Random, names: list[str]) -> str:
    pids = [pid for name in names for pid in chaos.children(stack, name)]
    if pids:
        chaos.kill(choice.choice(pids))
    return "any child"


def _holder_of_a_lease(stack: Stack, truth: Truth, names: list[str]) -> int | None:
    """A process that runs a stage at this moment and belongs to this stack."""
    running = select(Stage.worker).where(Stage.state == StageState.RUNNING).order_by(func.random()).limit(1)
    stack_pids = {pid for name in names for pid in members(stack.pid(name) or 0)}
    pids = [int(row.worker.rpartition(":")[2]) for row in truth.rows(running)]
    return next((pid for pid in pids if pid in stack_pids), None)


def _read(caller: Caller, task: Task) -> None:
    """Also past a gateway that is being restarted."""
    deadline = time.monotonic() + JOB_TIMEOUT_S
    while True:
        try:
            caller.read(task)
            return
        except (httpx.TransportError, httpx.HTTPStatusError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
