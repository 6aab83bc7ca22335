"""A long recording in shards, on a stack whose target is so short that ten seconds are long."""

from __future__ import annotations

import io
import json
import os
import signal
import wave

import numpy as np
import pytest

from scripts.bench.soak import chaos
from scripts.bench.soak.caller import Task
from shared.models import Stage
from shared.states import StageState
from shared.transcript import SAMPLE_RATE
from tests.faults.conftest import TARGET_S
from tests.faults.rig import PATIENCE_S, Rig, eventually

SHARDS = 3


@pytest.fixture
def rig(brisk_rig: Rig) -> Rig:
    """Two workers for speech recognition, of which each sleeps over a shard."""
    return brisk_rig


def recording() -> bytes:
    """Twelve seconds of noise that no other test has, hence three shards."""
    noise = np.random.default_rng().integers(-500, 500, SHARDS * TARGET_S * SAMPLE_RATE, np.int16)
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(noise.tobytes())
    return content.getvalue()


def shards(rig: Rig, task: Task) -> list[Stage]:
    rows = [row for row in rig.truth.stages(task.id) if row.name == "transcribe"]
    return sorted(rows, key=lambda row: row.shard)


def running(rig: Rig, task: Task) -> list[Stage]:
    """The shards that run, as soon as there are two; first the one that was begun last and so runs on for longest."""
    rows: list[Stage] = []

    def are_two() -> bool:
        rows[:] = [row for row in shards(rig, task) if row.state == StageState.RUNNING]
        return len(rows) == 2

    eventually(are_two, "two shards run at once", PATIENCE_S)
    return sorted(rows, key=lambda row: row.started_at.timestamp() if row.started_at else 0, reverse=True)


def words(rig: Rig, task: Task) -> list[str]:
    """The transcript: of each shard the one word that its sleeper says."""
    answer = rig.caller.http.get(f"/result/{task.id}").json()
    return [str(word) for word in answer["full_text"].split()]


def test_a_killed_worker_costs_one_shard(rig: Rig) -> None:
    """Two workers share a recording; one is killed: its shard is done again, by somebody else, and no other one."""
    task = rig.submit(recording())
    lost, _ = running(rig, task)
    _, child = rig.worker_of(lost)
    chaos.kill(child)
    assert rig.caller.wait(task, timeout_s=60) == "done"
    rows = shards(rig, task)
    assert [row.attempt for row in rows] == [1 + (row.shard == lost.shard) for row in rows]
    assert len(rows) == SHARDS
    assert words(rig, task) == [row.hash[:12] for row in rows]
    progress = [share for _, share in task.statuses]
    assert progress == sorted(progress)
    rig.caller.delete(task)
    eventually(lambda: rig.truth.objects(task.id) == [], "nothing of any shard is left", 20)


def test_cancelling_stops_all_shards(rig: Rig) -> None:
    """No shard runs on, and those that waited are never begun."""
    task = rig.submit(recording())
    running(rig, task)
    rig.caller.http.post(f"/tasks/{task.id}/cancel").raise_for_status()
    assert rig.caller.wait(task) == "cancelled"
    states = [row.state for row in shards(rig, task)]
    assert states == [StageState.CANCELLED] * SHARDS


def test_the_same_recording_again_is_answered_at_once(rig: Rig) -> None:
    """With another spelling of the result nothing is recognised, with another language all shards are."""
    content = recording()
    first = rig.submit(content)
    assert rig.caller.wait(first) == "done"
    again = rig.submit(content, format="srt")
    assert rig.caller.wait(again) == "done"
    assert [row.attempt for row in shards(rig, again)] == [0] * SHARDS
    other = rig.submit(content, language="de")
    assert rig.caller.wait(other) == "done"
    assert [row.attempt for row in shards(rig, other)] == [1] * SHARDS
    assert words(rig, other) != words(rig, first)


def test_followers_hear_the_shards_in_order(rig: Rig) -> None:
    """However they end, the segments of a recording are told from its beginning to its end, each once."""
    task = rig.submit(recording())
    address, headers = f"/tasks/{task.id}/events", {"Accept": "application/x-ndjson"}
    with rig.caller.http.stream("GET", address, headers=headers, timeout=60) as answer:
        events = [json.loads(line) for line in answer.iter_lines()]
    assert [event["text"].strip() for event in events if event["event"] == "segment"] == words(rig, task)
    assert events[-1]["status"] == "done"


def test_a_worker_that_stops_hands_its_shard_over(rig: Rig) -> None:
    """SIGTERM in the middle of a shard: another worker has it at once, no attempt counted, the others untouched."""
    task = rig.submit(recording())
    shard, _ = running(rig, task)
    leader = rig.stack.pid(rig.worker_of(shard)[0])
    assert leader is not None
    os.kill(leader, signal.SIGTERM)
    assert rig.caller.wait(task, timeout_s=60) == "done"
    rows = shards(rig, task)
    assert [row.attempt for row in rows] == [1] * SHARDS
    assert [row.fence for row in rows] == [1 + (row.shard == shard.shard) for row in rows]
