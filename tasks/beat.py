"""Celery's clock. Health checks look at the age of its schedule's file, so that has to say when it was last written."""

from __future__ import annotations

from pathlib import Path

from celery.beat import PersistentScheduler


class Schedule(PersistentScheduler):
    """Celery's own, kept in a file; every three minutes the file is as new as its content."""

    def sync(self) -> None:
        """Write the schedule down. gdbm writes through a memory map, which leaves the file's time as it was where the
        file is in memory, as in containers."""
        super().sync()
        file = Path(self.schedule_filename)  # type: ignore[attr-defined]
        for part in file.parent.glob(f"{file.name}*"):
            part.touch()
