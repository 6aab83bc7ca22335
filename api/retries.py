"""From a task that failed or was cancelled to a new one over the same recording."""

from __future__ import annotations

import uuid

from sqlalchemy.orm import Session

from api.intake import submission
from shared.config import settings
from shared.db import session
from shared.errors import NotFound, WrongState
from shared.kernel import fleet, idempotency, jobs
from shared.kernel.orders import JobOrder, LiveSource, RemoteSource, Source
from shared.kernel.submission import new_jobs
from shared.live import heirs
from shared.models import Artifact, Job, Stage
from shared.options import JobNotes, JobOptions, priority_name
from shared.states import JobState
from tasks.app import ring


def retry(
    owner_id: uuid.UUID, job_id: uuid.UUID, new_id: uuid.UUID, request_id: str, idempotency_key: str | None = None
) -> Job:
    """A new job over the recording and options of one that failed or was cancelled. Finished stages are reused.

    A repeated request is answered with its first job. Raises NotFound, WrongState unless the old job is in error or
    cancelled, ModelNotInstalled, and IdempotencyConflict.
    """
    once = idempotency.once_again(owner_id, idempotency_key, job_id) if idempotency_key else None
    with session() as work:
        if once and (first := idempotency.first(work, once)):
            return first
        # erasing the old job waits for this lock, so its recording stays until the new job holds it too
        old = jobs.lock(work, job_id)
        if old is None or old.owner_id != owner_id:
            raise NotFound("There is no such task.")
        if old.state not in (JobState.ERROR, JobState.CANCELLED):
            raise WrongState(
                f"The task is {old.state}; only a failed or cancelled one can be retried.", status=old.state
            )
        source = _recording(work, old)
        job, outcome = new_jobs.submit(
            work,
            JobOrder(
                job_id=new_id,
                owner_id=owner_id,
                source=source,
                options=JobOptions.from_row(old.options),
                priority=priority_name(old.priority),
                notes=JobNotes(
                    tags=tuple(old.tags),
                    reference=old.reference,
                    retention_seconds=old.retention_seconds,
                    webhook_url=old.webhook_url,
                ),
                request_id=request_id,
                retry_of=job_id,
            ),
        )
        fleet.check_model(work, new_id, old.options.get("model", "auto"), settings())
        rings = outcome.rings + (heirs.inherit(work, job_id, new_id) if isinstance(source, LiveSource) else ())
        submission.check_deliveries(work, job)
        if once:
            idempotency.note(work, once, job)
    ring(rings)
    return job


def _recording(work: Session, job: Job) -> Source | RemoteSource | LiveSource:
    """What a job was made from. The hash of one by URL stays, so that what was fetched is not fetched again."""
    download = work.get_one(Stage, (job.id, "download", 0))
    if job.source_url is not None:
        return RemoteSource(job.source_url, download.hash)
    if download.artifact_id is None and job.state == JobState.ERROR and heirs.has_chunks(work, job.id):
        return LiveSource(download.hash)
    if download.artifact_id is None:
        message = "The task has no recording: it was cancelled while it was live, or a later task has it."
        raise WrongState(message, status=job.state)
    stored = work.get_one(Artifact, download.artifact_id)
    return Source(stored.key, stored.hash, stored.bytes, job.filename)
