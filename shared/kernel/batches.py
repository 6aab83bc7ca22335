"""Batches: many tasks that were submitted at once, seen as one.

A batch holds no state of its own but its end, which belongs to the transaction that ends its last task. Its tasks are
counted by the ledger. One that was deleted counts as over; with the last task of a finished batch, the batch goes as
well.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import ARRAY, TextClause, Uuid, bindparam, delete, func, select, text
from sqlalchemy.orm import Session, defer

from shared.errors import NotFound
from shared.kernel.job_views import percent
from shared.ledger import counts
from shared.ledger.counts import UNFINISHED, BatchPart
from shared.models import Batch, Job, Stage
from shared.rings import Ring
from shared.states import TERMINAL, JobState
from shared.webhooks.outbox import announce_batch

Status = Literal["queued", "processing", "done"]


@dataclass(frozen=True, slots=True)
class Overview:
    """A batch as its owner sees it. `progress` is 0..100; `eta_seconds` is None until it can be known."""

    batch: Batch
    status: Status
    counts: Mapping[JobState, int]
    deleted: int
    progress: int
    eta_seconds: int | None


# ---- the end


def settle(session: Session, batch_id: uuid.UUID | None) -> tuple[Ring, ...]:
    """Call when a task of the batch has ended, late in the transaction that ended it: the batch may have ended as well.

    The batch's row is locked after the job's and after answers', so that of two last tasks the second sees that the
    first has ended. Gives the doorbell of the batch's webhook.
    """
    batch = _lock(session, batch_id) if batch_id else None
    if batch is None or batch.finished_at is not None:
        return ()
    # not "outside of TERMINAL", for which every finished task of the batch would be looked at
    unfinished = select(Job.id).where(Job.batch_id == batch_id, Job.state.in_(UNFINISHED)).limit(1)
    if session.scalar(unfinished) is not None:
        return ()
    batch.finished_at = func.now()
    session.flush()
    return announce_batch(session, batch)


def forget_task(session: Session, batch_id: uuid.UUID | None) -> None:
    """Call when a task of the batch was deleted, last in the transaction: it may be over now, or nothing be left of it.

    What is to be told of its end lies in the outbox; nobody rings for it, the next sweep finds it.
    """
    batch = _lock(session, batch_id) if batch_id else None
    if batch is None:
        return
    if batch.finished_at is None:
        settle(session, batch.id)
    elif session.scalar(select(Job.id).where(Job.batch_id == batch.id).limit(1)) is None:
        session.delete(batch)
        session.flush()


def remove(session: Session, batch_id: uuid.UUID) -> None:
    """Delete the batch itself. Its tasks are deleted before."""
    session.execute(delete(Batch).where(Batch.id == batch_id))


def _lock(session: Session, batch_id: uuid.UUID) -> Batch | None:
    row = select(Batch).where(Batch.id == batch_id).with_for_update(key_share=True)
    return session.scalars(row.execution_options(populate_existing=True)).one_or_none()


# ---- reading


def get(session: Session, owner_id: uuid.UUID, batch_id: uuid.UUID) -> Batch:
    """One batch of this owner. Raises NotFound, also for another owner's."""
    batch = session.scalars(select(Batch).where(Batch.id == batch_id, Batch.owner_id == owner_id)).one_or_none()
    if batch is None:
        raise NotFound("There is no such batch.")
    return batch


def page(
    session: Session, owner_id: uuid.UUID, *, limit: int, before: uuid.UUID | None = None
) -> tuple[Sequence[Batch], uuid.UUID | None]:
    """This owner's batches, newest first, and the id to pass as `before` for the next page (None at the end)."""
    query = select(Batch).where(Batch.owner_id == owner_id)
    if before:
        query = query.where(Batch.id < before)
    rows = session.scalars(query.order_by(Batch.id.desc()).limit(limit + 1)).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def tasks(
    session: Session, batch_id: uuid.UUID, *, limit: int, after: uuid.UUID | None = None
) -> tuple[Sequence[Job], uuid.UUID | None]:
    """The batch's tasks in the order of its items, without `full_text`, and the id to pass as `after` for the next."""
    query = select(Job).where(Job.batch_id == batch_id).options(defer(Job.full_text, raiseload=True))
    if after:
        query = query.where(Job.id > after)
    rows = session.scalars(query.order_by(Job.id).limit(limit + 1)).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def unfinished_ids(session: Session, batch_id: uuid.UUID) -> Sequence[uuid.UUID]:
    """Tasks that have not ended."""
    return session.scalars(
        select(Job.id).where(Job.batch_id == batch_id, Job.state.in_(UNFINISHED)).order_by(Job.id)
    ).all()


