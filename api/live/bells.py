"""Whom to wake in this process when a job has news: the sockets of its live session."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager


class Bells:
    """Events by session. All of it runs in the event loop."""

    def __init__(self) -> None:
        self._bells: dict[uuid.UUID, set[asyncio.Event]] = {}
        self.is_closing = False

    @property
    def count(self) -> int:
        """Sessions that have sockets here."""
        return len(self._bells)

    @contextmanager
    def bell(self, job_id: uuid.UUID) -> Iterator[asyncio.Event]:
        """Set whenever there is news of the session, for the time of the block."""
        bell = asyncio.Event()
        self._bells.setdefault(job_id, set()).add(bell)
        try:
            yield bell
        finally:
            self._bells[job_id].discard(bell)
            if not self._bells[job_id]:
                del self._bells[job_id]

    def ring(self, job_id: uuid.UUID | None) -> None:
        """A job has news, or None: any may have."""
        for bells in list(self._bells.values()) if job_id is None else [self._bells.get(job_id, set())]:
            for bell in bells:
                bell.set()

    def let_go(self) -> None:
        """This process is to end: its sockets are closed, and their clients go on elsewhere."""
        self.is_closing = True
        self.ring(None)


bells = Bells()
