"""A whole stack with sleeping engines, and what tests of failure do to it and want to know of it."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from scripts.bench.soak import chaos
from scripts.bench.soak.caller import Caller, Task
from scripts.bench.soak.history import check, table
from scripts.bench.soak.truth import Truth, bare_environment
from scripts.local.apps import App
from scripts.local.stack import Stack
from shared.models import Stage
from shared.states import StageState

PATIENCE_S = 120
"""For what comes sooner or later, and says nothing by its time."""


class Rig:
    """A running stack, a caller of its gateway, and the truth behind it. `tasks` are all that were submitted here."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.truth = stack, Truth(stack)
        self.caller = Caller(stack.url, stack.api_key)
        self.tasks: list[Task] = []

    def submit(self, recording: bytes | None = None, **fields: object) -> Task:
        """A task that the gateway acknowledged."""
        self.tasks.append(self.caller.submit(recording, **fields))
        return self.tasks[-1]

    def running(self, task: Task, stage: str, share: float = 0, timeout_s: float = PATIENCE_S) -> Stage:
        """The row of a stage once a worker has done at least `share` of it."""
        return self.reached(task, stage, StageState.RUNNING, share, timeout_s)

    def reached(self, task: Task, stage: str, state: str, share: float = 0, timeout_s: float = PATIENCE_S) -> Stage:
        """The row of a stage once it is in `state`, as it was then."""
        rows: list[Stage] = []

        def is_there() -> bool:
            rows[:] = [self.truth.stage(task.id, stage)]
            return rows[0].state == state and rows[0].progress >= share

        eventually(is_there, f"{stage} {state} {share:.0%}", timeout_s)
        return rows[0]

    def worker_of(self, row: Stage) -> tuple[str, int]:
        """The worker, by its name in the stack, and the pool process that hold the lease of a stage."""
        pid = int((row.worker or "").rpartition(":")[2])
        leader = os.getsid(pid)
        return next(name for name in self.stack.names() if self.stack.pid(name) == leader), pid

    def check_history(self) -> None:
        """Every task so far: ended, one transcript of its own, nothing left over."""
        checks = check(self.tasks, self.truth)
        assert not any(each.broken for each in checks), table(checks)


@contextmanager
def start(home: Path, apps: Iterable[App], **settings: object) -> Iterator[Rig]:
    """A stack with sleeping engines, up when every worker is."""
    variables = {name.upper(): str(value) for name, value in settings.items()}
    apps = tuple(apps)
    served = [app.arguments[app.arguments.index("-Q") + 1] for app in apps if "-Q" in app.arguments]
    queues = set(",".join(served).split(","))
    with Stack(
        home, apps=apps, environ={**bare_environment(), "ENGINE": "sleeper", "OBJECT_STORE": "s3", **variables}
    ) as stack:
        rig = Rig(stack)
        eventually(lambda: queues <= rig.truth.queues(), "every queue has a worker", PATIENCE_S)
        yield rig


@contextmanager
def stopped(rig: Rig, name: str) -> Iterator[None]:
    """One process is away during the block. It is there again for other tests, however this one goes."""
    rig.stack.stop_process(name)
    try:
        yield
    finally:
        rig.stack.start_process(name)


@contextmanager
def frozen(rig: Rig, name: str) -> Iterator[None]:
    """One process and all its children do nothing during the block."""
    pids = chaos.freeze(rig.stack, name)
    try:
        yield
    finally:
        chaos.thaw(pids)


def asleep(app: App, seconds: float) -> App:
    """A worker whose engine sleeps so long, in ten pieces; between two of them it listens."""
    return replace(app, env={**app.env, "SLEEPER_SECONDS": str(seconds)})


def eventually(condition: Callable[[], bool], what: str, timeout_s: float) -> float:
    """Seconds until the condition held. Fails when it does not within `timeout_s`."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began


def long_recording(hours: float = 3) -> bytes:
    """About a minute of work for the decoder in 5 MB: silence with eight channels at 192 kHz, one packet many times."""
    rate, content = 192_000, io.BytesIO()
    with av.open(content, "w", format="matroska") as container:
        stream = container.add_stream("flac", rate=rate, layout="7.1")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8 * rate), np.int16), format="s16", layout="7.1")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        encoded = stream.encode(frame)
        steady, length = bytes(encoded[1]), encoded[1].pts - encoded[0].pts
        for number in range(int(hours * 3600 * rate / length)):
            packet = av.Packet(steady)
            packet.stream, packet.time_base, packet.duration = stream, Fraction(1, rate), length
            packet.pts = packet.dts = number * length
            container.mux(packet)
    return content.getvalue()
