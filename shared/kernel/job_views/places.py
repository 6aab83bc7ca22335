"""The place of a task among those of its key that wait for the same step.

Counted by the two indexes of the ring window, and no further than FAR, so that a backlog of a million costs as much as
one of a thousand.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from shared.db import Query
from shared.kernel.ring_window import BACKLOG, RUNG

FAR = 1000
"""Places from here on are told as this one."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task that waits for a worker of a queue."""

    job_id: uuid.UUID
    owner_id: uuid.UUID
    queue: str
    priority: int


# ruff: noqa: S608 - made of constants; values are parameters
_OTHERS = "SELECT DISTINCT priority, job_id FROM stages WHERE queue = w.queue AND owner_id = w.owner_id"
PLACES = f"""
    SELECT w.job_id, least({FAR}, 1 + (
        SELECT count(*) FROM (
            (
                {_OTHERS} AND {RUNG} AND state = 'queued' AND (priority, job_id) < (w.priority, w.job_id) LIMIT {FAR}
            ) UNION (
                {_OTHERS} AND priority = w.priority AND job_id < w.job_id AND {BACKLOG} LIMIT {FAR}
            ) UNION (
                {_OTHERS} AND priority < w.priority AND {BACKLOG} LIMIT {FAR}
            )
        ) AS earlier
    ))::int
    FROM unnest(%(jobs)s::uuid[], %(owners)s::uuid[], %(queues)s::text[], %(priorities)s::int[])
        AS w(job_id, owner_id, queue, priority)
"""


_LINE = "SELECT DISTINCT priority, job_id FROM stages WHERE queue = one.queue AND owner_id = one.owner_id"
LINES = f"""
    WITH wanted AS (
        SELECT job_id, owner_id, queue FROM unnest(%(jobs)s::uuid[], %(owners)s::uuid[], %(queues)s::text[])
            AS w(job_id, owner_id, queue)
    ), line AS MATERIALIZED (
        SELECT one.queue, one.owner_id, first.job_id, row_number() OVER (
            PARTITION BY one.queue, one.owner_id ORDER BY first.priority, first.job_id
        ) AS place
        FROM (SELECT DISTINCT queue, owner_id FROM wanted) AS one CROSS JOIN LATERAL (
            ({_LINE} AND {RUNG} AND state = 'queued' ORDER BY priority, job_id LIMIT {FAR})
            UNION ({_LINE} AND {BACKLOG} ORDER BY priority, job_id LIMIT {FAR})
            ORDER BY priority, job_id LIMIT {FAR}
        ) AS first
    ), length AS (
        SELECT queue, owner_id, count(*) AS length FROM line GROUP BY queue, owner_id
    )
    SELECT job_id, coalesce(place, CASE WHEN length = {FAR} THEN {FAR} END)::int
    FROM wanted LEFT JOIN line USING (queue, owner_id, job_id) LEFT JOIN length USING (queue, owner_id)
"""
"""The same for many tasks: each line is read once, not once for each who stands in it."""


def places(waiting: Sequence[Waiting]) -> Query:
    """A row of id and place, from 1 to FAR, for each task; the place may be null of one that has just begun."""
    return Query(
        PLACES if len(waiting) == 1 else LINES,
        {
            "jobs": [one.job_id for one in waiting],
            "owners": [one.owner_id for one in waiting],
            "queues": [one.queue for one in waiting],
            "priorities": [one.priority for one in waiting],
        },
    )
