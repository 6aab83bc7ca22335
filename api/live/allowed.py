"""How long a client may stay: until its key is revoked or, where a cookie stands for the key, its session ends."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from anyio import CapacityLimiter, to_thread
from starlette.requests import HTTPConnection

from api.auth import session_token
from api.revocation import until_revoked
from shared.callers import browser_sessions
from shared.callers.keys import Caller
from shared.db import session
from shared.errors import DatabaseUnavailable, Unauthorized
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

INTERVAL_S = 5.0
THREADS = CapacityLimiter(2)
"""All sockets of a process look with so many threads."""


@asynccontextmanager
async def while_allowed(connection: HTTPConnection, who: Caller, key: str | None) -> AsyncIterator[None]:
    """Raises Unauthorized where the block waits, seconds after the key was revoked or its session has ended."""
    async with until_revoked(who.id):
        if key is None or key != session_token(connection):
            yield
            return
        family = await to_thread.run_sync(_family, key, limiter=THREADS)
        async with _until_signed_out(family):
            yield


@asynccontextmanager
async def _until_signed_out(family: uuid.UUID) -> AsyncIterator[None]:
    deadline = asyncio.timeout(None)
    try:
        async with deadline:
            watch = asyncio.create_task(_watch(family, deadline), name="signed out")
            try:
                yield
            finally:
                watch.cancel()
    except TimeoutError as error:
        if deadline.expired():
            raise Unauthorized("This session has ended.") from error
        raise


async def _watch(family: uuid.UUID, deadline: asyncio.Timeout) -> None:
    while True:
        await asyncio.sleep(INTERVAL_S)
        try:
            await to_thread.run_sync(partial(_check, family), limiter=THREADS)
        except Unauthorized:
            deadline.reschedule(asyncio.get_running_loop().time())
            return
        except Exception as error:  # whatever is wrong may be right the next time, and nobody else would look
            log.warning("look_failed", reason=type(error).__name__, exc_info=not isinstance(error, DatabaseUnavailable))


def _family(token: str) -> uuid.UUID:
    with session(is_reading=True) as work:
        return browser_sessions.family(work, token)


def _check(family: uuid.UUID) -> None:
    with session(is_reading=True) as work:
        browser_sessions.check(work, family)
