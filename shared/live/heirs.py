"""A session whose task has failed before its chunks were a recording: the task that tries again has them instead.

They are handed over, not copied or shared, so that they live as long as the task that needs them.
"""

from __future__ import annotations

import uuid

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from shared.kernel import jobs
from shared.models import LiveChunk, LiveSession
from shared.rings import Ring


def has_chunks(work: Session, job_id: uuid.UUID) -> bool:
    """Whether they are there and all that is left of the recording. The caller has locked the job."""
    query = select(LiveChunk.seq).join(LiveSession).where(LiveChunk.job_id == job_id, LiveSession.has_chunks)
    return work.scalar(query.limit(1)) is not None


def inherit(work: Session, old_id: uuid.UUID, new_id: uuid.UUID) -> tuple[Ring, ...]:
    """Give a failed task's chunks to a new one, which goes on as a session does that has ended: nobody listens to it
    any more. Ring what is returned."""
    old = work.get_one(LiveSession, old_id)
    names = ("owner_id", "encoding", "rate", "seq", "bytes", "created_at", "seen_at", "ended_at", "end_reason")
    work.add(LiveSession(job_id=new_id, heard_at=func.now(), **{name: getattr(old, name) for name in names}))
    work.flush()
    moved = update(LiveChunk).where(LiveChunk.job_id == old_id).values(job_id=new_id)
    work.execute(moved.execution_options(synchronize_session=False))
    old.has_chunks = False
    job = jobs.lock(work, new_id)
    return jobs.arrived(work, job) if job else ()
