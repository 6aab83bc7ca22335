"""What becomes of stages whose worker fell silent: its lease ran out, and somebody else looks after them."""

from __future__ import annotations

import uuid

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared.kernel.jobs import Outcome, advance, bury, lock
from shared.kernel.leases import bell
from shared.models import Stage
from shared.rings import Ring
from shared.states import JobState, StageState
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import LEASES_EXPIRED, STAGE_DEATHS

log = get_logger(__name__)


def expire(session: Session, job_id: uuid.UUID, *, max_attempts: int) -> Outcome:
    """Take the stages of one job whose lease ran out away from their workers: queued again, or dead."""
    job = lock(session, job_id)
    if job is None:
        return Outcome()
    rings: list[Ring] = []
    expired = session.scalars(
        select(Stage)
        .where(Stage.job_id == job_id, Stage.state == StageState.RUNNING, Stage.lease_until < func.now())
        .with_for_update(skip_locked=True)
    ).all()
    LEASES_EXPIRED.inc(bool(expired))  # here, where a sweep that came second finds none
    for row in expired:
        row.fence += 1
        row.lease_until = None
        if job.state != JobState.PROCESSING:
            row.state = StageState.CANCELLED
        elif row.attempt >= max_attempts:
            row.state, row.finished_at = StageState.DEAD, func.now()
            row.error_code = "worker_lost"
            STAGE_DEATHS.labels(row.name, row.error_code).inc()
            row.error_message = f"The worker vanished during {row.name}, {row.attempt} times in a row."
        else:
            row.state, row.rung_at, row.rings = StageState.QUEUED, func.now(), 1
            rings.append(bell(job, row.name, row.shard))
        log.warning(
            "stage_expired",
            job_id=str(job_id),
            stage=row.name,
            shard=row.shard,
            worker=row.worker,
            attempt=row.attempt,
            state=row.state,
            request_id=job.request_id,
        )
    session.flush()
    for row in expired:
        if row.state == StageState.DEAD:
            rings += bury(session, job, row.name, row.error_code or "", row.error_message or "")
        elif row.state == StageState.CANCELLED:
            rings += advance(session, job, ended=row.name)
    return Outcome((*rings, *advance(session, job)))
