"""Rows for requests that are answered on the event loop, without a thread and an ORM."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from api.postgres.pool import ANSWER_S, ATTEMPTS, CLOSING_S, open_pool
from shared.db import Query, Reading
from shared.errors import DatabaseUnavailable

T = TypeVar("T")

MOST_KEPT = 1000


class Reader:
    """Runs queries, each a transaction of its own. Open it in the event loop that uses it."""

    def __init__(self) -> None:
        self._pool: AsyncConnectionPool[AsyncConnection] | None = None
        self._answers: dict[tuple[str, ...], tuple[float, Sequence[Any] | None]] = {}

    async def open(self) -> None:
        """Begin to connect. PostgreSQL need not be there yet."""
        self._pool = await open_pool("polls", least=1)

    async def close(self) -> None:
        """Let the connections go."""
        if self._pool:
            await self._pool.close(CLOSING_S)
            self._pool = None

    async def first_row(self, query: Query) -> Sequence[Any] | None:
        """The query's first row; None when there is none. Raises DatabaseUnavailable."""
        if not query.fresh_s:
            return await self._row(query.text, query.parameters)
        name = (query.text, *map(str, query.parameters.values()))
        until, row = self._answers.get(name, (0.0, None))
        if time.monotonic() >= until:
            row = await self._row(query.text, query.parameters)
            if len(self._answers) >= MOST_KEPT:
                self._answers.clear()
            self._answers[name] = time.monotonic() + query.fresh_s, row
        return row

    async def run(self, reading: Reading[T]) -> T:
        """What the reading comes to. Raises DatabaseUnavailable, and what the reading raises."""
        try:
            query = next(reading)
            while True:
                query = reading.send(await self.first_row(query))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _row(self, text: str, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        assert self._pool, "api/main.py opens it"
        for attempt in range(1, ATTEMPTS + 1):
            connection = None
            try:
                async with self._pool.connection() as connection, asyncio.timeout(ANSWER_S):
                    row: Sequence[Any] | None = await (await connection.execute(text, parameters)).fetchone()
                    return row
            except (PoolTimeout, TimeoutError) as error:
                raise DatabaseUnavailable("The database does not answer; try again in a moment.") from error
            except (OperationalError, InterfaceError) as error:
                if attempt == ATTEMPTS or connection is None or not connection.closed:
                    raise DatabaseUnavailable("The database went away; try again in a moment.") from error
                await self._pool.check()
        raise AssertionError("unreachable")


reader = Reader()
