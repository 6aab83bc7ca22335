"""The worker processes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class Worker(Base):
    """A worker process that has been heard from: the truth behind /health/ready and /health/async.

    A worker that ends in order removes its row; one that only fell silent leaves it for a day (shared/kernel/fleet.py).
    """

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    queues: Mapped[list[str]]
    slots: Mapped[int] = mapped_column(server_default=text("1"))  # stages that it runs at once
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deaf: Mapped[bool] = mapped_column(server_default=text("false"))  # alive, but takes nothing: worker/deafness.py
    installed: Mapped[list[str] | None]  # offered speech models whose weights it has; null where it does not say
    loaded: Mapped[list[str] | None]  # those that a process of its pool has in memory
