"""Workers that lose their lease before they can hand in: frozen and thawed, or killed. Leases are short here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from scripts.bench.soak import chaos
from scripts.local.apps import API, BEAT, worker
from tests.faults.rig import PATIENCE_S, Rig, asleep, eventually, frozen, start, stopped

SHORT = {"lease_s": 10, "heartbeat_s": 0.25, "sweep_interval_s": 1, "ring_again_s": 2, "grace_s": 10}
"""Leases are short; whoever has lost one has the time to come to its end, and is not killed on the way."""

SLOW_S, FAST_S = 20, 1


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A slow and a fast worker for speech recognition; the fast one is off until a test wants it."""
    workers = (
        worker("io", "io,cpu", 1, 1),
        asleep(worker("slow", "asr", 1, 1), SLOW_S),
        asleep(worker("fast", "asr", 1, 1), FAST_S),
    )
    with start(tmp_path_factory.mktemp("stale"), (API, *workers, BEAT), **SHORT) as running:
        running.stack.stop_process("worker-fast")
        yield running


def test_a_frozen_worker_that_comes_back_changes_nothing(rig: Rig) -> None:
    """SIGSTOP right before it hands in, another finishes, SIGCONT: its answer is refused and removed, it works on."""
    task = rig.submit()
    held = rig.running(task, "transcribe", 0.9)  # in its last nap
    with ExitStack() as cold:
        cold.enter_context(frozen(rig, "worker-slow"))
        assert rig.truth.stage(task.id, "transcribe").state == "running"
        assert rig.worker_of(held)[0] == "worker-slow"
        with _fast(rig):
            assert rig.caller.wait(task) == "done"
            published = rig.truth.stage(task.id, "transcribe")
            (key,) = [row.key for row in rig.truth.artifacts() if row.id == published.artifact_id]
            assert published.fence > held.fence
            assert key.endswith(f"{task.id}/transcribe/0.{published.fence}.json")

            cold.close()
            log = rig.stack.log("worker-slow")
            eventually(lambda: "stage_superseded" in log.read_text(), "its answer is refused", PATIENCE_S)
            eventually(lambda: _transcriptions(rig, task.id) == [key], "its object is gone", PATIENCE_S)
            after = rig.truth.stage(task.id, "transcribe")
            assert (after.fence, after.artifact_id, after.finished_at, after.worker) == (
                published.fence,
                published.artifact_id,
                published.finished_at,
                published.worker,
            )

    later = rig.submit()
    assert rig.worker_of(rig.running(later, "transcribe")) == rig.worker_of(held)  # the very same process
    assert rig.caller.wait(later) == "done"
    rig.check_history()


def test_an_answer_that_was_stored_and_never_handed_in_is_removed(rig: Rig) -> None:
    """Killed between storage and database: whoever does the stage again leaves one answer, its own."""
    task = rig.submit()
    _, child = rig.worker_of(rig.running(task, "transcribe", 0.4))
    with stopped(rig, "postgres"):
        eventually(lambda: bool(_transcriptions(rig, task.id)), "its answer is stored", PATIENCE_S)
        chaos.kill(child)
        (orphan,) = _transcriptions(rig, task.id)
    with _fast(rig):
        assert rig.caller.wait(task) == "done"
    (key,) = _transcriptions(rig, task.id)
    assert key != orphan
    assert rig.truth.stage(task.id, "transcribe").attempt == 2
    rig.check_history()


@contextmanager
def _fast(rig: Rig) -> Iterator[None]:
    """The fast worker is there for the block."""
    rig.stack.start_process("worker-fast")
    try:
        yield
    finally:
        rig.stack.stop_process("worker-fast")


def _transcriptions(rig: Rig, task_id: object) -> list[str]:
    return [key for key in rig.truth.storage.list("") if f"/{task_id}/transcribe/" in key]
