"""Jobs: cancel, and the rule by which a job goes on; submission/ has how it begins. PostgreSQL is the truth, Redis only
a doorbell.

Functions here and in leases.py take an open session and change rows; the caller commits and then rings what was
returned. All but the heartbeat lock the job's row first, so that two stages of one job never advance it at the same
time and locks are always taken in the same order. Times are the database's.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from shared.callers import usage
from shared.claims import Claim
from shared.errors import NotFound, WrongState
from shared.kernel import batches, news, retention
from shared.kernel.ring_window import ring_next
from shared.models import Job, Stage
from shared.rings import Ring
from shared.search import entries
from shared.stages import STAGES, after
from shared.states import SETTLED, TERMINAL, JobState, StageState
from shared.webhooks.outbox import announce_job

LIVE = (StageState.WAITING, StageState.QUEUED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The rings that follow from a change, whether the answer's object is a duplicate to be deleted, and the claim on
    the next stage with which the worker goes on.

    unused : keys of objects of an answer that another one was published instead of
    """

    rings: tuple[Ring, ...] = ()
    duplicate: bool = False
    unused: tuple[str, ...] = ()
    claim: Claim | None = None


def note_fetched(job: Job, size: int, meta: Mapping[str, Any]) -> None:
    """What was unknown of a recording by URL until it was there. `meta` is what the download stage left."""
    job.source_bytes = size
    job.source_sha256, job.filename = meta.get("sha256"), meta.get("filename")


def cancel(session: Session, owner_id: uuid.UUID, job_id: uuid.UUID) -> Job:
    """Stop a job. It is `cancelled` at once, or `cancelling` until the workers that run a stage have let go."""
    job = lock(session, job_id)
    if job is None or job.owner_id != owner_id:
        raise NotFound("There is no such task.")
    if job.state in (JobState.CANCELLED, JobState.CANCELLING):
        return job
    if job.state in TERMINAL:
        raise WrongState(f"The task is {job.state} already.", status=job.state)
    job.state = JobState.CANCELLING if job.state == JobState.PROCESSING else job.state
    news.tell(session, job_id)
    _drop_the_rest(session, job)
    advance(session, job)
    if job.state in (JobState.LIVE, JobState.QUEUED):
        finish(session, job, JobState.CANCELLED)
    return job


def arrived(session: Session, job: Job) -> tuple[Ring, ...]:
    """The recording of a live session is complete: its job, whose row is locked, waits for workers as any other."""
    job.state = JobState.QUEUED
    news.tell(session, job.id)
    return advance(session, job)


# ---- what every change of a stage ends with


def lock(session: Session, job_id: uuid.UUID) -> Job | None:
    """The job, its row locked until the transaction ends; None when it was deleted."""
    return session.scalars(select(Job).where(Job.id == job_id).with_for_update()).one_or_none()


def advance(
    session: Session,
    job: Job,
    ended: str | None = None,
    take: Callable[[Sequence[Stage]], Stage | None] = lambda _: None,
) -> tuple[Ring, ...]:
    """Queue the stages whose needs are settled; end a cancelling job when nobody runs a stage of it any more.

    `ended` is the stage that has just left its worker, which may `take` one of those that became ready. What is rung
    may be of other jobs: see ring_window.py.
    """
    # in the order of the shards, so that a recording is recognised from its beginning
    query = select(Stage).where(Stage.job_id == job.id).order_by(Stage.shard)
    rows = session.scalars(query.execution_options(populate_existing=True)).all()
    rings: tuple[Ring, ...] = ()
    if job.state == JobState.CANCELLING and not any(row.state == StageState.RUNNING for row in rows):
        rings = finish(session, job, JobState.CANCELLED)
    ready: list[Stage] = []
    if job.state in (JobState.QUEUED, JobState.PROCESSING):
        unsettled = {row.name for row in rows if row.state not in SETTLED}
        ready = [
            row for row in rows if row.state == StageState.WAITING and unsettled.isdisjoint(STAGES[row.name].needs)
        ]
    next_stage = take(ready)
    ready = [row for row in ready if row is not next_stage]
    return rings + ring_next(session, job.owner_id, job.priority, ready, STAGES[ended].queue if ended else None)


def bury(session: Session, job: Job, stage: str, code: str, message: str) -> tuple[Ring, ...]:
    """A stage is dead: the job goes on without it when it is optional, else it ends here."""
    rings: tuple[Ring, ...] = ()
    if STAGES[stage].is_optional:
        # the answer lacks a part, so it must not be found later under the hash of the whole one
        session.execute(
            update(Stage)
            .where(Stage.job_id == job.id, Stage.name.in_(after(stage)), Stage.hash != "")
            .values(hash=Stage.hash + f"-without-{stage}")
            .execution_options(synchronize_session=False)
        )
    elif job.state == JobState.PROCESSING:
        job.error_code, job.error_message = code, message
        rings = finish(session, job, JobState.ERROR)
        _drop_the_rest(session, job)
    return rings + advance(session, job, ended=stage)


def _drop_the_rest(session: Session, job: Job) -> None:
    session.execute(
        update(Stage)
        .where(Stage.job_id == job.id, Stage.state.in_(LIVE))
        .values(state=StageState.CANCELLED)
        .execution_options(synchronize_session=False)
    )


def finish(session: Session, job: Job, state: JobState, summary: Mapping[str, Any] | None = None) -> tuple[Ring, ...]:
    """Bring the job to a terminal state and have it told, also the end of its batch if this was the last.

    `summary` is the meta of the answer that `store` gave.
    """
    return end(session, job, state, summary) + batches.settle(session, job.batch_id)


def end(session: Session, job: Job, state: JobState, summary: Mapping[str, Any] | None) -> tuple[Ring, ...]:
    """`finish` without a look at the batch, which comes once when all of its tasks are submitted."""
    job.state = state
    job.finished_at = func.now()
    if summary:
        for name in ("language", "language_probability", "duration", "model", "speakers", "full_text"):
            setattr(job, name, summary[name])
    job.expires_at = retention.expiry(session, job)
    if state == JobState.DONE:
        usage.count(session, job)
    session.flush()
    if summary:
        entries.write(session, [job])
    news.tell(session, job.id)
    return announce_job(session, job)
