"""Jobs: submit, cancel, and the rule by which a job goes on. PostgreSQL is the truth, Redis only a doorbell.

Functions here and in leases.py take an open session and change rows; the caller commits and then rings what was
returned. All but the heartbeat lock the job's row first, so that two stages of one job never advance it at the same
time and locks are always taken in the same order. Times are the database's.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.callers import usage
from shared.callers.limits import note_audio
from shared.errors import NotFound, WrongState
from shared.kernel import batches, retention
from shared.kernel.audio import AUDIO, EXPIRED
from shared.kernel.orders import Artifacts, JobOrder, RemoteSource, Source, audio_readers, stage_rows
from shared.kernel.ring_window import ring_next
from shared.kernel.shards import SHARDED, answer, note_language, planned
from shared.models import Artifact, Job, Stage
from shared.options import PRIORITIES, JobOptions
from shared.rings import Ring
from shared.search import entries
from shared.stages import FINAL, SOURCE, STAGES, after, plan
from shared.states import SETTLED, TERMINAL, JobState, StageState
from shared.telemetry import tracing
from shared.webhooks.outbox import announce_job

LIVE = (StageState.WAITING, StageState.QUEUED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The rings that follow from a change, and whether the answer's object is a duplicate to be deleted."""

    rings: tuple[Ring, ...] = ()
    duplicate: bool = False


def submit(session: Session, order: JobOrder) -> tuple[Job, Outcome]:
    """Insert a job with its stages. Stages whose answer this owner already has are born done.

    When even the transcript is known the job is born done and `cached`. `Outcome.duplicate` says that the same bytes
    were stored before, so that the object of this upload is not needed. Whoever submits the tasks of a batch calls
    `batches.settle` after the last.
    """
    owner_id, source = order.owner_id, order.source
    hashes = _hashes(source, order.options)
    artifacts = {(row.stage, row.hash): row for row in hold(session, owner_id, hashes.values())}
    duplicate = False
    if isinstance(source, Source):
        upload = artifacts.get((SOURCE, source.sha256)) or stored(session, owner_id, source)
        artifacts[SOURCE, source.sha256] = upload
        duplicate = upload.key != source.key
    job = _job(order, artifacts)
    session.add(job)
    session.flush()
    entries.write(session, [job])
    tracing.task_made(order.job_id)

    converted = artifacts.get((AUDIO, hashes[AUDIO])) or artifacts.get((EXPIRED, hashes[AUDIO]))
    shards = planned(converted.meta) if converted else ()
    parts = [answer(hashes[SHARDED], shard) for shard in shards] or [{"hash": hashes[SHARDED], "audio_seconds": None}]
    if shards:
        artifacts |= {(row.stage, row.hash): row for row in hold(session, owner_id, (part["hash"] for part in parts))}
    final = artifacts.get((FINAL, hashes[FINAL]))
    if converted and (final or audio_readers(hashes, parts) <= artifacts.keys()):
        artifacts[AUDIO, hashes[AUDIO]] = converted  # nobody will read it, so it may have expired
    session.execute(insert(Stage), stage_rows(order, hashes, parts, artifacts))  # at once: objects go in one by one
    for part in parts if shards else ():
        if artifact := artifacts.get((SHARDED, part["hash"])):
            note_language(job, artifact.meta)
    if converted:
        job.duration = converted.meta["duration"]
    if final:
        job.cached = True
        return job, Outcome(_end(session, job, JobState.DONE, summary=final.meta), duplicate)
    if converted and (AUDIO, hashes[AUDIO]) in artifacts:  # else it is counted when it has been converted
        note_audio(session, owner_id, converted.meta["duration"])
    return job, Outcome(advance(session, job), duplicate)


def _job(order: JobOrder, artifacts: Artifacts) -> Job:
    source = order.source
    job = Job(
        id=order.job_id,
        owner_id=order.owner_id,
        state=JobState.QUEUED,
        priority=PRIORITIES[order.priority],
        source_url=source.url if isinstance(source, RemoteSource) else None,
        options=order.options.stored(),
        request_id=order.request_id,
        retry_of=order.retry_of,
        batch_id=order.batch_id,
        tags=list(order.notes.tags),
        **order.notes.model_dump(exclude={"tags"}),
    )
    if isinstance(source, Source):
        job.filename, job.source_sha256, job.source_bytes = source.filename, source.sha256, source.bytes
    elif fetched := artifacts.get((SOURCE, source.hash)):
        note_fetched(job, fetched.bytes, fetched.meta)
    return job


def hold(session: Session, owner_id: uuid.UUID, hashes: Iterable[str]) -> Sequence[Artifact]:
    """The answers that are known under these hashes. None is erased before this transaction ends."""
    query = select(Artifact).where(Artifact.owner_id == owner_id, Artifact.hash.in_(set(hashes)))
    # in one order, so that two who hold several do not wait for one another
    return session.scalars(query.order_by(Artifact.id).with_for_update(read=True, key_share=True)).all()


def hold_for(
    session: Session, owner_id: uuid.UUID, submissions: Iterable[tuple[Source | RemoteSource, JobOptions]]
) -> None:
    """Hold the answers of many jobs that are to be submitted in this transaction, all at once."""
    hold(session, owner_id, {hash for source, options in submissions for hash in _hashes(source, options).values()})


def _hashes(source: Source | RemoteSource, options: JobOptions) -> Mapping[str, str]:
    source_hash = source.hash if isinstance(source, RemoteSource) else source.sha256
    return plan(source_hash, options.model_dump())


def stored(session: Session, owner_id: uuid.UUID, source: Source) -> Artifact:
    """The object that holds the recording: this one, or that of an equal upload before it."""
    # two equal uploads at once: the second finds the row that the first is about to commit
    statement = insert(Artifact).values(
        owner_id=owner_id, stage=SOURCE, hash=source.sha256, key=source.key, bytes=source.bytes, meta={}
    )
    session.execute(statement.on_conflict_do_nothing(index_elements=["owner_id", "stage", "hash"]))
    return session.scalars(
        select(Artifact).where(Artifact.owner_id == owner_id, Artifact.stage == SOURCE, Artifact.hash == source.sha256)
    ).one()


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
    _drop_the_rest(session, job)
    advance(session, job)
    if job.state == JobState.QUEUED:
        finish(session, job, JobState.CANCELLED)
    return job


# ---- what every change of a stage ends with


def lock(session: Session, job_id: uuid.UUID) -> Job | None:
    """The job, its row locked until the transaction ends; None when it was deleted."""
    return session.scalars(select(Job).where(Job.id == job_id).with_for_update()).one_or_none()


def advance(session: Session, job: Job, ended: str | None = None) -> tuple[Ring, ...]:
    """Queue the stages whose needs are settled; end a cancelling job when nobody runs a stage of it any more.

    `ended` is the stage that has just left its worker. What is rung may be of other jobs: see ring_window.py.
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
    return _end(session, job, state, summary) + batches.settle(session, job.batch_id)


def _end(session: Session, job: Job, state: JobState, summary: Mapping[str, Any] | None) -> tuple[Ring, ...]:
    """Without its batch, which is looked at once when all of its tasks are submitted."""
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
    return announce_job(session, job)
