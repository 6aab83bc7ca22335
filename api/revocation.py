"""Requests that last: they end within seconds when their key is revoked.

A key is looked at when a request begins. Whoever then waits for a client or for a job waits in `until_revoked`, and one
task per gateway process asks the database about the keys of all of them, once in a while.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from anyio import CapacityLimiter, to_thread

from shared.callers import keys
from shared.db import session
from shared.errors import DatabaseUnavailable, Unauthorized
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

INTERVAL_S = 1.0


class Watch:
    """The one that looks. It runs while anybody waits."""

    def __init__(self) -> None:
        self._waits: dict[uuid.UUID, set[asyncio.Timeout]] = {}
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def until_revoked(self, key_id: uuid.UUID) -> AsyncIterator[None]:
        """Raises Unauthorized where the block waits, some INTERVAL_S after the key was revoked."""
        deadline = asyncio.timeout(None)
        try:
            async with deadline:
                waits = self._waits.setdefault(key_id, set())
                waits.add(deadline)
                if self._task is None or self._task.done():
                    self._task = asyncio.create_task(self._run(), name="revocation")
                try:
                    yield
                finally:
                    waits.discard(deadline)
                    if not waits and self._waits.get(key_id) is waits:
                        del self._waits[key_id]
        except TimeoutError as error:
            if deadline.expired():
                raise Unauthorized("This API key has been revoked.") from error
            raise

    async def _run(self) -> None:
        loop, thread = asyncio.get_running_loop(), CapacityLimiter(1)
        while self._waits:
            await asyncio.sleep(INTERVAL_S)
            try:
                revoked = await to_thread.run_sync(partial(_revoked, list(self._waits)), limiter=thread)
            except Exception as error:  # whatever is wrong may be right the next time, and nobody else would look
                log.warning(
                    "look_failed", reason=type(error).__name__, exc_info=not isinstance(error, DatabaseUnavailable)
                )
                continue
            for key_id in revoked:
                for deadline in self._waits.get(key_id, set()):
                    if not deadline.expired():  # else an earlier look has cancelled its block, which is still leaving
                        deadline.reschedule(loop.time())


def _revoked(key_ids: list[uuid.UUID]) -> set[uuid.UUID]:
    with session(is_reading=True) as work:
        return keys.revoked(work, key_ids)


_watch = Watch()
until_revoked = _watch.until_revoked
