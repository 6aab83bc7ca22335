"""Putting right what a death left behind. The sweep runs it every few seconds, an operator runs it on demand.

Safe to run twice at the same time: every step locks what it changes and looks again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import exists, func, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from shared.callers import browser_sessions, quotas
from shared.config import Settings
from shared.db import session
from shared.errors import NotFound, StorageUnavailable
from shared.intake import open_uploads, uploads
from shared.kernel import audio, events, idempotency
from shared.kernel.erasure import erase, purge, unfinished
from shared.kernel.lost_leases import expire
from shared.kernel.ring_window import LIVE_S, is_rung, refill
from shared.ledger import folding
from shared.live import sweep as live_sweep
from shared.models import Job, Stage, Worker
from shared.rings import Ring, level
from shared.search import entries
from shared.stages import queues
from shared.states import StageState
from shared.storage import Storage
from shared.telemetry.metrics import RUNG_AGAIN, SWEEPS
from shared.webhooks import deliveries, endpoints

BATCH = 500
ERASED_AT_ONCE = 100
"""Tasks that one sweep erases: as many as it then empties storage for. Every 5 s that is 1.7 million a day."""

MAX_DOUBLINGS = 6
"""While all workers of its queue are busy, a stage is rung ever more rarely, at most every `ring_again_s` * 2^6 (about
11 minutes). A worker that is free would have answered: then the ring was lost and is repeated after `ring_again_s`."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What one run found."""

    expired: int
    rung_again: int
    erased: int
    retired: int
    indexed: int


def repair(config: Settings, storage: Storage, ring: Callable[[Sequence[Ring]], None]) -> Repaired:
    """Expired leases go back to the queue or die, lost doorbells are rung again, windows are filled, tasks that were
    kept long enough are erased, deletions are finished, search entries of older tasks are made, and what changed in
    the queue is added to its counts."""
    overdue = _overdue()
    for job_id in overdue:
        with session() as work:
            outcome = expire(work, job_id, max_attempts=config.max_attempts)
        ring(outcome.rings)
    again = _ring_again(config.ring_again_s)
    ring(again)
    with session() as work:
        next_ones = refill(work)
    ring(next_ones)
    with session() as work:
        events.sweep(work)
        idempotency.sweep(work)
        deliveries.sweep(work)
        endpoints.sweep(work)
        quotas.sweep(work)
        browser_sessions.sweep(work)
        waiting = deliveries.due(work)
    ring(waiting)
    folding.sweep()
    ring(live_sweep.sweep(config))
    retired = _erase_expired()
    uploads.sweep()
    if config.audio_ttl_s:
        audio.expire(storage, config.audio_ttl_s)
    open_uploads.erase_of_revoked(storage)
    erased = _finish_erasures(storage)
    with suppress(StorageUnavailable):
        storage.sweep()
    repairs = Repaired(len(overdue), len(again), erased, retired, entries.work_off())
    RUNG_AGAIN.inc(repairs.rung_again)
    SWEEPS.inc()
    return repairs


def _overdue() -> list[uuid.UUID]:
    with session() as work:
        expired = (Stage.state == StageState.RUNNING, Stage.lease_until < func.now())
        return list(work.scalars(select(Stage.job_id).where(*expired).distinct().limit(BATCH)))


def _ring_again(ring_again_s: float) -> list[Ring]:
    key = (Stage.job_id, Stage.name, Stage.shard)
    wait = timedelta(seconds=ring_again_s)
    doubled = wait * func.power(2, func.least(Stage.rings, MAX_DOUBLINGS + 1) - 1)
    other = aliased(Stage)
    has_running = exists().where(
        other.owner_id == Stage.owner_id, other.queue == Stage.queue, other.state == StageState.RUNNING
    )
    with session() as work:
        silent = (
            select(*key)
            .where(
                is_rung(),  # by its index; by that of all live stages the whole backlog would be read
                Stage.state != StageState.RUNNING,
                Stage.rung_at < func.now() - wait,
                Stage.queue.in_(_idle_queues(work)) | (Stage.rung_at < func.now() - doubled),
            )
            .order_by(Stage.rung_at)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        rows = work.execute(
            update(Stage)
            .where(tuple_(*key).in_(silent))
            .values(rings=func.least(Stage.rings + 1, MAX_DOUBLINGS + 1), rung_at=func.now())
            .returning(*key, Stage.queue, Stage.priority, Stage.owner_id, has_running)
            .execution_options(synchronize_session=False)
        ).all()
    bells, served = [], set()
    for job_id, stage, shard, queue, priority, owner_id, is_served in sorted(rows):
        is_first = not is_served and (owner_id, queue) not in served
        served.add((owner_id, queue))
        bells.append(Ring(job_id, stage, shard, queue, level(priority, is_first=is_first)))
    return bells


def _idle_queues(work: Session) -> list[str]:
    """Queues with a free slot: their live workers have more slots than stages of any queue that they serve run."""
    counts = select(Stage.queue, func.count()).where(Stage.state == StageState.RUNNING).group_by(Stage.queue)
    running = dict(work.execute(counts).all())
    live = work.scalars(select(Worker).where(Worker.seen_at > func.now() - timedelta(seconds=LIVE_S))).all()
    idle = []
    for queue in queues():
        serving = [worker for worker in live if queue in worker.queues]
        busy = sum(running.get(other, 0) for other in {name for worker in serving for name in worker.queues})
        if sum(worker.slots for worker in serving) > busy:
            idle.append(queue)
    return idle


def _finish_erasures(storage: Storage) -> int:
    with session() as work:
        open_erasures = unfinished(work)
        for erasure in open_erasures:
            try:
                purge(work, storage, erasure)
            except StorageUnavailable:
                return 0  # the next sweep goes on
        return sum(erasure.verified_at is not None for erasure in open_erasures)


def _erase_expired() -> int:
    """Delete the rows of tasks whose time is over, each in a transaction of its own, and announce their objects.

    Storage is emptied by the same sweep that finishes any deletion. Returns how many tasks were erased.
    """
    over = Job.expires_at <= func.now()
    with session() as work:
        expired = work.execute(
            select(Job.id, Job.owner_id).where(over).order_by(Job.expires_at).limit(ERASED_AT_ONCE)
        ).all()
    erased = 0
    for job_id, owner_id in expired:
        try:
            with session() as work:
                erase(work, owner_id, job_id)
        except NotFound:  # somebody else was faster
            continue
        erased += 1
    return erased