def all_ids(session: Session, batch_id: uuid.UUID) -> Sequence[uuid.UUID]:
    """All tasks that there still are."""
    return session.scalars(select(Job.id).where(Job.batch_id == batch_id).order_by(Job.id)).all()


def overviews(session: Session, batches: Sequence[Batch]) -> list[Overview]:
    """How far each of the batches is, in three queries for all of them, whatever their size."""
    ids = [batch.id for batch in batches]
    parts = counts.batches(session, ids)
    starts: dict[uuid.UUID, datetime] = dict(session.execute(_BEGUN, {"ids": ids}).all())
    running = _running(session, ids)
    return [_overview(batch, parts[batch.id], running[batch.id], starts.get(batch.id)) for batch in batches]


def _running(session: Session, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID | None, float]:
    """Completed fraction of the running tasks, summed per batch."""
    under_way = (JobState.PROCESSING, JobState.CANCELLING)
    rows = session.execute(
        select(Job.batch_id, Job.id, Job.state, Stage.name, Stage.state, Stage.progress)
        .join(Stage, Stage.job_id == Job.id)
        .where(Job.batch_id.in_(ids), Job.state.in_(under_way))
    )
    stages: dict[tuple[uuid.UUID | None, uuid.UUID, str], list[_StageProgress]] = defaultdict(list)
    for batch_id, job_id, job_state, name, state, progress in rows:
        stages[batch_id, job_id, job_state].append(_StageProgress(name, state, progress))
    shares: dict[uuid.UUID | None, float] = defaultdict(float)
    for (batch_id, _, job_state), of_job in stages.items():
        shares[batch_id] += percent(job_state, of_job) / 100
    return shares


@dataclass(frozen=True, slots=True)
class _StageProgress:
    name: str
    state: str
    progress: float


def _overview(batch: Batch, parts: Sequence[BatchPart], running: float, start: datetime | None) -> Overview:
    """`running` is the completed fraction of the running tasks; the first of all began at `start`."""
    by_state = Counter[JobState]()
    for part in parts:
        by_state[part.state] += part.count
    ended = sum(part.count for part in parts if part.state in TERMINAL)
    # those that ended and no worker had begun took no time
    worked = sum(part.count for part in parts if part.state in TERMINAL and part.has_begun)
    there = by_state.total()
    deleted = batch.total - there
    is_over = batch.finished_at is not None
    share = (ended + deleted + running) / batch.total
    eta: int | None = 0 if is_over else None
    if not is_over and start and worked:
        speed = (worked + running) / max((datetime.now(UTC) - start).total_seconds(), 1.0)
        eta = round((there - ended - running) / speed)
    has_begun = start is not None or ended + deleted > 0
    return Overview(
        batch=batch,
        status="done" if is_over else "processing" if has_begun else "queued",
        counts={state: by_state[state] for state in JobState},
        deleted=deleted,
        progress=100 if is_over else min(99, int(100 * share)),
        eta_seconds=eta,
    )


# from the first entry of a state in the index to the next: MIN would read all tasks of the batch
_STATES = ", ".join(f"('{state}')" for state in JobState)
_BEGUN: TextClause = text(f"""
    SELECT batch_id, min(started_at)
    FROM unnest(:ids) AS wanted(batch_id) CROSS JOIN (VALUES {_STATES}) AS states(state)
    CROSS JOIN LATERAL (
        SELECT started_at FROM jobs
        WHERE jobs.batch_id = wanted.batch_id AND jobs.state = states.state AND started_at IS NOT NULL
        ORDER BY started_at LIMIT 1
    ) AS firsts
    GROUP BY batch_id
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))  # noqa: S608 - made of constants
