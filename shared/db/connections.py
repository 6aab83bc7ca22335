"""One engine per process, and what every connection begins with, through a pooler or past it."""

from __future__ import annotations

from functools import cache
from typing import Any

from psycopg.conninfo import make_conninfo
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from shared.config import settings

CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 15_000,  # ms: a server that vanished is noticed, not only one that closes
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
LIMITS = {"statement_timeout": "30s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"}
"""Every statement and every wait for a lock or a connection has a limit."""

SESSION = {**LIMITS, "parley.indexes": "on"}
"""What a connection says as it begins. Whoever changes a task keeps its search entry: shared/search/entries.py."""


@cache
def engine() -> Engine:
    """This process's engine."""
    return create_engine(
        settings().database_url.get_secret_value(),
        pool_size=10,
        max_overflow=20,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,  # errors are logged with their text, and parameters are what callers have sent
        connect_args={**CONNECT, **(preparing() if is_pooled() else _options())},
    )


def direct_engine() -> Engine:
    """The same, past a pooler if there is one: for what lasts longer than a transaction, such as a session's lock, and
    until the role has its limits, or the pooler would go on with a connection that has none."""
    direct = settings().database_direct_url
    if direct is None:
        return engine()
    arguments = {**CONNECT, **_options()}
    return create_engine(direct.get_secret_value(), poolclass=NullPool, hide_parameters=True, connect_args=arguments)


def conninfo(*, direct: bool = False) -> str:
    """The same server and limits in libpq's words, for connections that are not the engine's.

    direct : past a pooler if there is one, as whoever listens (LISTEN) must
    """
    used = direct_engine() if direct else engine()
    _, options = used.dialect.create_connect_args(used.url)
    del options["context"]  # how SQLAlchemy wants its values
    return make_conninfo(**{**options, **CONNECT, **({} if is_pooled() and not direct else _options())})


def preparing() -> dict[str, Any]:
    """psycopg's arguments beside `conninfo()`: a pooler may give the next transaction to another connection of its own,
    which knows no statement that was prepared before."""
    return {"prepare_threshold": None} if is_pooled() else {}


def is_pooled() -> bool:
    return settings().database_direct_url is not None


def _options() -> dict[str, str]:
    """A pooler refuses them: `limit_role`."""
    return {"options": " ".join(f"-c {name}={value}" for name, value in SESSION.items())}


def forget_engine() -> None:
    """Call in a forked child: sockets that the parent opened must not be used by two processes."""
    if engine.cache_info().currsize:
        engine().dispose(close=False)
    engine.cache_clear()
    reading_engine.cache_clear()


@cache
def reading_engine() -> Engine:
    """The same connections; each statement is a transaction of its own, which saves a BEGIN and a COMMIT."""
    return engine().execution_options(isolation_level="AUTOCOMMIT")
