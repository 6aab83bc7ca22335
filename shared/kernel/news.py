"""Whoever waits for a job is told with the commit that something has changed, so that it need not look again and again.

Nothing depends on it: a gateway that hears nothing looks by itself, if later.
"""

from __future__ import annotations

import uuid

from sqlalchemy import func, select
from sqlalchemy.orm import Session

CHANNEL = "parley_jobs"


def tell(session: Session, job_id: uuid.UUID) -> None:
    """Tell of a job's new state, of its probe or of new segments, if and when this transaction is committed.

    Not of progress: PostgreSQL commits transactions that tell one after another, and heartbeats are too many for that.
    """
    session.execute(select(func.pg_notify(CHANNEL, str(job_id))))
