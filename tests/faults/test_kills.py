"""`kill -9`, mostly with the real lease, heartbeat and sweep."""

from __future__ import annotations

import os
import signal
import time

from scripts.bench.soak import chaos
from scripts.bench.soak.caller import Task
from tests.faults.rig import PATIENCE_S, Rig, eventually, long_recording, stopped

RECOVERY_S = 45
"""What is promised: a lease of 30 s, the sweep every 5 s, a restart, and some room."""


def test_kills_of_a_child_a_worker_and_beat_delay_jobs_by_45_s_at_most(rig: Rig) -> None:
    """All three at the same moment: both jobs end with one transcript each, in time, on the second attempt."""
    began = time.monotonic()
    assert rig.caller.wait(rig.submit()) == "done"
    work_s = time.monotonic() - began

    tasks = [rig.submit(), rig.submit()]
    (first, child), (second, _) = (_stopped(rig, task) for task in tasks)
    assert {first, second} == {"worker-asr", "worker-asr-2"}
    chaos.kill(child)
    chaos.kill_tree(rig.stack, second)
    chaos.kill_tree(rig.stack, "beat")
    killed = time.monotonic()
    for task, what in zip(tasks, ("pool child", "worker tree"), strict=True):
        assert rig.caller.wait(task, timeout_s=RECOVERY_S + work_s) == "done"
        print(f"{what}: done {time.monotonic() - killed:.1f} s after the kill; undisturbed {work_s:.1f} s")
        assert rig.truth.stage(task.id, "transcribe").attempt == 2


def test_busy_converters_do_not_hold_up_a_recovery(brisk_rig: Rig) -> None:
    """The sweep does not wait for a free process: with every converter busy for long, a killed worker's job goes on."""
    rig, recording = brisk_rig, long_recording()
    task = rig.submit()
    _, child = _stopped(rig, task)
    busy = [rig.submit(recording), rig.submit(recording)]
    for other in busy:
        rig.running(other, "convert")
    chaos.kill(child)
    killed = time.monotonic()
    eventually(lambda: rig.truth.stage(task.id, "transcribe").attempt == 2, "another process has it", RECOVERY_S)
    assert {rig.truth.stage(other.id, "convert").state for other in busy} == {"running"}
    print(f"taken over {time.monotonic() - killed:.1f} s after the kill, converters busy")
    for other in busy:
        rig.caller.delete(other)
    assert rig.caller.wait(task) == "done"


def test_no_temporary_file_outlives_a_killed_worker(rig: Rig) -> None:
    """Killed while it decodes, alone or with its worker: decoder and folder are gone when the next process is there."""
    scratch = rig.stack.home.scratch
    recording = long_recording()
    for how in ("child", "tree"):
        task = rig.submit(recording)
        name, pid = rig.worker_of(rig.running(task, "convert"))
        eventually(lambda: any(scratch.glob("convert-*/source")), "the recording is being decoded", 30)
        eventually(lambda name=name: bool(chaos.decoders(rig.stack, name)), "the decoder runs", 30)  # type: ignore[misc]
        decoders = chaos.decoders(rig.stack, name)
        if how == "child":
            chaos.kill(pid)
        else:
            chaos.kill_tree(rig.stack, name)
        eventually(lambda: not [path for path in scratch.iterdir() if path.is_dir()], "the folder is gone", 30)
        eventually(lambda: not any(map(_runs, decoders)), "the decoder is gone", 30)  # noqa: B023
        rig.caller.delete(task)


def test_a_worker_told_to_stop_hands_its_work_over(rig: Rig) -> None:
    """SIGTERM: the stage is queued and rung at once, by nobody but the worker itself, no attempt counted, another one
    has it; the process ends."""
    task = rig.submit()
    name, _ = rig.worker_of(rig.running(task, "transcribe"))
    leader = rig.stack.pid(name)
    assert leader is not None
    with stopped(rig, "beat"):  # so that no sweep puts right what the worker leaves behind
        os.kill(leader, signal.SIGTERM)
        signal_at = time.monotonic()
        taken_s = eventually(lambda: rig.truth.stage(task.id, "transcribe").fence == 2, "it is taken", PATIENCE_S)
        row = rig.truth.stage(task.id, "transcribe")
        assert (row.attempt, rig.worker_of(row)[0] != name) == (1, True)
        eventually(lambda: not _runs(leader), "the process has ended", PATIENCE_S)
    print(f"taken over after {taken_s:.1f} s, process ended after {time.monotonic() - signal_at:.1f} s")
    assert rig.caller.wait(task) == "done"


def _stopped(rig: Rig, task: Task) -> tuple[str, int]:
    """The worker and the process that transcribe a task. SIGSTOP keeps it from the end until it is killed."""
    name, pid = rig.worker_of(rig.running(task, "transcribe"))
    os.kill(pid, signal.SIGSTOP)
    return name, pid


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
