"""How long a finished task is kept: as long as it says itself, else its key, else the server.

The moment is noted when the task ends, so a limit that is changed holds for tasks that end later. The sweep
erases what is over.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared.config import settings
from shared.models import ApiKey, Job


def expiry(session: Session, job: Job) -> Any:
    """The moment (an SQL expression) at which a job that ends now is to be erased; None for never."""
    seconds = job.retention_seconds
    if seconds is None:
        seconds = session.scalar(select(ApiKey.retention_seconds).where(ApiKey.id == job.owner_id))
    if seconds is None:
        seconds = settings().job_ttl_seconds
    return func.now() + timedelta(seconds=seconds) if seconds else None
