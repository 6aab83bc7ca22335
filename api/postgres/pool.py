"""A pool of connections of the event loop's."""

from __future__ import annotations

import logging
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from shared.db import conninfo, preparing

CONNECTIONS = 8
"""Of a pool. A statement needs one for a few milliseconds at most."""

PATIENCE_S = 3.0
"""How long a request waits for a connection: with PostgreSQL away, until it is told so."""

ANSWER_S = 35.0
"""More than PostgreSQL's own limit of a statement: only a server that is silent takes so long."""

ATTEMPTS = 3
"""A connection that has ended is noticed when it is wanted. Then the others are looked at, and one more is tried."""

CLOSING_S = 1.0
"""What is waited at the end for connections that are just being made."""


async def open_pool(name: str, *, least: int, **arguments: Any) -> AsyncConnectionPool[AsyncConnection]:
    """A pool that begins to connect, whose statements are transactions of their own. PostgreSQL need not be there yet.

    least : connections that are kept however little there is to do
    arguments : of each connection
    """
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # else several lines for each request of an outage
    pool = AsyncConnectionPool(
        conninfo(),
        kwargs={"autocommit": True, **preparing(), **arguments},
        min_size=least,
        max_size=CONNECTIONS,
        timeout=PATIENCE_S,
        reconnect_timeout=0,  # whoever comes next tries again: no pause outlasts the outage
        open=False,
        name=name,
    )
    await pool.open()
    return pool
