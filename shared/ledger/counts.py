"""What the ledger says. Each function is one statement and exact: what it gives is what counting the rows would give.

A count is its folded row and the changes that no sweep has added to it yet, so a look reads as many rows as there are
counts, and changes of the last seconds. It does not depend on the length of the queue.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Subquery, func, select, text, union_all
from sqlalchemy.orm import Session

from shared.models import ApiKey, BatchCount, JobChange, OwnerCount, StageChange, StageCount
from shared.states import TERMINAL, JobState, StageState

UNFINISHED = tuple(state for state in JobState if state not in TERMINAL and state != JobState.LIVE)
"""Of live sessions a table of their own has few rows, which are counted."""


@dataclass(frozen=True, slots=True)
class BatchPart:
    """Tasks of a batch in one state. `has_begun` says whether a worker has begun them."""

    state: JobState
    has_begun: bool
    count: int


def stages(session: Session) -> Mapping[tuple[str, int, str], int]:
    """Stages that are queued or running, by name, priority and state. What there is none of is missing."""
    rows = _union(StageCount, StageChange, "name", "priority", "state")
    key, total = (rows.c.name, rows.c.priority, rows.c.state), func.sum(rows.c.n)
    counted = session.execute(select(*key, total).group_by(*key).having(total != 0))
    return {(name, priority, state): int(n) for name, priority, state, n in counted}


def jobs(session: Session) -> Mapping[JobState, int]:
    """Unfinished tasks of all keys by state, zeros too."""
    rows = _union(OwnerCount, JobChange, "owner_id", "state")
    query = select(rows.c.state, func.sum(rows.c.n)).where(rows.c.state.in_(UNFINISHED)).group_by(rows.c.state)
    return dict.fromkeys(UNFINISHED, 0) | {JobState(state): int(n) for state, n in session.execute(query)}


def waiting(session: Session, owner_id: uuid.UUID | None = None) -> int:
    """Tasks that no worker has begun: of one key, or of all."""
    rows = _union(OwnerCount, JobChange, "owner_id", "state")
    query = select(func.sum(rows.c.n)).where(rows.c.state == JobState.QUEUED)
    return int(session.scalar(query.where(rows.c.owner_id == owner_id) if owner_id else query) or 0)


def busiest(session: Session, limit: int) -> Sequence[tuple[str, int]]:
    """Names of the keys that have the most unfinished tasks, and how many; keys of one name count as one."""
    rows = _union(OwnerCount, JobChange, "owner_id", "state")
    total = func.sum(rows.c.n)
    # first by key: there are fewer of them than of rows, and only then their names are looked up
    by_key = select(rows.c.owner_id, total.label("n")).where(rows.c.state.in_(UNFINISHED)).group_by(rows.c.owner_id)
    keys = by_key.having(total != 0).subquery()
    by_name = func.sum(keys.c.n)
    query = select(ApiKey.name, by_name).join(keys, keys.c.owner_id == ApiKey.id).group_by(ApiKey.name)
    return [(name, int(n)) for name, n in session.execute(query.order_by(by_name.desc()).limit(limit))]


def batches(session: Session, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Sequence[BatchPart]]:
    """The tasks of these batches that there still are."""
    rows = _union(BatchCount, JobChange, "batch_id", "state", "has_begun")
    key, total = (rows.c.batch_id, rows.c.state, rows.c.has_begun), func.sum(rows.c.n)
    counted = session.execute(
        select(*key, total).where(rows.c.batch_id.in_(ids)).group_by(*key).having(total != 0)
    ).all()
    parts: dict[uuid.UUID, list[BatchPart]] = {batch_id: [] for batch_id in ids}
    for batch_id, state, has_begun, n in counted:
        parts[batch_id].append(BatchPart(JobState(state), has_begun, int(n)))
    return parts


def oldest(session: Session) -> Mapping[tuple[str, int], float]:
    """Age in seconds of the first task in the queue of each stage and priority; ids are in the order of submission."""
    return {(name, priority): float(seconds) for name, priority, seconds in session.execute(_OLDEST)}


def held(session: Session) -> Mapping[str, int]:
    """Stages under a live lease, by name: as many rows are read as stages run."""
    return dict(session.execute(_HELD).all())


def _union(folded: Any, changes: Any, *key: str) -> Subquery:
    """The rows of both tables: the key and `n`."""
    return union_all(
        *(select(*(getattr(table, name) for name in (*key, "n"))) for table in (folded, changes))
    ).subquery()


# ---- SQL. States are constants, as the partial indexes have them.

# from the first entry of the index to the first one of the next stage and priority; MIN would read the whole queue, and
# for a stage of which none waits the planner might look for one in the order of the primary key
_OLDEST = text("""
    WITH RECURSIVE first AS (
        (SELECT name, priority, job_id FROM stages WHERE state = 'queued' ORDER BY name, priority, job_id LIMIT 1)
        UNION ALL
        SELECT following.* FROM first CROSS JOIN LATERAL (
            SELECT name, priority, job_id FROM stages
            WHERE state = 'queued' AND (name, priority) > (first.name, first.priority)
            ORDER BY name, priority, job_id LIMIT 1
        ) AS following
    )
    SELECT name, first.priority, extract(epoch FROM now() - created_at)
    FROM first JOIN jobs ON jobs.id = first.job_id
""")

_HELD = text(f"""
    SELECT name, count(*) FROM stages WHERE state = '{StageState.RUNNING}' AND lease_until > now() GROUP BY name
""")  # noqa: S608
