"""Tasks that are kept for a time, on a real gateway with real storage."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from shared.db import session
from shared.models import Erasure, Job
from shared.repair import ERASED_AT_ONCE
from tests.service.gateway import Caller, Gateway, eventually, finish, gateway_with

DAY_S, WEEK_S, HOUR_S = 86_400, 604_800, 3600


gateway = gateway_with(JOB_TTL_SECONDS=str(HOUR_S))


def keeping(gateway: Gateway, seconds: int | None) -> Caller:
    """A caller whose tasks an administrator keeps for so long."""
    caller = gateway.caller()
    answer = gateway.caller("admin").http.patch(f"/admin/keys/{caller.id}", json={"retention_seconds": seconds})
    assert (answer.status_code, answer.json()["retention_seconds"]) == (200, seconds), answer.text
    return caller


def kept_s(caller: Caller, task_id: uuid.UUID | str) -> float | None:
    """Seconds between the end of a task and its erasure."""
    detail = caller.http.get(f"/tasks/{task_id}").json()
    if detail["expires_at"] is None:
        return None
    return (
        datetime.fromisoformat(detail["expires_at"]) - datetime.fromisoformat(detail["finished_at"])
    ).total_seconds()


def cancelled(caller: Caller, **fields: Any) -> uuid.UUID:
    """A task that has ended."""
    task = caller.task(**fields)
    caller.http.post(f"/tasks/{task}/cancel").raise_for_status()
    return task


def sweep(gateway: Gateway) -> dict[str, int]:
    answer = gateway.caller("admin").http.post("/jobs/repair")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def make_due(*tasks: uuid.UUID | str) -> None:
    """The time of these is over."""
    with session() as work:
        due = func.now() - timedelta(seconds=1)
        work.execute(update(Job).where(Job.id.in_(tasks)).values(expires_at=due))


def test_the_task_decides_then_its_key_then_the_server(gateway: Gateway) -> None:
    """A task's own time wins, then its key's, where 0 is for ever, then JOB_TTL_SECONDS; a running task has none."""
    weekly, forever, plain = keeping(gateway, WEEK_S), keeping(gateway, 0), keeping(gateway, None)
    assert kept_s(weekly, cancelled(weekly, retention_seconds=str(DAY_S))) == DAY_S
    assert kept_s(weekly, cancelled(weekly)) == WEEK_S
    assert kept_s(forever, cancelled(forever)) is None
    assert kept_s(forever, cancelled(forever, retention_seconds=str(DAY_S))) == DAY_S
    assert kept_s(plain, cancelled(plain)) == HOUR_S
    running = plain.task(retention_seconds=str(DAY_S))
    assert plain.http.get(f"/tasks/{running}").json()["expires_at"] is None
    finish(running, gateway.storage)
    assert kept_s(plain, running) == DAY_S
    assert plain.http.get("/history", params={"status": "done"}).json()["items"][0]["expires_at"] is not None
    for nonsense in ("59", "-1", "2147483648", "soon"):
        assert plain.submit(retention_seconds=nonsense).json()["detail"]["parameter"] == "retention_seconds"


def test_what_is_over_leaves_nothing(gateway: Gateway) -> None:
    """A real second after its end the task is 404, the bucket lists nothing of it, and what it used stays counted."""
    caller = keeping(gateway, 1)
    task = caller.task(tags="short")
    finish(task, gateway.storage, diarization=False)
    assert gateway.objects(caller)
    eventually(lambda: sweep(gateway) and caller.http.get(f"/tasks/{task}").status_code == 404, "the task is erased")
    eventually(lambda: sweep(gateway) and not gateway.objects(caller), "its objects are gone")
    assert caller.http.get(f"/result/{task}").status_code == 404
    assert caller.http.get("/history").json()["items"] == []
    assert caller.http.get("/usage").json()["total"]["tasks"] == 1
    with session() as work:
        assert work.scalars(select(Erasure).where(Erasure.job_id == task)).one().verified_at is not None


def test_what_another_task_uses_stays(gateway: Gateway) -> None:
    """The same recording sent twice: the first task expires, and the second still has its transcript."""
    caller = keeping(gateway, None)
    recording = uuid.uuid4().bytes * 4
    first = caller.task(recording)
    finish(first, gateway.storage)
    second = caller.submit(recording, retention_seconds=str(WEEK_S)).json()["task_id"]
    make_due(first)
    sweep(gateway)
    assert caller.http.get(f"/status/{first}").status_code == 404
    assert caller.http.get(f"/result/{second}").json()["full_text"] == "Hello there. Good day."
    assert kept_s(caller, second) == WEEK_S
    make_due(second)
    sweep(gateway)
    assert gateway.objects(caller) == set()


def test_only_what_is_over_is_erased(gateway: Gateway) -> None:
    """A sweep takes at most a portion of what is over and nothing else; the next one goes on."""
    caller = keeping(gateway, 0)
    staying = cancelled(caller)
    with session() as work:
        job = work.get_one(Job, staying)
        over = [
            Job(owner_id=caller.id, state="cancelled", priority=1, options=job.options, expires_at=func.now())
            for _ in range(ERASED_AT_ONCE + 20)
        ]
        work.add_all(over)
    assert sweep(gateway)["retired"] == ERASED_AT_ONCE
    assert sweep(gateway)["retired"] == 20
    assert [item["task_id"] for item in caller.http.get("/history").json()["items"]] == [str(staying)]
