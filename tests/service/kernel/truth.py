"""The rows of the queue, counted one by one, beside what the ledger says of them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared.ledger import counts
from shared.ledger.counts import UNFINISHED
from shared.models import ApiKey, BatchCount, Job, JobChange, Stage
from shared.states import JobState

EVERYBODY = 1_000_000
"""More names of keys than there are."""

KEYS = 3
"""The latest, which are asked for one by one."""


@dataclass(frozen=True, slots=True)
class Counts:
    """All that the ledger can be asked, with its keys."""

    stages: Mapping[tuple[str, int, str], int]
    jobs: Mapping[JobState, int]
    waiting: int
    owners: Mapping[str, int]
    batches: Mapping[tuple[uuid.UUID, str, bool], int]


def counted(work: Session) -> Counts:
    """From the rows of stages and jobs."""
    stages = select(Stage.name, Stage.priority, Stage.state, func.count()).where(Stage.state.in_(("queued", "running")))
    stages = stages.group_by(Stage.name, Stage.priority, Stage.state)
    unfinished = Job.state.in_(UNFINISHED)
    by_state = select(Job.state, func.count()).where(unfinished).group_by(Job.state)
    by_key = select(ApiKey.name, func.count()).join(Job, Job.owner_id == ApiKey.id).where(unfinished)
    has_begun = Job.started_at.is_not(None)
    by_batch = select(Job.batch_id, Job.state, has_begun, func.count()).where(Job.batch_id.is_not(None))
    jobs = {JobState(state): n for state, n in work.execute(by_state)}
    return Counts(
        stages={(name, priority, state): n for name, priority, state, n in work.execute(stages)},
        jobs=dict.fromkeys(UNFINISHED, 0) | jobs,
        waiting=jobs.get(JobState.QUEUED, 0),
        owners=dict(work.execute(by_key.group_by(ApiKey.name)).all()),
        batches={
            (batch_id, state, is_started): n
            for batch_id, state, is_started, n in work.execute(by_batch.group_by(Job.batch_id, Job.state, has_begun))
            if batch_id
        },
    )


def ledger_counts(work: Session) -> Counts:
    """From the ledger."""
    ids = {*work.scalars(select(BatchCount.batch_id)), *work.scalars(select(JobChange.batch_id)), uuid.uuid4()} - {None}
    parts = counts.batches(work, [batch_id for batch_id in ids if batch_id])
    return Counts(
        stages=counts.stages(work),
        jobs=counts.jobs(work),
        waiting=counts.waiting(work),
        owners=dict(counts.busiest(work, EVERYBODY)),
        batches={(batch_id, one.state, one.has_begun): one.count for batch_id, all in parts.items() for one in all},
    )


def assert_exact(work: Session) -> None:
    """The ledger says what there is. While others write, `work` has to see one moment (REPEATABLE READ)."""
    rows, ledger = counted(work), ledger_counts(work)
    assert ledger == rows
    by_key = select(Job.owner_id, func.count()).where(Job.state == JobState.QUEUED).group_by(Job.owner_id)
    for owner_id, n in work.execute(by_key.order_by(Job.owner_id.desc()).limit(KEYS)):
        assert counts.waiting(work, owner_id) == n
