"""Putting right what a death left behind. The sweep runs it every few seconds, an operator runs it on demand.

Safe to run twice at the same time: every step locks what it changes and looks again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, tuple_, update

from shared.config import Settings
from shared.db import session
from shared.erasure import purge, unfinished
from shared.errors import StorageUnavailable
from shared.jobs import Ring
from shared.leases import expire
from shared.models import Stage
from shared.states import StageState
from shared.storage import Storage

BATCH = 500
MAX_DOUBLINGS = 6
"""A stage that waits long is rung ever more rarely, at most every `ring_again_s` * 2^6 (about 11 minutes)."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What one run found."""

    expired: int
    rung_again: int
    erased: int


def repair(config: Settings, storage: Storage, ring: Callable[[Sequence[Ring]], None]) -> Repaired:
    """Expired leases go back to the queue or die, lost doorbells are rung again, deletions are finished."""
    overdue = _overdue()
    for job_id in overdue:
        with session() as work:
            outcome = expire(work, job_id, max_attempts=config.max_attempts)
        ring(outcome.rings)
    again = _ring_again(config.ring_again_s)
    ring(again)
    return Repaired(len(overdue), len(again), _finish_erasures(storage))


def _overdue() -> list[uuid.UUID]:
    with session() as work:
        expired = (Stage.state == StageState.RUNNING, Stage.lease_until < func.now())
        return list(work.scalars(select(Stage.job_id).where(*expired).distinct().limit(BATCH)))


def _ring_again(ring_again_s: float) -> list[Ring]:
    key = (Stage.job_id, Stage.name, Stage.shard)
    wait = timedelta(seconds=ring_again_s) * func.power(2, func.least(Stage.rings, MAX_DOUBLINGS + 1) - 1)
    silent = (
        select(*key)
        .where(Stage.state == StageState.QUEUED, Stage.rung_at < func.now() - wait)
        .order_by(Stage.rung_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    with session() as work:
        rows = work.execute(
            update(Stage)
            .where(tuple_(*key).in_(silent))
            .values(rings=func.least(Stage.rings + 1, MAX_DOUBLINGS + 1), rung_at=func.now())
            .returning(*key, Stage.queue)
            .execution_options(synchronize_session=False)
        ).all()
    return [Ring(*row) for row in rows]


def _finish_erasures(storage: Storage) -> int:
    with session() as work:
        open_erasures = unfinished(work)
        for erasure in open_erasures:
            try:
                purge(work, storage, erasure)
            except StorageUnavailable:
                return 0  # the next sweep goes on
        return sum(erasure.verified_at is not None for erasure in open_erasures)
