"""What a key has used, by day and model: what a bill would say. Deleting a task takes nothing back.

Counted in the transaction that makes a task done, so each is counted once, whatever is killed. A task that failed or
was cancelled costs nothing. One that was answered from what was known counts as a task of no minutes and no bytes:
nothing was recognised for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.models import Job, UsageDay

COLUMNS: Mapping[str, Any] = {"day": UsageDay.day, "model": UsageDay.model, "key": UsageDay.owner_id}
"""What use can be told apart by."""


@dataclass(frozen=True, slots=True)
class Use:
    """Finished tasks, their audio and their recordings' size. What they were not told apart by is None."""

    tasks: int
    seconds: float
    bytes: int
    day: date | None = None
    model: str | None = None
    key: uuid.UUID | None = None


def count(session: Session, job: Job) -> None:
    """Count a job that is done. Call late in a transaction: the day's row of key and model is locked until its end."""
    statement = insert(UsageDay).values(
        owner_id=job.owner_id,
        day=today(),
        model=job.model or "",
        tasks=1,
        seconds=0.0 if job.cached else job.duration or 0.0,
        bytes=0 if job.cached else job.source_bytes or 0,
    )
    added = {name: UsageDay.__table__.c[name] + statement.excluded[name] for name in ("tasks", "seconds", "bytes")}
    session.execute(statement.on_conflict_do_update(index_elements=["owner_id", "day", "model"], set_=added))


def used(
    session: Session, owner_id: uuid.UUID | None, since: date, until: date, by: Iterable[str] = ()
) -> Sequence[Use]:
    """Use of a key (None: of all) from one day to another, both included, told apart by some of COLUMNS."""
    names = list(by)
    columns = [COLUMNS[name].label(name) for name in names]
    sums = (func.sum(UsageDay.tasks), func.sum(UsageDay.seconds), func.sum(UsageDay.bytes))
    query = select(*sums, *columns).where(UsageDay.day >= since, UsageDay.day <= until)
    if owner_id:
        query = query.where(UsageDay.owner_id == owner_id)
    rows = session.execute(query.group_by(*columns).order_by(*columns)).all()
    return [
        Use(tasks, seconds, int(size), **dict(zip(names, values, strict=True)))
        for tasks, seconds, size, *values in rows
        if tasks
    ]


def today() -> date:
    """The day that use is counted towards, in UTC."""
    return datetime.now(UTC).date()
