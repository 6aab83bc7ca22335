"""How a job comes to be: with its stages, of which those whose answer is known are born done.

Functions take an open session, as those of jobs.py do, which has the rules by which the job goes on.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.callers import quotas
from shared.callers.limits import note_audio
from shared.config import Settings
from shared.db import Statement
from shared.kernel import fleet
from shared.kernel.audio import AUDIO, EXPIRED
from shared.kernel.jobs import Outcome, advance, end, note_fetched
from shared.kernel.orders import Artifacts, JobOrder, LiveSource, RemoteSource, Source, audio_readers, stage_rows
from shared.kernel.ring_window import ring_backlog, rings_of_first, rings_of_fresh
from shared.kernel.shards import SHARDED, answer, note_language, planned
from shared.kernel.submission import fresh_job, fresh_jobs
from shared.models import Artifact, Job, Stage
from shared.options import PRIORITIES, JobOptions
from shared.rings import Ring
from shared.search import entries
from shared.stages import FINAL, PROBE, SOURCE, plan
from shared.states import JobState, StageState
from shared.telemetry import tracing


def submit(session: Session, order: JobOrder) -> tuple[Job, Outcome]:
    """Insert a job with its stages. Stages whose answer this owner already has are born done.

    When even the transcript is known the job is born done and `cached`. `Outcome.duplicate` says that the same bytes
    were stored before, so that the object of this upload is not needed. Whoever submits the tasks of a batch calls
    `batches.settle` after the last. The job is no object of the session, unless some answer was known.
    """
    tracing.task_made(order.job_id)
    job = _job(order, {})
    rings = fresh_job.insert(session, order, job, _hashes(order.source, order.options))
    return submit_by_objects(session, order) if rings is None else (job, Outcome(rings))


@dataclass(frozen=True, slots=True)
class JobStatement:
    """An announced upload that one statement makes a job, with all that belongs to it: it is the whole transaction."""

    job: Job
    sql: Statement

    def complete(self, row: Sequence[Any]) -> tuple[Ring, ...] | None:
        """Complete the job by the row of the statement, which is committed. Its rings; None: ask `rings_behind`."""
        tracing.task_made(self.job.id)
        return rings_of_first(fresh_job.complete(self.job, row), self.job.id, PROBE)

    def rings_behind(self, session: Session, row: Sequence[Any]) -> tuple[Ring, ...]:
        """The rings where others of the key wait before this job and there is room."""
        return rings_of_fresh(session, fresh_job.complete(self.job, row), self.job.id, PROBE)


def statement(order: JobOrder, config: Settings) -> JobStatement | None:
    """What makes an announced upload a job by one statement, which also ends the announcement and looks at the key's
    quotas. Where it gives no row, nothing has changed.

    None, or no row, where `submit` and the checks around it are needed.
    """
    job = _job(order, {})
    is_simple = job.source_bytes is not None and job.source_bytes <= quotas.FAR_BYTES and not job.webhook_url
    if not is_simple or not fleet.is_surely_installed(order.options.model, config):
        return None
    sql = fresh_job.statement(order, job, _hashes(order.source, order.options), config)
    return JobStatement(job, sql) if sql else None


def submit_many(session: Session, orders: Sequence[JobOrder]) -> tuple[Ring, ...]:
    """Submit the jobs of one owner: those of which nothing is known at once, the others by objects. Recordings that
    were uploaded are held already. Call late in the transaction.
    """
    owner_id = orders[0].owner_id
    planned = [(order, _hashes(order.source, order.options)) for order in orders]
    held = hold(session, owner_id, {hash for _, hashes in planned for hash in hashes.values()})
    uploads = {row.hash: row for row in held if row.stage == SOURCE}
    answer_hashes = {row.hash for row in held if row.stage != SOURCE}
    new: list[Job] = []
    rows: list[dict[str, Any]] = []
    others: list[JobOrder] = []
    for order, hashes in planned:
        upload = uploads.get(hashes[SOURCE])
        if not answer_hashes.isdisjoint(hashes.values()) or (upload is None) == isinstance(order.source, Source):
            others.append(order)
            continue
        tracing.task_made(order.job_id)
        new.append(_job(order, {}))
        rows += fresh_job.rows(order, hashes, {(SOURCE, hashes[SOURCE]): upload} if upload else {})
    if new:
        fresh_jobs.insert(session, new, rows)
    rings = [ring for order in others for ring in submit_by_objects(session, order)[1].rings]
    for priority in sorted({job.priority for job in new}):
        ready = {row["queue"] for row in rows if row["priority"] == priority and row["state"] == StageState.QUEUED}
        rings += ring_backlog(session, owner_id, priority, ready, most=len(new))
    return tuple(rings)


def submit_by_objects(session: Session, order: JobOrder) -> tuple[Job, Outcome]:
    """The same, whatever is known."""
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
        return job, Outcome(end(session, job, JobState.DONE, summary=final.meta), duplicate)
    if converted and (AUDIO, hashes[AUDIO]) in artifacts:  # else it is counted when it has been converted
        note_audio(session, owner_id, converted.meta["duration"])
    return job, Outcome(advance(session, job), duplicate)


def _job(order: JobOrder, artifacts: Artifacts) -> Job:
    source = order.source
    job = Job(
        id=order.job_id,
        owner_id=order.owner_id,
        state=JobState.LIVE if isinstance(source, LiveSource) else JobState.QUEUED,
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


def _hashes(source: Source | RemoteSource | LiveSource, options: JobOptions) -> Mapping[str, str]:
    source_hash = source.sha256 if isinstance(source, Source) else source.hash
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
