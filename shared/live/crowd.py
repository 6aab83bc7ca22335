"""How many live sessions there are, and whether anybody listens."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared.models import LiveSession


@dataclass(frozen=True, slots=True)
class Crowd:
    """Sessions that are not heard to their end: `running`, which a worker hears now, and `waiting` for one."""

    running: int
    waiting: int

    @property
    def size(self) -> int:
        return self.running + self.waiting


def of(work: Session) -> Crowd:
    """That of now."""
    is_heard = LiveSession.worker.is_not(None) & (LiveSession.lease_until > func.now())
    query = select(func.count(), func.count().filter(is_heard)).where(LiveSession.heard_at.is_(None))
    total, running = work.execute(query).one()
    return Crowd(running, total - running)
