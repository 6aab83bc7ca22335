"""Cancelling and deleting work that runs: its worker is free for others within 5 s, also when it does not listen."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.bench.soak import chaos
from scripts.bench.soak.caller import Task
from scripts.local.apps import API, BEAT, worker
from tests.faults.rig import Rig, asleep, eventually, long_recording, start

FREE_S = 5
"""What is promised where a ring is answered at once."""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One process per queue: speech recognition listens every 0.8 s, diarization is deaf for a minute."""
    workers = (
        worker("io", "io,cpu", 1, 1),
        asleep(worker("asr", "asr", 1, 1), 8),
        asleep(worker("diarize", "diarize", 1, 1), 600),
    )
    with start(tmp_path_factory.mktemp("slow"), (API, *workers, BEAT)) as rig:
        yield rig


@pytest.fixture
def rig(slow: Rig) -> Iterator[Rig]:
    """When a test is over, so is everything that it began: no worker is busy with it any more."""
    yield slow
    for task in slow.tasks:
        if not task.is_deleted:
            slow.caller.delete(task)
    scratch = slow.stack.home.scratch
    eventually(lambda: not any(path.is_dir() for path in scratch.iterdir()), "nobody works", 30)
    slow.check_history()


def test_cancelling_a_decode_frees_the_worker(rig: Rig) -> None:
    """A recording that decodes for a minute is let go of, and the next one is converted."""
    _cancel_for_another(rig, rig.submit(long_recording()), rig.submit(), "convert")


def test_cancelling_a_hung_decode_frees_the_worker(rig: Rig) -> None:
    """The same when the decoder does not move any more."""
    task = rig.submit(long_recording())
    eventually(lambda: bool(chaos.decoders(rig.stack, "worker-io")), "it is being decoded", 30)
    (decoder,) = chaos.decoders(rig.stack, "worker-io")
    os.kill(decoder, signal.SIGSTOP)
    _cancel_for_another(rig, task, rig.submit(), "convert")


def test_cancelling_a_transcription_frees_the_worker(rig: Rig) -> None:
    """Work that listens stops between two segments, in the process it runs in."""
    before, after = _cancel_for_another(rig, rig.submit(), rig.submit(), "transcribe")
    assert before == after


def test_cancelling_work_that_is_deaf_ends_its_process(rig: Rig) -> None:
    """Work that does not come back is ended with its process; another takes its place, nobody else is touched."""
    task = rig.submit(diarization=True)
    before, after = _cancel_for_another(rig, task, rig.submit(diarization=True), "diarize")
    assert before != after


def test_deleting_a_running_task_frees_the_worker_and_leaves_nothing(rig: Rig) -> None:
    """A receipt, no object below its prefix, no row, and the next job runs."""
    task, other = rig.submit(), rig.submit()
    with _held(rig, task, "transcribe"):
        rig.reached(other, "transcribe", "queued")
    free_s = FREE_S + _waited_s(rig, task, "transcribe")
    receipt = rig.caller.delete(task)
    freed_s = eventually(lambda: rig.truth.stage(other.id, "transcribe").attempt > 0, "the worker is free", free_s)
    print(f"free after {freed_s:.1f} s")
    assert (receipt["erased"], receipt["verified"], receipt["objects"]) == (
        True,
        True,
        3,
    )  # the upload, its audio and the copy
    assert rig.truth.objects(task.id) == []
    assert rig.truth.stages(task.id) == []
    assert rig.caller.http.get(f"/status/{task.id}").status_code == 404


def _cancel_for_another(rig: Rig, task: Task, other: Task, stage: str) -> tuple[str | None, str | None]:
    """Cancel `task` in `stage`, for which `other` waits; returns who held it and who holds the other now."""
    with _held(rig, task, stage) as before:
        rig.reached(other, stage, "queued")
    free_s = FREE_S + _waited_s(rig, task, stage)
    assert rig.caller.cancel(task) == "cancelling"
    freed_s = eventually(lambda: rig.truth.stage(other.id, stage).attempt > 0, "the worker is free", free_s)
    assert rig.caller.wait(task) == "cancelled"
    assert rig.truth.stage(task.id, stage).state == "cancelled"
    print(f"{stage}: free after {freed_s:.1f} s")
    return before, rig.truth.stage(other.id, stage).worker


@contextmanager
def _held(rig: Rig, task: Task, stage: str) -> Iterator[str | None]:
    """A stage that runs does not come to its end during the block; the worker that has it."""
    row = rig.running(task, stage)
    _, pid = rig.worker_of(row)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield row.worker
    finally:
        os.kill(pid, signal.SIGCONT)


def _waited_s(rig: Rig, task: Task, stage: str) -> float:
    """How long a stage has waited for a worker that was free: what a ring and a claim take here and now."""
    rows = {row.name: row for row in rig.truth.stages(task.id)}
    ready_at = rig.truth.jobs()[task.id].created_at if stage == "convert" else rows["convert"].finished_at
    started_at = rows[stage].started_at
    assert ready_at is not None
    assert started_at is not None
    return (started_at - ready_at).total_seconds()
