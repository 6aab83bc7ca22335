"""The ring window: how many doorbells of one API key wait in Redis at once, and which stage is rung next.

A stage that is ready waits in PostgreSQL (`queued`, `rung_at` null) until its key has a place: `RING_WINDOW` rings per
key, queue and priority. A claim frees the place, the end of the stage fills it again. So Redis holds a bounded number
of messages whatever the backlog, each still names its job, and the choice of the next is made late.

Who is heard first is the level of the message, a list of its own in Redis: the next task of a key that has nothing
running or rung there goes before every further task of the others; among equals priority decides, then age. So a key
that floods the queue delays another key's next task by what runs already, and no more.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import TextClause, func, select, text
from sqlalchemy.orm import Session

from shared.config import settings
from shared.models import ApiKey, Stage
from shared.rings import Ring, level
from shared.stages import HEAVY
from shared.states import StageState

RINGS_PER_SLOT = 2
"""One that is taken up now and one that lies ready, so that no worker waits for the database between two stages."""

LEAST_WINDOW = 2
"""While no worker lives: the first that starts finds something to do."""

MOST_AT_AN_END, MOST_IN_A_SWEEP = 10, 1000
"""Rings that one transaction takes from a backlog: for a key, and in a sweep for all of them together. Each is a row to
change and a message to send, and where slots were added by the hundred there is room for 100,000s."""

LIVE_S = 30.0
"""A worker that was not heard from for so long has no slots."""

REFILL_LOCK = 7_275_540
"""Advisory lock, any constant: one sweep at a time, or several would fill the same window."""


@dataclass(slots=True)
class _Place:
    """One key's window for one queue and priority, as it stands."""

    owner_id: uuid.UUID
    queue: str
    priority: int
    room: int  # rings that may be added to those that wait in Redis; below 0 when there are too many
    ahead: int  # rung or running, at this priority or a more urgent one
    rung_at_all: int  # whatever the priority
    running: int  # whatever the priority
    oldest: uuid.UUID | None  # job at the head of the backlog
    contested: bool  # another key has rung here too
    allowance: int | None  # heavy stages that the key may still have; None is any number

    @property
    def free(self) -> int:
        """How many may be rung now."""
        return max(0, self.room if self.allowance is None else min(self.room, self.allowance))


def ring_next(
    session: Session, owner_id: uuid.UUID, priority: int, ready: Sequence[Stage], ended: str | None
) -> tuple[Ring, ...]:
    """Queue the stages that became ready and ring what the windows allow, theirs and that of the queue where a stage
    `ended`. Call last in the transaction: rows of other jobs are locked, so nothing may be waited for afterwards.
    """
    queues = {row.queue for row in ready}
    if ended:
        queues |= HEAVY if ended in HEAVY else {ended}
    if not queues:
        return ()
    rows = session.execute(_of_one_key(len(queues)), binds(owner_id, priority, queues))
    bells: list[Ring] = []
    for place in map(_place, rows):
        fresh = [row for row in ready if row.queue == place.queue and priority == place.priority]
        heavy = sum(bell.queue in HEAVY for bell in bells)
        bells += _fill(session, place, fresh, rung_already=heavy, most=max(MOST_AT_AN_END, len(fresh)))
        is_its_turn = place.queue == ended and place.priority == priority and not place.running
        if is_its_turn and place.rung_at_all and place.contested:
            bells += _to_the_front(session, place)
    session.flush()
    return tuple(bells)


def rings_of_fresh(session: Session, place: Sequence[Any], job_id: uuid.UUID, stage: str) -> tuple[Ring, ...]:
    """The rings for a job whose only stage that is ready was inserted by one statement (submission/fresh_job.py).

    place : as `of_one_key` gave it to that statement, which rang if there was room and no backlog
    """
    rings = rings_of_first(place, job_id, stage)
    return tuple(_fill(session, _place(place), (), rung_already=0, most=MOST_AT_AN_END)) if rings is None else rings


def rings_of_first(place: Sequence[Any], job_id: uuid.UUID, stage: str) -> tuple[Ring, ...] | None:
    """The same where the job is the first in its backlog, or there is no room; None where others are to be rung."""
    key_place = _place(place)
    if key_place.oldest is None:
        return tuple(_bells(key_place, [(job_id, stage, 0)] if key_place.free else ()))
    return None if key_place.free else ()


def ring_backlog(
    session: Session, owner_id: uuid.UUID, priority: int, queues: Collection[str], most: int = 0
) -> tuple[Ring, ...]:
    """Ring what waits in these queues as far as there is room, and up to `most` where that is more than usual. Call
    last in the transaction, as `ring_next`.
    """
    bells: list[Ring] = []
    for place in map(_place, session.execute(_of_one_key(len(queues)), binds(owner_id, priority, queues))):
        heavy = sum(bell.queue in HEAVY for bell in bells)
        bells += _fill(session, place, (), rung_already=heavy, most=max(MOST_AT_AN_END, most))
    return tuple(bells)


