"""A worker goes on with the next stage of the job that it is at: the claim comes with the end of the stage before."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from scripts.bench.soak import chaos
from scripts.bench.soak.caller import Task
from scripts.local.apps import API, App, worker
from shared.claims import Answer, Claim, Claimant
from shared.db import session
from shared.errors import LeaseLost
from shared.kernel import erasure, jobs, leases
from shared.kernel.jobs import Outcome
from shared.models import Artifact, Stage
from tests.faults.rig import PATIENCE_S, Rig, eventually, start
from tests.service.kernel.test_kernel import SUMMARY, claim, complete, expire, stage_row, state, submit

HOLD = "PAUSE_WHILE"
"""As pausing.py has it, which cannot be imported here: it changes the stages of its process."""

WORKER, OTHER = Claimant("one@here:1", 30), Claimant("two@here:2", 30)
DEAF_S = 4
SHORT = {"lease_s": 10, "heartbeat_s": 0.25, "sweep_interval_s": 1, "ring_again_s": 2, "deaf_timeout_s": DEAF_S}


# ---- the kernel


def at_hand(owner: uuid.UUID, stage: str, content: str | None = None, **options: object) -> Claim:
    """The claim on a stage of a new job, all before it done by others."""
    return led_to(submit(owner, content, **options)[0], stage)


def led_to(job_id: uuid.UUID, stage: str) -> Claim:
    for name in ("convert", "transcribe", "merge"):
        held = claim(job_id, name)
        assert held
        if name == stage:
            return held
        complete(held)
    raise AssertionError(stage)


def handed_on(held: Claim) -> Outcome:
    """Hand in what the stage before has made as this one's answer."""
    (before,) = held.inputs
    assert before.key
    with session() as opened:
        return leases.complete(opened, held, Answer(before.key, 1, SUMMARY), WORKER)


def test_short_stages_follow_without_a_ring(owner: uuid.UUID) -> None:
    """transcribe, merge, store by one worker: nobody is rung for them, and the job is done."""
    merge = complete(at_hand(owner, "transcribe"), claimant=WORKER)
    assert merge.claim
    assert not merge.rings
    assert (merge.claim.stage, merge.claim.attempt, merge.claim.queued_s) == ("merge", 1, 0.0)
    assert [one.stage for one in merge.claim.inputs] == ["transcribe"]
    row = stage_row(merge.claim.job_id, "merge")
    assert (row.state, row.worker, row.fence) == ("running", WORKER.worker, 1)
    assert claim(merge.claim.job_id, "merge") is None
    store = complete(merge.claim, claimant=WORKER)
    assert store.claim
    assert not store.rings
    assert complete(store.claim, claimant=WORKER) == Outcome()
    assert state(store.claim.job_id) == "done"


def test_whoever_settles_the_last_need_goes_on(owner: uuid.UUID) -> None:
    """With diarization under way the worker of speech recognition has nothing to go on with; then that of diarization
    has."""
    held = at_hand(owner, "transcribe", diarization=True)
    other = claim(held.job_id, "diarize")
    assert other
    assert complete(held, claimant=WORKER).claim is None
    following = complete(other, claimant=OTHER).claim
    assert following
    assert {one.stage for one in following.inputs} == {"transcribe", "diarize"}


def test_no_stage_of_a_model_follows(owner: uuid.UUID) -> None:
    """Whoever converts leaves recognition to the queue, where keys take turns."""
    held = at_hand(owner, "convert")
    outcome = complete(held, claimant=WORKER)
    assert outcome.claim is None
    assert (held.job_id, "transcribe") in {(bell.job_id, bell.stage) for bell in outcome.rings}


def test_nothing_follows_in_a_task_that_is_cancelled(owner: uuid.UUID) -> None:
    """A cancel before the end of a stage leaves nothing to go on with; one behind it finds the next stage running."""
    held = at_hand(owner, "transcribe")
    with session() as opened:
        jobs.cancel(opened, owner, held.job_id)
    assert complete(held, claimant=WORKER).claim is None
    assert state(held.job_id) == "cancelled"
    following = complete(at_hand(owner, "transcribe"), claimant=WORKER).claim
    assert following
    with session() as opened:
        assert jobs.cancel(opened, owner, following.job_id).state == "cancelling"
        assert leases.heartbeat(opened, following, progress=0.5, lease_s=30) == "cancelled"
    assert complete(following, claimant=WORKER).claim is None
    assert state(following.job_id) == "cancelled"


def test_a_stale_worker_is_given_nothing(owner: uuid.UUID) -> None:
    """Its lease ran out: it hands nothing in and claims nothing. A repeated end, after a lost COMMIT, neither."""
    held = at_hand(owner, "transcribe")
    expire(held.job_id)
    with pytest.raises(LeaseLost):
        complete(held, claimant=WORKER)
    again = claim(held.job_id, "transcribe")
    assert again
    assert complete(again, claimant=WORKER).claim
    assert complete(again, claimant=WORKER) == Outcome()


def test_the_object_of_merge_becomes_that_of_store(owner: uuid.UUID) -> None:
    """Its row is the final answer's from then on, and is gone with the job; an equal task is answered by it."""
    content = uuid.uuid4().hex
    merge = at_hand(owner, "merge", content)
    store = complete(merge, claimant=WORKER).claim
    assert store
    outcome = handed_on(store)
    assert not outcome.duplicate
    with session() as opened:
        row = opened.scalars(select(Artifact).where(Artifact.key == store.inputs[0].key)).one()
        assert (row.stage, row.hash, row.meta) == ("store", store.hash, SUMMARY)
        users = opened.scalars(select(Stage.name).where(Stage.artifact_id == row.id)).all()
        assert sorted(users) == ["merge", "store"]
    again, _ = submit(owner, content)
    assert state(again) == "done"
    with session() as opened:
        assert row.key not in erasure.erase(opened, owner, store.job_id).keys
    with session() as opened:
        assert row.key in erasure.erase(opened, owner, again).keys


