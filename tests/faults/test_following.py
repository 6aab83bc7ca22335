"""Who follows a task or waits for it does not notice that the database was away."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from scripts.bench.soak.caller import Task, noise
from tests.faults.rig import Rig, eventually, frozen, stopped

TIMEOUT_S = 120


def test_followers_outlast_an_outage_of_the_database(rig: Rig) -> None:
    """A stream and a waiting request that were open before PostgreSQL stopped are served when it is back."""
    task, opened = rig.submit(), threading.Event()
    before = len(rig.truth.jobs())
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(wait, rig, noise())
        following = pool.submit(follow, rig, task, opened)
        assert opened.wait(TIMEOUT_S)
        eventually(lambda: len(rig.truth.jobs()) > before, "there is something to wait for", TIMEOUT_S)
        rig.running(task, "transcribe")
        with ExitStack() as held:
            for name in ("worker-asr", "worker-asr-2"):
                held.enter_context(frozen(rig, name))  # so that nothing ends before PostgreSQL has stopped
            with stopped(rig, "postgres"):
                held.close()
                assert not waiting.done()
                assert not following.done()
                time.sleep(3)
        events = following.result(TIMEOUT_S)
        assert waiting.result(TIMEOUT_S) == (200, "done")
    assert [event["event"] for event in events].count("segment") == 1
    assert (events[-1]["id"], events[-1]["status"]) == ("end", "done")
    assert rig.caller.wait(task) == "done"


def follow(rig: Rig, task: Task, opened: threading.Event) -> list[dict[str, Any]]:
    """All events of a task; `opened` is set with the first."""
    lines, events = {"Accept": "application/x-ndjson"}, []
    with rig.caller.http.stream("GET", f"/tasks/{task.id}/events", headers=lines, timeout=TIMEOUT_S) as answer:
        for line in answer.iter_lines():
            events.append(json.loads(line))
            opened.set()
    return events


def wait(rig: Rig, recording: bytes) -> tuple[int, str]:
    files = {"file": ("call.wav", recording)}
    answer = rig.caller.http.post("/transcribe", files=files, data={"wait": "100"}, timeout=TIMEOUT_S)
    return answer.status_code, str(answer.json().get("status"))