def refill(session: Session) -> tuple[Ring, ...]:
    """Ring for every backlog whose window has room: what lost rings, cancelled tasks and new workers left open."""
    if not session.scalar(select(func.pg_try_advisory_xact_lock(REFILL_LOCK))):
        return ()
    open_places = [place for place in map(_place, session.execute(_OF_ALL_BACKLOGS, _window_binds())) if place.free]
    most = max(LEAST_WINDOW, MOST_IN_A_SWEEP // max(1, len(open_places)))
    heavy: dict[uuid.UUID, int] = {}
    bells: list[Ring] = []
    for place in sorted(open_places, key=lambda place: (place.priority, place.running, place.oldest)):
        added = _fill(session, place, (), rung_already=heavy.get(place.owner_id, 0), most=most)
        if place.queue in HEAVY:
            heavy[place.owner_id] = heavy.get(place.owner_id, 0) + len(added)
        bells += added
    return tuple(bells)


def is_at_limit(session: Session, owner_id: uuid.UUID, queue: str) -> bool:
    """Whether the key runs as many heavy stages as it may. A key with a limit is locked until the claim is committed.

    The window already keeps to the limit; this holds it when several workers answer at the same moment.
    """
    if queue not in HEAVY:
        return False
    limit = _limit(session.scalar(select(ApiKey.max_running).where(ApiKey.id == owner_id)))
    if limit is None:
        return False
    session.execute(select(ApiKey.id).where(ApiKey.id == owner_id).with_for_update(key_share=True))
    running = select(func.count()).where(
        Stage.owner_id == owner_id, Stage.queue.in_(HEAVY), Stage.state == StageState.RUNNING, is_rung()
    )
    return (session.scalar(running) or 0) >= limit


def is_rung() -> TextClause:
    """The condition of the index of what is rung or runs, without which the planner may read a backlog of a million."""
    return text(RUNG)


def _limit(override: int | None) -> int | None:
    return (settings().max_running if override is None else override) or None


def _fill(session: Session, place: _Place, fresh: Sequence[Stage], *, rung_already: int, most: int) -> list[Ring]:
    """Ring as many as there is room for, the oldest first; `fresh` stages join the backlog when there is one, of which
    at most `most` are taken.
    """
    for row in fresh:
        row.state = StageState.QUEUED
    if place.allowance is not None and place.queue in HEAVY:
        place.allowance -= rung_already
    entries: list[tuple[uuid.UUID, str, int]] = []
    if place.oldest is None:
        for row in fresh[: place.free]:
            row.rung_at, row.rings = func.now(), 1
            entries.append((row.job_id, row.name, row.shard))
    elif place.free:
        session.flush()
        binds = {"owner": place.owner_id, "queue": place.queue, "priority": place.priority}
        rows = session.execute(_TAKE, binds | {"free": min(place.free, most)})
        entries = sorted((row.job_id, row.name, row.shard) for row in rows)
    return _bells(place, entries)


def _bells(place: _Place, entries: Iterable[tuple[uuid.UUID, str, int]]) -> list[Ring]:
    return [
        Ring(job_id, stage, shard, place.queue, level(place.priority, is_first=place.ahead + number == 0))
        for number, (job_id, stage, shard) in enumerate(entries)
    ]


def _to_the_front(session: Session, place: _Place) -> list[Ring]:
    """Nothing of the key runs any more and what it has rung stands behind the rings of others: its first is rung again.

    The earlier message finds nothing to claim when its turn comes.
    """
    rows = session.execute(_FIRST_RUNG, {"owner": place.owner_id, "queue": place.queue})
    return [Ring(row.job_id, row.name, row.shard, place.queue, level(row.priority, is_first=True)) for row in rows]


def _place(row: Sequence[Any]) -> _Place:
    return _Place(*row)


def _window_binds() -> dict[str, Any]:
    config = settings()
    return {"max_running": config.max_running, "ring_window": config.ring_window, "live_s": LIVE_S}


# ---- SQL. The conditions on state and rung_at are constants, word for word those of the partial indexes in models.py:
# ---- as parameters they could not be matched with an index. CASE, because then no other index fits: the planner, which
# ---- does not know how few are rung, would prefer that of all live stages and read the whole backlog.

RUNG = "CASE WHEN rung_at IS NOT NULL THEN state END IN ('queued', 'running')"
BACKLOG = "rung_at IS NULL AND state = 'queued'"
_IS_HEAVY = f"queue IN ({', '.join(repr(queue) for queue in sorted(HEAVY))})"


HAS_ROOM = "oldest IS NULL AND room > 0"
"""Whether the next stage that becomes ready in a place, whose key has no limit there, is rung at once."""


def _window(relation: str) -> str:
    """The windows of `relation`, of owner_id, queue and priority, joined to its key's limit."""
    # fewer rings than slots would leave slots idle until somebody rings again
    return f"""
        WITH wanted AS ({relation})
        SELECT owner_id, wanted.queue, priority,
               greatest(coalesce(nullif(:ring_window, 0), {RINGS_PER_SLOT} * slots), slots, {LEAST_WINDOW}) - rung
               AS room, ahead, rung_at_all, running, oldest,
               EXISTS (
                   SELECT FROM stages
                   WHERE queue = wanted.queue AND owner_id <> wanted.owner_id AND state <> 'running' AND {RUNG}
               ) AS contested,
               CASE WHEN max_running > 0 AND {_IS_HEAVY} THEN max_running - (
                   SELECT count(*) FROM stages
                   WHERE owner_id = wanted.owner_id AND {_IS_HEAVY} AND {RUNG}
                     AND (state = 'running' OR priority <= wanted.priority)
               ) END AS allowance
        FROM wanted
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE state = 'queued' AND priority = wanted.priority) AS rung,
                   count(*) FILTER (WHERE priority <= wanted.priority) AS ahead,
                   count(*) FILTER (WHERE state = 'queued') AS rung_at_all,
                   count(*) FILTER (WHERE state = 'running') AS running
            FROM stages WHERE queue = wanted.queue AND owner_id = wanted.owner_id AND {RUNG}
        ) AS own
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(slots), 0) AS slots FROM workers
            WHERE wanted.queue = ANY(queues) AND seen_at > now() - make_interval(secs => :live_s)
        ) AS fleet
        LEFT JOIN LATERAL (
            SELECT job_id AS oldest FROM stages
            WHERE queue = wanted.queue AND owner_id = wanted.owner_id AND priority = wanted.priority AND {BACKLOG}
            ORDER BY job_id, name, shard LIMIT 1
        ) AS backlog ON true
        ORDER BY priority, oldest, queue
    """  # noqa: S608 - made of constants


def of_one_key(queues: int) -> str:
    """The windows of so many queues, whose parameters are `binds`, for one key and priority.

    VALUES, because PostgreSQL cannot guess the length of an array: it would plan this statement every time."""
    return _window(f"""
        SELECT api_keys.id AS owner_id, queue, priority, coalesce(max_running, :max_running) AS max_running
        FROM api_keys,
             (VALUES {", ".join(f"(:queue_{number})" for number in range(queues))}) AS queues(queue),
             (VALUES (0), (1), (2)) AS priorities(priority)
        WHERE api_keys.id = :owner
          -- what a key with a limit may run next can be of any priority
          AND (priority = :priority OR (coalesce(max_running, :max_running) > 0 AND {_IS_HEAVY}))
    """)  # noqa: S608


@cache
def _of_one_key(queues: int) -> TextClause:
    return text(of_one_key(queues))


def binds(owner_id: uuid.UUID, priority: int, queues: Iterable[str]) -> dict[str, Any]:
    """The parameters of `of_one_key`."""
    named = {f"queue_{number}": queue for number, queue in enumerate(sorted(queues))}
    return {"owner": owner_id, "priority": priority, **named, **_window_binds()}


# from the first entry of the index to the first one of the next key, and so on; DISTINCT would read the whole backlog
_OF_ALL_BACKLOGS = text(
    _window(f"""
    WITH RECURSIVE waiting AS (
        (SELECT queue, owner_id, priority FROM stages WHERE {BACKLOG} ORDER BY queue, owner_id, priority LIMIT 1)
        UNION ALL
        SELECT following.* FROM waiting CROSS JOIN LATERAL (
            SELECT queue, owner_id, priority FROM stages
            WHERE {BACKLOG} AND (queue, owner_id, priority) > (waiting.queue, waiting.owner_id, waiting.priority)
            ORDER BY queue, owner_id, priority LIMIT 1
        ) AS following
    )
    SELECT owner_id, queue, priority, coalesce(max_running, :max_running) AS max_running
    FROM waiting JOIN api_keys ON api_keys.id = waiting.owner_id
""")  # noqa: S608
)

_TAKE = text(f"""
    WITH oldest AS MATERIALIZED (
        SELECT job_id, name, shard FROM stages
        WHERE queue = :queue AND owner_id = :owner AND priority = :priority AND {BACKLOG}
        ORDER BY job_id, name, shard LIMIT :free
        FOR UPDATE SKIP LOCKED
    )
    UPDATE stages SET rung_at = now(), rings = 1 FROM oldest
    WHERE (stages.job_id, stages.name, stages.shard) = (oldest.job_id, oldest.name, oldest.shard)
    RETURNING stages.job_id, stages.name, stages.shard
""")  # noqa: S608

_FIRST_RUNG = text(f"""
    SELECT job_id, name, shard, priority FROM stages
    WHERE queue = :queue AND owner_id = :owner AND state = 'queued' AND {RUNG}
    ORDER BY priority, job_id, name, shard LIMIT 1
""")  # noqa: S608
