"""Deleting what is done: everything goes, except what another job of the same key lives on."""

from __future__ import annotations

from scripts.bench.soak.caller import noise
from tests.faults.rig import Rig


def test_deleting_a_finished_task_leaves_nothing(rig: Rig) -> None:
    """The receipt counts the objects, storage holds none of them, no table holds a row, and a second call is 404."""
    task = rig.submit()
    assert rig.caller.wait(task) == "done"
    stored = rig.truth.objects(task.id)
    assert len(stored) == 5  # the upload, what convert (with a copy), transcribe and merge made; store keeps merge's
    receipt = rig.caller.delete(task)
    assert (receipt["task_id"], receipt["erased"], receipt["verified"]) == (str(task.id), True, True)
    assert receipt["objects"] == len(stored)
    assert rig.truth.objects(task.id) == []
    assert task.id not in rig.truth.jobs()
    assert rig.truth.stages(task.id) == []
    assert not [row for row in rig.truth.artifacts() if str(task.id) in row.key]
    assert rig.caller.http.delete(f"/tasks/{task.id}").status_code == 404


def test_shared_answers_live_as_long_as_one_task_uses_them(rig: Rig) -> None:
    """The second task lives on the first one's upload and audio, with its copy; deleting the first keeps only those."""
    recording = noise()
    first = rig.submit(recording)
    assert rig.caller.wait(first) == "done"
    second = rig.submit(recording, prompt="names and numbers")
    assert rig.caller.wait(second) == "done"
    prefix = rig.truth.objects(first.id)[0].split(str(first.id))[0]
    rig.caller.delete(first)
    stages = [key.removeprefix(f"{prefix}{first.id}/").split("/")[0] for key in rig.truth.objects(first.id)]
    assert sorted(stages) == ["convert", "convert", "upload"]
    text = rig.caller.read(second)
    again = rig.submit(recording, prompt="names and dates")  # still good for a third
    assert rig.caller.wait(again) == "done"
    assert rig.caller.read(second) == text
    rig.caller.delete(again)
    rig.caller.delete(second)
    assert [rig.truth.objects(task.id) for task in (first, second, again)] == [[], [], []]
