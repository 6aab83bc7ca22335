"""What a key has used, on a real gateway."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared import claims
from shared.claims import Answer
from shared.db import session
from shared.errors import NoAudio
from shared.kernel import leases
from shared.models import UsageDay
from shared.storage import storage
from tests.service.gateway import SUMMARY, Caller, Gateway, finish, work_on

RECORDING = 64
"""Bytes of a recording that nobody sent before."""


def transcribed(task_id: uuid.UUID, *, model: str = "base", seconds: float = 90.0) -> None:
    """Do the workers' part of a task."""
    finish(task_id, storage(), duration=seconds, model=model)


def total(caller: Caller, **query: str) -> dict[str, Any]:
    """Of all days, unless the query says which: a month may begin in the midst of a test."""
    answer = caller.http.get("/usage", params={"since": "2000-01-01", **query})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["total"])


def note(owner_id: uuid.UUID, day: date, model: str, tasks: int, seconds: float) -> None:
    """What was used on another day."""
    with session() as work:
        work.add(UsageDay(owner_id=owner_id, day=day, model=model, tasks=tasks, seconds=seconds, bytes=tasks * 100))


def test_a_finished_task_is_counted_once_and_for_good(caller: Caller) -> None:
    """Tasks, minutes and bytes; one answered from what was known has no minutes, failures cost nothing, deleting takes
    nothing back."""
    assert total(caller) == {"tasks": 0, "minutes": 0, "bytes": 0}
    recording = uuid.uuid4().bytes * 4
    task = caller.task(recording)
    assert total(caller)["tasks"] == 0
    transcribed(task)
    assert total(caller) == {"tasks": 1, "minutes": 1.5, "bytes": RECORDING}
    assert caller.submit(recording).json()["status"] == "done"
    assert total(caller) == {"tasks": 2, "minutes": 1.5, "bytes": RECORDING}
    failing = work_on(caller.task(), "convert")
    with session() as work:
        leases.fail(work, failing, NoAudio("silence"), max_attempts=3)
    caller.http.post(f"/tasks/{caller.task()}/cancel").raise_for_status()
    caller.http.delete(f"/tasks/{task}").raise_for_status()
    assert total(caller) == {"tasks": 2, "minutes": 1.5, "bytes": RECORDING}


def test_tasks_that_end_at_once_are_all_counted(caller: Caller) -> None:
    """Eight tasks of a key whose last stages are completed at the same moment."""
    tasks = [caller.task() for _ in range(8)]
    lasts = []
    for task in tasks:
        for stage in ("convert", "transcribe", "merge"):
            with session() as work:
                claim = leases.claim(work, task, stage, 0, worker="w", device="cpu", lease_s=30)
                assert claim is not None
                leases.complete(work, claim, Answer(f"{caller.id}/{task}/{stage}", 1, {**SUMMARY, "duration": 60.0}))
        lasts.append(work_on(task, "store"))
    barrier = threading.Barrier(len(lasts))

    def complete(claim: claims.Claim) -> None:
        barrier.wait(timeout=10)
        with session() as work:
            leases.complete(work, claim, Answer(f"{caller.id}/{claim.job_id}/end", 1, {**SUMMARY, "duration": 60.0}))

    threads = [threading.Thread(target=complete, args=(claim,)) for claim in lasts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert total(caller) == {"tasks": 8, "minutes": 8, "bytes": 8 * RECORDING}


def test_use_is_told_apart_by_day_and_model(caller: Caller) -> None:
    """By days, by models, by both, or as one sum; both ends of the range are included."""
    first, second = date(2026, 3, 1), date(2026, 3, 2)
    note(caller.id, first, "base", 2, 60.0)
    note(caller.id, first, "large-v3", 1, 30.0)
    note(caller.id, second, "base", 4, 600.0)

    def rows(**query: str) -> list[tuple[Any, ...]]:
        answer = caller.http.get("/usage", params={"since": "2026-03-01", "until": "2026-03-31", **query}).json()
        assert sum(item["tasks"] for item in answer["items"]) == answer["total"]["tasks"]
        return [(item["day"], item["model"], item["tasks"], item["minutes"]) for item in answer["items"]]

    assert rows() == [("2026-03-01", None, 3, 1.5), ("2026-03-02", None, 4, 10.0)]
    assert rows(by="model") == [(None, "base", 6, 11.0), (None, "large-v3", 1, 0.5)]
    assert rows(by="day,model", until="2026-03-01") == [
        ("2026-03-01", "base", 2, 1.0),
        ("2026-03-01", "large-v3", 1, 0.5),
    ]
    assert rows(by="", since="2026-03-02") == [(None, None, 4, 10.0)]
    assert rows(since="2026-03-03") == []


def test_without_days_it_is_this_month(caller: Caller) -> None:
    """From its first day to today, UTC."""
    today = datetime.now(UTC).date()
    note(caller.id, today.replace(day=1) - timedelta(days=1), "base", 1, 60.0)
    answer = caller.http.get("/usage").json()
    assert answer["since"] in (str(today.replace(day=1)), str(datetime.now(UTC).date().replace(day=1)))
    assert answer["total"]["tasks"] == 0


def test_an_administrator_sees_all_keys(gateway: Gateway, caller: Caller) -> None:
    """By key, or one key by its id; a key itself sees its own alone."""
    other, admin = gateway.caller(), gateway.caller("admin")
    for owner, tasks in ((caller, 3), (other, 5)):
        note(owner.id, date(2025, 1, 1), "base", tasks, 60.0)
    days = {"since": "2025-01-01", "until": "2025-01-01"}
    answer = admin.http.get("/admin/usage", params=days).json()
    assert {item["key_id"]: item["tasks"] for item in answer["items"]} == {str(caller.id): 3, str(other.id): 5}
    assert answer["total"]["tasks"] == 8
    one = admin.http.get("/admin/usage", params={**days, "key": str(other.id), "by": "key,day,model"}).json()
    assert [(item["key_id"], item["day"], item["model"]) for item in one["items"]] == [
        (str(other.id), "2025-01-01", "base")
    ]
    assert total(caller, **days)["tasks"] == 3
    assert caller.http.get("/admin/usage").status_code == 403


def test_nonsense_is_refused(caller: Caller) -> None:
    """Days that are none or in the wrong order, and what use cannot be told apart by."""
    for query in (
        {"since": "March"},
        {"until": "0"},
        {"since": "2026-03-02", "until": "2026-03-01"},
        {"by": "week"},
        {"by": "key"},
        {"key": str(caller.id)},
    ):
        answer = caller.http.get("/usage", params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), query
