"""A worker that is frozen past its lease and comes back: a zombie that must change nothing."""

from __future__ import annotations

from pathlib import Path

from scripts.bench.soak import chaos
from scripts.local_apps import API, BEAT, worker
from tests.faults.rig import asleep, eventually, start

SHORT = {"lease_s": 3, "heartbeat_s": 0.25, "sweep_interval_s": 1, "ring_again_s": 2}
SLOW_S, FAST_S = 12, 1


def test_a_frozen_worker_that_comes_back_changes_nothing(tmp_path: Path) -> None:
    """SIGSTOP right before it hands in, another finishes, SIGCONT: its answer is refused and removed, it works on."""
    workers = (
        worker("io", "io,cpu", 1, 1),
        asleep(worker("slow", "asr", 1, 1), SLOW_S),
        asleep(worker("fast", "asr", 1, 1), FAST_S),
    )
    with start(tmp_path, (API, *workers, BEAT), **SHORT) as rig:
        rig.stack.stop_process("worker-fast")
        task = rig.submit()
        held = rig.running(task, "transcribe", 0.9)  # in its last nap
        assert rig.worker_of(held)[0] == "worker-slow"
        frozen = chaos.freeze(rig.stack, "worker-slow")
        assert rig.truth.stage(task.id, "transcribe").state == "running"
        rig.stack.start_process("worker-fast")
        assert rig.caller.wait(task) == "done"
        published = rig.truth.stage(task.id, "transcribe")
        (key,) = [row.key for row in rig.truth.artifacts() if row.stage == "transcribe"]
        assert published.fence > held.fence
        assert key.endswith(f"{task.id}/transcribe/0.{published.fence}.json")

        chaos.thaw(frozen)
        log = rig.stack.log("worker-slow")
        eventually(lambda: "stage_superseded" in log.read_text(), "its answer is refused", 15)
        eventually(lambda: _transcriptions(rig.truth.objects(task.id)) == [key], "its object is gone", 5)
        after = rig.truth.stage(task.id, "transcribe")
        assert (after.fence, after.artifact_id, after.finished_at, after.worker) == (
            published.fence, published.artifact_id, published.finished_at, published.worker,
        )  # fmt: skip

        rig.stack.stop_process("worker-fast")
        later = rig.submit()
        assert rig.worker_of(rig.running(later, "transcribe")) == rig.worker_of(held)  # the very same process
        assert rig.caller.wait(later) == "done"
        rig.check_history()


def _transcriptions(keys: list[str]) -> list[str]:
    return [key for key in keys if "/transcribe/" in key]
