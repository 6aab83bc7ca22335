"""Statements that change something and must not be repeated: one round trip for what takes a thread and a transaction
three. Their connections are their own, so that polls do not wait behind them, nor they behind polls.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, AsyncRawCursor, Error
from psycopg_pool import AsyncConnectionPool

from api.postgres.pool import ANSWER_S, ATTEMPTS, CLOSING_S, open_pool
from shared.db import Statement
from shared.errors import DatabaseUnavailable


class AnswerLost(DatabaseUnavailable):
    """The statement was sent and its end is not known: it was or will be carried out, or not, and may still run."""


class Writes:
    """Runs statements, each a transaction of its own. Open it in the event loop that uses it."""

    def __init__(self) -> None:
        self._pool: AsyncConnectionPool[AsyncConnection] | None = None

    async def open(self) -> None:
        """Connections are made when they are needed."""
        self._pool = await open_pool("writes", least=0, cursor_factory=AsyncRawCursor)

    async def close(self) -> None:
        """Let the connections go."""
        if self._pool:
            await self._pool.close(CLOSING_S)
            self._pool = None

    async def first_row(self, statement: Statement) -> Sequence[Any] | None:
        """The first row of a statement that is sent once at most, and is committed then; None when there is none.

        Raises AnswerLost, and DatabaseUnavailable when it was not sent. Who is cancelled knows as little as behind
        AnswerLost.
        """
        assert self._pool, "api/main.py opens it"
        is_sent = False
        try:
            for _ in range(ATTEMPTS):
                async with self._pool.connection() as connection:
                    if not _has_ended(connection):
                        is_sent = True
                        async with asyncio.timeout(ANSWER_S):
                            cursor = await connection.execute(statement.text, statement.values)
                            row: Sequence[Any] | None = await cursor.fetchone()
                            return row
                    await connection.close()
                await self._pool.check()
        except Exception as error:  # also what the driver makes of a value that it cannot send: who asks learns of it
            if is_sent:
                raise AnswerLost("The database went away; try again in a moment.") from error
            if isinstance(error, (Error, OSError)):
                raise DatabaseUnavailable("The database does not answer; try again in a moment.") from error
            raise
        raise DatabaseUnavailable("The database went away; try again in a moment.")


def _has_ended(connection: AsyncConnection) -> bool:
    """Whether the server has closed an idle connection, which takes no round trip: only then there is something to be
    read of it. What would be sent now would be lost, and nobody could tell that it was never read.
    """
    if connection.closed:
        return True
    look = select.poll()
    look.register(connection.fileno(), select.POLLIN)
    return bool(look.poll(0))


writes = Writes()
