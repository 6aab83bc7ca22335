"""Flower, started as `make run` starts it, shows what becomes of jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from scripts.local.apps import APPS, BEAT, WORKERS
from tests.faults.rig import PATIENCE_S, Rig, eventually, start

SWEEPS = 5


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with start(tmp_path_factory.mktemp("flower"), (*APPS, BEAT), sleeper_seconds=0.1, sweep_interval_s=0.5) as rig:
        eventually(
            lambda: flower_page(rig, "/healthcheck") is not None, "Flower, for which nobody waits, is up", PATIENCE_S
        )
        eventually(lambda: heard_of(rig) == len(WORKERS), "events of all workers reach it", PATIENCE_S)
        yield rig


def flower_page(rig: Rig, path: str, **parameters: str) -> httpx.Response | None:
    """An answer of Flower's; None while it is not up."""
    login = ("parley", rig.stack.flower_password)
    try:
        return httpx.get(rig.stack.flower_url + path, params=parameters, auth=login, timeout=PATIENCE_S)
    except httpx.TransportError:
        return None


def body(rig: Rig, path: str, **parameters: str) -> dict[str, Any]:
    answer = flower_page(rig, path, **parameters)
    assert answer is not None
    content: dict[str, Any] = answer.raise_for_status().json()
    return content


def heard_of(rig: Rig) -> int:
    """Workers that have told Flower of themselves. It answers before it listens, and what is told until then is lost:
    of a task it would know an end without a name."""
    return len(body(rig, "/workers", json="1")["data"])


def sweeps(rig: Rig) -> int:
    """Runs of the sweep, as the workers count them."""
    workers = body(rig, "/api/workers", refresh="1")
    return sum(worker.get("stats", {}).get("total", {}).get("parley.sweep", 0) for worker in workers.values())


def test_the_list_has_the_stages_of_jobs_and_no_sweep(rig: Rig) -> None:
    """While the sweep runs again and again, the list of tasks has every stage of two jobs that was rung for and nothing
    else, so neither what a worker went on with; the page shows which job each is for."""
    before = sweeps(rig)
    tasks = [rig.submit(diarization="true") for _ in range(2)]
    for task in tasks:
        assert rig.caller.wait(task, timeout_s=PATIENCE_S) == "done"
    eventually(lambda: sweeps(rig) >= before + SWEEPS, "the sweep has run", PATIENCE_S)

    stages = ("convert", "transcribe", "diarize")
    expected = {(f"parley.{stage}", f"job {task.id}, {stage}") for task in tasks for stage in stages}

    def listed() -> set[tuple[str, str]]:
        return {(each["name"], each["args"]) for each in body(rig, "/api/tasks").values() if each["state"] == "SUCCESS"}

    eventually(lambda: expected <= listed(), "Flower has heard of all stages", PATIENCE_S)
    everything = body(rig, "/api/tasks").values()
    assert {each["name"] for each in everything} == {name for name, _ in expected}
    page = flower_page(rig, "/tasks")
    assert page is not None
    columns = re.findall(r'<th data-column="(\w+)"', page.text)
    assert columns[:3] == ["name", "args", "state"]
