"""What the sweep does with live sessions: ends, gives up, forgets."""

from __future__ import annotations

import time
from datetime import timedelta

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.orm import Session

from shared.config import Settings
from shared.db import session
from shared.kernel import news
from shared.kernel.erasure import drop_chunks
from shared.live import sessions
from shared.models import Job, LiveSession, LiveVoices, Stage
from shared.rings import Ring
from shared.stages import SOURCE
from shared.states import TERMINAL, JobState, StageState

FORGET_S = 1.0
"""How long one sweep deletes chunks: a session of hours has a gigabyte."""


def sweep(config: Settings) -> tuple[Ring, ...]:
    """End sessions whose client does not come back, give up those that nobody can listen to, and forget chunks that
    are in storage as a recording, or will never be."""
    since = func.now() - timedelta(seconds=config.live_resume_s)
    # PostgreSQL could be told of nobody while it was away
    silent = (LiveSession.seen_at < since) & (func.pg_postmaster_start_time() < since)
    with session() as work:
        waiting = select(LiveSession.job_id).where(LiveSession.ended_at.is_(None), silent)
        abandoned = list(work.scalars(waiting.limit(sessions.AT_ONCE)))
    rings: tuple[Ring, ...] = ()
    for job_id in abandoned:
        with session() as work:
            rings += sessions.end(work, job_id, sessions.End.ABANDONED, silent)
    with session() as work:
        _close(work)
    until = time.monotonic() + FORGET_S
    while _forget_chunks() and time.monotonic() < until:
        pass
    return rings


def _close(work: Session) -> None:
    """Sessions of jobs that were cancelled, and those that nobody listens to any more."""
    is_over = exists().where(Job.id == LiveSession.job_id, Job.state.in_(TERMINAL), LiveSession.ended_at.is_(None))
    is_dropped = exists().where(
        Job.id == LiveSession.job_id, Job.state.in_([state for state in TERMINAL if state != JobState.DONE])
    )
    is_free = LiveSession.lease_until.is_(None) | (LiveSession.lease_until < func.now())
    is_hopeless = is_free & (
        (LiveSession.attempt >= sessions.MAX_ATTEMPTS) | (LiveSession.ended_at < func.now() - sessions.PATIENCE)
    )
    closed = work.execute(
        update(LiveSession)
        .where(LiveSession.heard_at.is_(None), is_dropped | is_over | is_hopeless)
        .values(heard_at=func.now(), worker=None)
        .returning(LiveSession.job_id)
        .execution_options(synchronize_session=False)
    )
    for (job_id,) in closed.all():
        news.tell(work, job_id)
    work.execute(
        update(LiveSession)
        .where(LiveSession.ended_at.is_(None), is_over)
        .values(ended_at=func.now())
        .execution_options(synchronize_session=False)
    )
    # also where a release closed the session that knows nothing of voices
    is_heard = exists().where(LiveSession.job_id == LiveVoices.job_id, LiveSession.heard_at.is_not(None))
    work.execute(delete(LiveVoices).where(is_heard).execution_options(synchronize_session=False))


def _forget_chunks() -> bool:
    """Some of those that are in storage as a recording, or will never be; whether there were any. Not those of a task
    that has failed without a recording: they are all that is left of it."""
    is_stored = exists().where(Stage.job_id == LiveSession.job_id, Stage.name == SOURCE, Stage.state == StageState.DONE)
    is_cancelled = exists().where(Job.id == LiveSession.job_id, Job.state == JobState.CANCELLED)
    is_done = (LiveSession.ended_at.is_not(None), LiveSession.heard_at.is_not(None), is_stored | is_cancelled)
    with session() as work:
        job_id = work.scalar(select(LiveSession.job_id).where(LiveSession.has_chunks, *is_done).limit(1))
        if job_id is None:
            return False
        if not drop_chunks(work, job_id):
            forgotten = update(LiveSession).where(LiveSession.job_id == job_id).values(has_chunks=False)
            work.execute(forgotten.execution_options(synchronize_session=False))
    return True
