"""Erasing tasks whose time is over (shared/kernel/retention.py), exactly as DELETE does it."""

from __future__ import annotations

from sqlalchemy import func, select

from shared.db import session
from shared.errors import NotFound
from shared.kernel.erasure import erase
from shared.models import Job

BATCH = 100
"""Tasks that one sweep erases: as many as it then empties storage for. Every 5 s that is 1.7 million a day."""


def erase_expired() -> int:
    """Delete the rows of tasks whose time is over, each in a transaction of its own, and announce their objects.

    Storage is emptied by the same sweep that finishes any deletion. Returns how many tasks were erased.
    """
    over = Job.expires_at <= func.now()
    with session() as work:
        expired = work.execute(select(Job.id, Job.owner_id).where(over).order_by(Job.expires_at).limit(BATCH)).all()
    erased = 0
    for job_id, owner_id in expired:
        try:
            with session() as work:
                erase(work, owner_id, job_id)
        except NotFound:  # somebody else was faster
            continue
        erased += 1
    return erased