def gone_on(held: Claim) -> Claim:
    following = complete(held, claimant=WORKER).claim
    assert following
    return following


def test_two_equal_tasks_end_at_once(owner: uuid.UUID) -> None:
    """Both hand in the object of the merge that both refer to, at the same moment: one row is left, both are done."""
    for _ in range(5):
        content = uuid.uuid4().hex
        jobs_of_both = [submit(owner, content)[0] for _ in range(2)]
        first, second = (led_to(job_id, "transcribe") for job_id in jobs_of_both)
        merges = [gone_on(first), gone_on(second)]
        stores = [gone_on(merges[0]), gone_on(merges[1])]
        assert len({store.inputs[0].key for store in stores}) == 1
        failures: list[BaseException] = []

        def end(held: Claim, failures: list[BaseException] = failures) -> None:
            try:
                handed_on(held)
            except BaseException as error:  # told by the test's own thread
                failures.append(error)
                raise

        threads = [threading.Thread(target=end, args=(held,)) for held in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert failures == []
        assert {state(held.job_id) for held in (first, second)} == {"done"}


# ---- real workers, held in a short stage between merge and store


def pausing(app: App, file: Path) -> App:
    """The app with the stage of pausing.py."""
    env = {**app.env, HOLD: str(file)}
    return replace(app, arguments=("tests.service.workers.pausing", *app.arguments), env=env)


@pytest.fixture(scope="module")
def pause(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pause") / "file"


@pytest.fixture(scope="module")
def shared_rig(tmp_path_factory: pytest.TempPathFactory, pause: Path) -> Iterator[Rig]:
    apps = (API, worker("io", "io,cpu", 1, 1), worker("asr", "asr", 1, 1), worker("asr-2", "asr", 1, 1))
    knowing = [pausing(app, pause) for app in apps]
    with start(tmp_path_factory.mktemp("going_on"), knowing, sleeper_seconds=0.2, **SHORT) as running:
        yield running


@pytest.fixture
def rig(shared_rig: Rig, pause: Path) -> Iterator[Rig]:
    """Every task is held between merge and store while the file is there."""
    pause.touch()
    yield shared_rig
    pause.unlink(missing_ok=True)
    shared_rig.check_history()


def held_between(rig: Rig) -> tuple[Task, str, int]:
    """A task whose worker of speech recognition has gone on, and that worker and its process."""
    task = rig.submit()
    name, pid = rig.worker_of(rig.running(task, "pause"))
    assert name.startswith("worker-asr")
    rows = {row.name: row for row in rig.truth.stages(task.id)}
    assert len({rows[stage].worker for stage in ("transcribe", "merge", "pause")}) == 1
    assert rows["merge"].started_at == rows["transcribe"].finished_at
    return task, name, pid


def test_a_worker_that_goes_on_is_not_deaf(rig: Rig, pause: Path) -> None:
    """Though it holds another stage than it was rung for, longer than a deaf one is left alone, nobody ends it."""
    task, _, pid = held_between(rig)
    time.sleep(2 * DEAF_S)
    assert rig.worker_of(rig.truth.stage(task.id, "pause"))[1] == pid
    pause.unlink()
    assert rig.caller.wait(task) == "done"
    rows = {row.name: row for row in rig.truth.stages(task.id)}
    assert {name: row.attempt for name, row in rows.items() if row.attempt != 1} == {"download": 0, "diarize": 0}
    assert len([key for key in rig.truth.objects(task.id) if key.endswith(".json")]) == 3  # store has none of its own


def test_kill_9_between_two_stages(rig: Rig, pause: Path) -> None:
    """What was committed stays; the stage that it had gone on with is done by somebody else when its lease runs out."""
    task, _, pid = held_between(rig)
    chaos.kill(pid)
    pause.unlink()
    assert rig.caller.wait(task) == "done"
    rows = {row.name: row for row in rig.truth.stages(task.id)}
    assert {name: rows[name].attempt for name in ("transcribe", "merge", "pause")} == {
        "transcribe": 1,
        "merge": 1,
        "pause": 2,
    }


def test_a_worker_told_to_stop_goes_on_no_further(rig: Rig, pause: Path) -> None:
    """SIGTERM between two stages: the one that it is at goes back to the queue, no attempt counted, others end it."""
    task, name, _ = held_between(rig)
    leader = rig.stack.pid(name)
    assert leader
    os.kill(leader, signal.SIGTERM)
    eventually(lambda: rig.truth.stage(task.id, "pause").fence == 2, "another worker has it", PATIENCE_S)
    assert rig.truth.stage(task.id, "pause").attempt == 1
    pause.unlink()
    assert rig.caller.wait(task) == "done"


def test_a_cancel_between_two_stages_frees_the_worker(rig: Rig, pause: Path) -> None:
    """The stage that the worker went on with hears of it, and nothing follows."""
    task, _, pid = held_between(rig)
    assert rig.caller.cancel(task) == "cancelling"
    assert rig.caller.wait(task) == "cancelled"
    assert {row.name: row.state for row in rig.truth.stages(task.id)}["store"] == "cancelled"
    pause.unlink()
    assert Path(f"/proc/{pid}").exists()
