"""Celery's clock. Health checks look at the age of its schedule's file, so that has to say when it was last written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery.beat import PersistentScheduler


class Schedule(PersistentScheduler):
    """Celery's own, kept in a file; every three minutes the file is as new as its content."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # only the sweep is sent from here, and Flower is to list jobs
        self.app.conf.task_send_sent_event = False

    def sync(self) -> None:
        """Write the schedule down. gdbm writes through a memory map, which leaves the file's time as it was where the
        file is in memory, as in containers."""
        super().sync()
        file = Path(self.schedule_filename)  # type: ignore[attr-defined]
        for part in file.parent.glob(f"{file.name}*"):
            part.touch()
