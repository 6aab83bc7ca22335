"""One connection of the gateway hears of jobs with news, with the commit that makes them: shared/kernel/news.py.

While it is away nothing is lost: api/waiting.py also looks by itself.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from psycopg import AsyncConnection, Error

from shared.db import conninfo
from shared.kernel.news import CHANNEL
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

NAME = "parley-listener"
PAUSE_S = 1.0


async def listen(tell: Callable[[uuid.UUID | None], None]) -> None:
    """Tell of each job that has news, and None where those of any may have been missed. Runs until it is cancelled."""
    is_told = False
    while True:
        try:
            connection = await AsyncConnection.connect(conninfo(direct=True), autocommit=True, application_name=NAME)
            async with connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                log.info("listening")
                is_told = False
                tell(None)
                async for notification in connection.notifies():
                    tell(uuid.UUID(notification.payload))
        except (Error, OSError, ValueError) as error:  # the last one for news that is none of ours
            if not is_told:
                log.warning("listening_ended", reason=type(error).__name__, next_attempt_s=PAUSE_S)
                is_told = True
        await asyncio.sleep(PAUSE_S)
