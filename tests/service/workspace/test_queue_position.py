"""A waiting task says how many tasks of its key are served before it, and how long the work on it will take."""

from __future__ import annotations

import json
import uuid

import pytest
from sqlalchemy import text

from shared.db import first_row, session
from shared.kernel.job_views import FAR, Waiting, places
from shared.options import PRIORITIES
from tests.service.gateway import Caller, Gateway, finish, hand_in, work_on

BACKLOG = """
WITH tasks AS (
    INSERT INTO jobs (id, owner_id, state, priority, options)
    SELECT CAST(lpad(to_hex(number), 32, '0') AS uuid), :owner, 'processing', 1, '{}'
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS number RETURNING id
)
INSERT INTO stages (job_id, name, owner_id, priority, state, queue, hash)
SELECT id, 'diarize', :owner, 1, 'queued', 'diarize', '' FROM tasks
"""


def position(caller: Caller, task: uuid.UUID) -> int | None:
    at_once = caller.http.get(f"/status/{task}").json()["queue_position"]
    assert caller.http.get(f"/status/{task}", params={"wait": 0}).json()["queue_position"] == at_once
    place: int | None = at_once
    return place


def test_tasks_are_counted_in_the_order_in_which_they_are_served(gateway: Gateway, caller: Caller) -> None:
    """By priority, then by age; what has begun does not count, nor does what other keys have."""
    gateway.caller().task()
    tasks = [caller.task() for _ in range(4)]
    assert [position(caller, task) for task in tasks] == [1, 2, 3, 4]
    urgent, idle = caller.task(priority="interactive"), caller.task(priority="batch")
    assert [position(caller, task) for task in (urgent, *tasks, idle)] == [1, 2, 3, 4, 5, 6]
    claim = work_on(urgent, "convert")
    assert [position(caller, task) for task in (urgent, *tasks, idle)] == [None, 1, 2, 3, 4, 5]
    hand_in(claim, gateway.storage)
    assert position(caller, urgent) == 1
    caller.http.post(f"/tasks/{tasks[0]}/cancel").raise_for_status()
    assert [position(caller, task) for task in tasks] == [None, 1, 2, 3]


def test_far_places_are_not_counted(caller: Caller) -> None:
    """Behind a thousand others it is the thousandth, whatever their number."""
    with session() as work:
        work.execute(text(BACKLOG), {"owner": caller.id, "first": 1, "last": FAR + 200})
    assert position(caller, uuid.UUID(int=FAR - 1)) == FAR - 1
    assert [position(caller, uuid.UUID(int=number)) for number in (FAR, FAR + 200)] == [FAR, FAR]


def test_many_are_told_what_each_is_told_alone(gateway: Gateway, caller: Caller) -> None:
    """One question for all followers has the places that a question for each has: of several keys, queues and
    priorities, rung or not, and of more tasks than are counted. Of one that does not wait it has none."""
    other = gateway.caller()
    wishes = (("normal", caller), ("interactive", caller), ("batch", other), ("normal", other))
    tasks = [(one.task(priority=wish), one, "cpu", PRIORITIES[wish]) for wish, one in wishes for _ in range(3)]
    with session() as work:
        work.execute(text(BACKLOG), {"owner": other.id, "first": FAR + 1000, "last": 2 * FAR + 1200})
        far = [(uuid.UUID(int=number), other, "diarize", 1) for number in (FAR + 1000, 2 * FAR, 2 * FAR + 1100)]
        waiting = [Waiting(task, one.id, queue, priority) for task, one, queue, priority in (*tasks, *far)]
        alone = {row[0]: row[1] for one in waiting if (row := first_row(work, places([one])))}
        ghost = Waiting(uuid.uuid4(), caller.id, "cpu", 1)
        query = places([*waiting, ghost])
        together = work.connection().exec_driver_sql(query.text, dict(query.parameters)).all()
    assert {row[0]: row[1] for row in together} == {**alone, ghost.job_id: None}
    assert sorted(alone.values())[-1] == FAR


def test_followers_are_told_place_and_forecast(gateway: Gateway, caller: Caller) -> None:
    """A waiting task's stream tells its new place when one before it is gone, and the forecast with each status."""
    recent = caller.task()
    finish(recent, gateway.storage)
    with session() as work:
        speed = "audio_seconds = 4, started_at = finished_at - make_interval(secs => 400)"
        work.execute(text(f"UPDATE stages SET {speed} WHERE job_id = :id AND name = 'transcribe'"), {"id": recent})
    first, second = caller.task(), caller.task()
    lines = {"Accept": "application/x-ndjson"}
    events = []
    with caller.http.stream("GET", f"/tasks/{second}/events", headers=lines) as answer:
        for line in answer.iter_lines():
            event = json.loads(line)
            if event["event"] != "status":
                continue
            events.append(event)
            if event["queue_position"] == 2:
                caller.http.post(f"/tasks/{first}/cancel").raise_for_status()
            elif event["status"] == "queued":
                hand_in(work_on(second, "convert"), gateway.storage)
                work_on(second, "transcribe")
            elif event["stage_detail"] == "transcribe 0 %":
                caller.http.post(f"/tasks/{second}/cancel").raise_for_status()
                break
    assert [event["queue_position"] for event in events][:2] == [2, 1]
    assert events[0]["eta_seconds"] is None
    assert events[-1]["queue_position"] is None
    assert events[-1]["eta_seconds"] == pytest.approx(200, abs=60)  # 2 s of audio at 100 s a second
