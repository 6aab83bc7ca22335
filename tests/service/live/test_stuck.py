"""A live worker whose model hangs: its sessions go on elsewhere, and it ends."""

from __future__ import annotations

import os

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.rig import eventually
from tests.service.live.client import frames
from tests.service.live.conftest import Rig
from tests.service.live.stopped_thread import StoppedThread, processor_ticks
from tests.service.live.test_faults import Steady, all_listen, check, listener

TAKEN_OVER_S = 120
"""LIVE_STALL_S of these tests, and a few seconds, on a machine that has time."""


def times_stuck(rig: Rig, name: str) -> float:
    """As a worker's metrics say."""
    families = text_string_to_metric_families(httpx.get(rig.stack.metrics_urls[name], timeout=60).text)
    return sum(each.value for family in families for each in family.samples if each.name == "parley_live_stuck_total")


def test_a_session_leaves_a_model_that_hangs(rig: Rig, sound: bytes) -> None:
    """The thread that does the model's work stops in mid-session, the process lives on: another worker has the session
    soon, its log says what it was, and the process ends and is started again."""
    eventually(lambda: all_listen(rig), "both listen", 120)
    steady = Steady(rig, frames(sound))
    ticks: dict[int, int] = {}
    stopped: list[StoppedThread] = []
    name, pid, before, events, stuck_before = "", 0, "", 0, 0.0

    def disturb(client: Steady) -> None:
        nonlocal name, pid, before, events, stuck_before
        if not pid and client.frames >= 8:
            eventually(lambda: rig.session(client.task).event > 0, "it is heard", TAKEN_OVER_S)
            name, row = listener(rig, client.task)
            stuck_before = times_stuck(rig, name)
            pid, before, events = rig.stack.pid(name) or 0, str(row.worker), row.event
            ticks.update(processor_ticks(pid))
        elif pid and not stopped and client.frames >= 28:
            # by what the threads have used meanwhile; of a worker that is late the model's might have done nothing yet
            eventually(lambda: rig.session(client.task).event > events, "more is heard", TAKEN_OVER_S)
            now = processor_ticks(pid)
            stopped.append(StoppedThread(max(now, key=lambda tid: now[tid] - ticks.get(tid, 0))))
        elif stopped and client.frames == 40:
            took = eventually(lambda: rig.session(client.task).worker not in (before, None), "taken over", TAKEN_OVER_S)
            print(f"taken over after {took:.1f} s")

    try:
        steady.run(disturb)
        assert stopped
        assert os.WEXITSTATUS(stopped[0].await_end()) == 1
    finally:
        for thread in stopped:
            thread.let_go()
    assert '"listening_stuck"' in rig.stack.log(name).read_text()
    eventually(lambda: all_listen(rig), "both listen again", 120)
    assert times_stuck(rig, name) > stuck_before
    check(rig, steady, sound)
