"""Leases: how a worker takes a stage, keeps it, and hands its answer in. See shared/kernel/jobs.py for the rules, and
shared/kernel/lost_leases.py for workers that fell silent.

Every write back carries the fence that the claim was given; once somebody else was given a higher one, it changes
nothing and raises LeaseLost.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from shared.callers.limits import note_audio
from shared.claims import Answer, Claim, Claimant, Input
from shared.errors import LeaseLost, ParleyError
from shared.kernel import news
from shared.kernel.audio import keep_copy, revived
from shared.kernel.jobs import Outcome, advance, bury, finish, lock, note_fetched
from shared.kernel.ring_window import is_at_limit
from shared.kernel.shards import fan_out, planned
from shared.models import Artifact, Job, Stage
from shared.options import JobOptions, priority_name
from shared.rings import Ring, level
from shared.search import entries
from shared.stages import FINAL, PROBE, STAGES, profile
from shared.states import SETTLED, JobState, StageState
from shared.telemetry.metrics import STAGE_DEATHS, STAGE_FAILURES


def claim(
    session: Session, job_id: uuid.UUID, stage: str, shard: int, *, worker: str, device: str, lease_s: float
) -> Claim | None:
    """Take a queued stage. None when there is nothing to take: done, cancelled, deleted or somebody else's.

    Also None while the key is at its `max_running` limit. Then the stage waits for its next ring.
    """
    job = lock(session, job_id)
    if job is None or job.state not in (JobState.QUEUED, JobState.PROCESSING):
        return None
    if is_at_limit(session, job.owner_id, STAGES[stage].queue):
        session.execute(
            update(Stage)
            .where(Stage.job_id == job_id, Stage.name == stage, Stage.shard == shard, Stage.state == StageState.QUEUED)
            .values(rung_at=None, rings=0)
            .execution_options(synchronize_session=False)
        )
        return None
    return _take(session, job, (stage, shard), StageState.QUEUED, worker, device, lease_s)


def _take(
    session: Session, job: Job, of: tuple[str, int], since: StageState, worker: str, device: str, lease_s: float
) -> Claim | None:
    """Claim a stage of the job, whose row is locked, if it is in the state `since`."""
    (stage, shard), options = of, JobOptions.from_row(job.options)
    row = session.scalars(
        update(Stage)
        .where(Stage.job_id == job.id, Stage.name == stage, Stage.shard == shard, Stage.state == since)
        .values(
            state=StageState.RUNNING,
            attempt=Stage.attempt + 1,
            fence=Stage.fence + 1,
            lease_until=func.now() + timedelta(seconds=lease_s),
            worker=worker,
            profile=profile(stage, options.model_dump(), device),
            started_at=func.now(),
            rung_at=func.coalesce(Stage.rung_at, func.now()),  # whoever runs was rung, as the index of the window says
        )
        .returning(Stage)
        .execution_options(synchronize_session=False, populate_existing=True)
    ).one_or_none()
    if row is None:
        return None
    waited_s = None
    if job.state == JobState.QUEUED:
        job.state = JobState.PROCESSING
        job.started_at = row.started_at
        news.tell(session, job.id)
        waited_s = (row.started_at - job.created_at).total_seconds() if row.started_at else None
    inputs = session.execute(
        select(Stage.name, Stage.shard, Stage.error_code, Artifact.key, Artifact.meta, Stage.finished_at)
        .outerjoin(Artifact, Artifact.id == Stage.artifact_id)
        .where(Stage.job_id == job.id, Stage.name.in_(STAGES[stage].needs), Stage.state != StageState.SKIPPED)
        .order_by(Stage.name, Stage.shard)
    ).all()
    return Claim(
        job_id=job.id,
        owner_id=job.owner_id,
        stage=stage,
        shard=shard,
        fence=row.fence,
        attempt=row.attempt,
        hash=row.hash,
        options=options,
        source_url=job.source_url,
        request_id=job.request_id,
        inputs=tuple(Input(name, number, key, meta or {}, code) for name, number, code, key, meta, _ in inputs),
        known_answer=_known_answer(session, job.owner_id, row),
        device=device,
        priority=priority_name(job.priority),
        waited_s=waited_s,
        queued_s=_queued_s(job, row, [stage_input.finished_at for stage_input in inputs]),
    )


def _queued_s(job: Job, stage: Stage, ends: Iterable[datetime | None]) -> float | None:
    """`ends` are those of the stages that it needed; one whose answer was known has none."""
    if stage.fence > 1 or stage.started_at is None:
        return None
    ready_at = max([job.created_at, *(end for end in ends if end)])
    return max(0.0, (stage.started_at - ready_at).total_seconds())


def _known_answer(session: Session, owner_id: uuid.UUID, stage: Stage) -> Answer | None:
    """Held for the stage at once: what a stage refers to is not removed when the job that produced it is erased."""
    row = session.scalars(
        select(Artifact)
        .where(Artifact.owner_id == owner_id, Artifact.stage == stage.name, Artifact.hash == stage.hash)
        .with_for_update(read=True, key_share=True)
    ).one_or_none()
    if row is None:
        return None
    stage.artifact_id = row.id
    session.flush()
    return Answer(row.key, row.bytes, row.meta)


def heartbeat(session: Session, claim: Claim, *, progress: float, lease_s: float) -> str | None:
    """Renew the lease and write progress. None while the work is wanted, else why it must stop at once."""
    job_state = session.scalar(
        update(Stage)
        .where(*_claim_conditions(claim), Job.id == Stage.job_id)
        .values(
            lease_until=func.now() + timedelta(seconds=lease_s),
            progress=func.greatest(Stage.progress, min(max(progress, 0.0), 1.0)),
        )
        .returning(Job.state)
    )
    if job_state is None:
        return "lease lost"
    return None if job_state == JobState.PROCESSING else "cancelled"


def holds(session: Session, claim: Claim) -> bool:
    """Whether the stage is still this claim's. With the job's row locked that stays so until the transaction ends."""
    return session.scalar(select(Stage.fence).where(*_claim_conditions(claim))) is not None


def complete(session: Session, claim: Claim, answer: Answer, claimant: Claimant | None = None) -> Outcome:
    """Publish the answer and advance the job, in one transaction. Raises LeaseLost when the fence has moved on.

    A `claimant` is given the next stage as well, if that is a short one. Safe to repeat after a COMMIT whose
    fate is unknown: what this claim completed stays as it is, and a next stage that went with it runs out of its lease.
    """
    job = lock(session, claim.job_id)
    if job is None:
        raise LeaseLost
    if session.scalar(select(Stage.state).where(*_same_fence(claim))) == StageState.DONE:
        return Outcome()
    fields = {"stage": claim.stage, "hash": claim.hash, "key": answer.key, "bytes": answer.bytes, "meta": answer.meta}
    statement = insert(Artifact).values(owner_id=claim.owner_id, **fields)
    # the update changes nothing; unlike DO NOTHING it locks the row that is there, so that no erasure takes it away now
    artifact = (
        revived(session, claim.owner_id, claim.stage, claim.hash, answer.key, answer.bytes)
        or _adopted(session, claim, answer)
        or session.scalars(
            statement.on_conflict_do_update(
                index_elements=["owner_id", "stage", "hash"], set_={"bytes": Artifact.bytes}
            ).returning(Artifact)
        ).one()
    )
    _move(
        session,
        claim,
        StageState.DONE,
        progress=1.0,
        artifact_id=artifact.id,
        audio_seconds=answer.audio_seconds,
    )
    if claim.stage == "download":
        note_fetched(job, answer.bytes, answer.meta)
        session.flush()
        entries.write(session, [job])
    elif claim.stage == PROBE:
        news.tell(session, claim.job_id)
        job.duration = answer.meta.get("duration")
        note_audio(session, job.owner_id, job.duration or 0.0)
        fan_out(session, job, planned(artifact.meta))  # the plan of the answer that is published, were it another's
    rings: tuple[Ring, ...] = ()
    if claim.stage == FINAL and job.state == JobState.PROCESSING:
        rings = finish(session, job, JobState.DONE, summary=answer.meta)
    duplicate = artifact.key != answer.key
    unused = [answer.key] if duplicate else []
    if answer.copy and not keep_copy(session, artifact, claim.hash, answer.copy):
        unused.append(answer.copy.key)
    following: Claim | None = None

    def take(ready: Sequence[Stage]) -> Stage | None:
        nonlocal following
        row = next((row for row in ready if STAGES[row.name].is_short), None)
        if claimant and row:
            of, by = (row.name, row.shard), claimant.worker
            following = _take(session, job, of, StageState.WAITING, by, device="", lease_s=claimant.lease_s)
        return row if following else None

    rings += advance(session, job, claim.stage, take)
    return Outcome(rings, duplicate, tuple(unused), following)


def _adopted(session: Session, claim: Claim, answer: Answer) -> Artifact | None:
    """The row of the input whose object is the answer, too: it is the answer's from now on. Else None."""
    if answer.key not in {one.key for one in claim.inputs}:
        return None
    twin = aliased(Artifact)
    same = (twin.owner_id == claim.owner_id, twin.stage == claim.stage, twin.hash == claim.hash)
    statement = (
        update(Artifact)
        .where(Artifact.key == answer.key, Artifact.owner_id == claim.owner_id, ~exists().where(*same))
        .values(stage=claim.stage, hash=claim.hash, meta=answer.meta)
        .returning(Artifact)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    try:
        with session.begin_nested():
            return session.scalars(statement).one_or_none()
    except IntegrityError:  # the same answer of another job was committed meanwhile
        return None


def fail(session: Session, claim: Claim, error: ParleyError, *, max_attempts: int) -> Outcome:
    """Note a failed attempt: queued again while a retry can help and attempts are left, else dead.

    After a blameless error the attempt does not count and nobody is rung at once: the sweep does it a while later.
    """
    job = lock(session, claim.job_id)
    if job is None:
        raise LeaseLost
    has_attempts = error.blameless or claim.attempt < max_attempts
    again = error.retryable and has_attempts and job.state == JobState.PROCESSING
    values: dict[str, Any] = {"error_code": error.code, "error_message": error.message}
    if again:
        values |= {"rung_at": func.now(), "rings": 1, "attempt": Stage.attempt - int(error.blameless)}
    _move(session, claim, StageState.QUEUED if again else StageState.DEAD, **values)
    STAGE_FAILURES.labels(claim.stage, error.code).inc()
    if not again:
        STAGE_DEATHS.labels(claim.stage, error.code).inc()
        return Outcome(bury(session, job, claim.stage, error.code, error.message))
    return Outcome() if error.blameless else Outcome((bell(job, claim.stage, claim.shard),))


def give_back(session: Session, claim: Claim) -> Outcome:
    """Let go of a stage unfinished, without counting the attempt: the worker is shutting down or was told to stop."""
    job = lock(session, claim.job_id)
    if job is None:
        raise LeaseLost
    is_processing = job.state == JobState.PROCESSING
    _move(
        session,
        claim,
        StageState.QUEUED if is_processing else StageState.CANCELLED,
        attempt=Stage.attempt - 1,
        rung_at=func.now(),
        rings=1,
    )
    if is_processing:
        return Outcome((bell(job, claim.stage, claim.shard),))
    return Outcome(advance(session, job, ended=claim.stage))


def bell(job: Job, stage: str, shard: int) -> Ring:
    """Of a stage that was running already: it is rung at once, outside the window, behind the first ones of others."""
    return Ring(job.id, stage, shard, STAGES[stage].queue, level(job.priority, is_first=False))


def _same_fence(claim: Claim) -> tuple[Any, ...]:
    return (
        Stage.job_id == claim.job_id,
        Stage.name == claim.stage,
        Stage.shard == claim.shard,
        Stage.fence == claim.fence,
    )


def _claim_conditions(claim: Claim) -> tuple[Any, ...]:
    return (*_same_fence(claim), Stage.state == StageState.RUNNING)


def _move(session: Session, claim: Claim, state: StageState, **values: Any) -> None:
    """The fenced write: it changes the row of this claim or raises LeaseLost."""
    if state in SETTLED:
        values["finished_at"] = func.now()
    moved = session.execute(
        update(Stage)
        .where(*_claim_conditions(claim))
        .values(state=state, lease_until=None, **values)
        .execution_options(synchronize_session=False)
    )
    if not moved.rowcount:  # type: ignore[attr-defined]
        raise LeaseLost
