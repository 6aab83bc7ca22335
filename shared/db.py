"""PostgreSQL: one engine per process, sessions, and migrations (`python -m shared.db upgrade`)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg.conninfo import make_conninfo
from psycopg.errors import ConnectionTimeout
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from shared.config import settings
from shared.errors import DatabaseUnavailable

if TYPE_CHECKING:  # imported where it is used: 10 MB that only migrations need
    from alembic.config import Config

T = TypeVar("T")

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

LIMITS_LOCK = 7_275_538
"""Advisory lock, any constant that nothing else has."""

REFUSAL = "unsupported startup parameter"
POOLED = (
    "DATABASE_URL leads through a pooler such as PgBouncer: set DATABASE_DIRECT_URL to the address of PostgreSQL "
    "itself (docs/scaling.md)"
)
UNLIMITED = (
    "connections of DATABASE_URL have no limits of time: it must have the role and the database of "
    "DATABASE_DIRECT_URL, and a pooler that was there before must be restarted (docs/scaling.md)"
)

WAIT_S = 600
POLL_S = 2
NEWS_EVERY_S = 30
"""Whoever waits says what for, at once and then this often."""


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
        connect_args={**CONNECT, **(preparing() if _is_pooled() else _options())},
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
    return make_conninfo(**{**options, **CONNECT, **({} if _is_pooled() and not direct else _options())})


def preparing() -> dict[str, Any]:
    """psycopg's arguments beside `conninfo()`: a pooler may give the next transaction to another connection of its own,
    which knows no statement that was prepared before."""
    return {"prepare_threshold": None} if _is_pooled() else {}


def _is_pooled() -> bool:
    return settings().database_direct_url is not None


def _options() -> dict[str, str]:
    """A pooler refuses them: `limit_role`."""
    return {"options": " ".join(f"-c {name}={value}" for name, value in SESSION.items())}


def limit_role() -> None:
    """Give the limits to the role, in this database: connections of a pooler begin without any."""
    with direct_engine().begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LIMITS_LOCK})")
        database = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        quoted = connection.dialect.identifier_preparer.quote_identifier(database)
        for name, value in LIMITS.items():
            connection.exec_driver_sql(f"ALTER ROLE CURRENT_USER IN DATABASE {quoted} SET {name} = '{value}'")


def is_role_limited() -> bool:
    """Whether `limit_role` has been called. Asked past the pooler, which would go on with a connection that it has
    opened before."""
    query = """
        SELECT count(*) FROM pg_db_role_setting, unnest(setconfig) AS setting
        WHERE setrole = CAST(current_user AS regrole)
          AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND split_part(setting, '=', 1) = ANY(%s)
    """
    with direct_engine().connect() as connection:
        return bool(connection.exec_driver_sql(query, (list(LIMITS),)).scalar_one() == len(LIMITS))


def has_limits() -> bool:
    """Whether connections of the pooler have the limits that `limit_role` gives."""
    with engine().connect() as connection:
        return all(
            connection.exec_driver_sql(
                "SELECT CAST(current_setting(%s) AS interval) = CAST(%s AS interval)", limit
            ).scalar_one()
            for limit in LIMITS.items()
        )


def forget_engine() -> None:
    """Call in a forked child: sockets that the parent opened must not be used by two processes."""
    if engine.cache_info().currsize:
        engine().dispose(close=False)
    engine.cache_clear()
    _reading_engine.cache_clear()


@cache
def _reading_engine() -> Engine:
    """The same connections; each statement is a transaction of its own, which saves a BEGIN and a COMMIT."""
    return engine().execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def session(*, is_reading: bool = False) -> Iterator[Session]:
    """One transaction: committed at the end, rolled back on an exception; with `is_reading` none, for a few SELECTs.

    Raises DatabaseUnavailable when the server cannot be reached or goes away; after a failed COMMIT nobody knows
    whether it took place, so callers make their work safe to repeat.
    """
    opened = Session(_reading_engine() if is_reading else engine(), expire_on_commit=False)
    try:
        yield opened
        opened.commit()  # any other way out, close() rolls back
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise DatabaseUnavailable("The database does not answer; try again in a moment.") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable("The database went away; try again in a moment.") from error
        raise
    finally:
        opened.close()


@dataclass(frozen=True, slots=True)
class Query:
    """SQL of which the first row is wanted, with `%(name)s` for each parameter, for a session or an event loop.

    fresh_s : how long its answer may be used again by whoever asks often
    """

    text: str
    parameters: Mapping[str, Any]
    fresh_s: float = 0.0


Reading = Generator[Query, Sequence[Any] | None, T]
"""What is read by queries that follow from one another, whoever runs them: each is answered with its row, if any."""


def first_row(session: Session, query: Query) -> Sequence[Any] | None:
    """The row, in the session's transaction."""
    session.flush()
    return session.connection().exec_driver_sql(query.text, dict(query.parameters)).first()


def run(session: Session, reading: Reading[T]) -> T:
    """What the reading comes to, in the session's transaction."""
    try:
        query = next(reading)
        while True:
            query = reading.send(first_row(session, query))
    except StopIteration as end:
        result: T = end.value
        return result


def alembic_config() -> Config:
    """Alembic's configuration without an ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def is_migrated() -> bool:
    """Whether the tables are those of this release or of a newer one, on which it runs too (docs/upgrade.md)."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(alembic_config())
    older = {script.revision for script in scripts.walk_revisions()} - {scripts.get_current_head()}
    with direct_engine().connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    return revision is not None and revision not in older


def wait_until_migrated() -> bool:
    """Wait for whoever migrates, also while PostgreSQL or a pooler is away; False when that took longer than WAIT_S."""
    return _wait_until(_is_ready, "waiting for the job migrate: the tables are not those of this release yet")


def _is_ready() -> bool:
    return is_migrated() and (not _is_pooled() or (is_role_limited() and has_limits()))


def wait_until_reached() -> bool:
    """Wait until PostgreSQL takes a connection; False when that took longer than WAIT_S."""
    return _wait_until(_is_reached, "waiting for PostgreSQL")


def _is_reached() -> bool:
    """Raises OperationalError when it is not."""
    direct_engine().connect().close()
    return True


def _refuse_pooler(error: Exception) -> None:
    """End the process where no waiting helps."""
    if REFUSAL in str(error):
        raise SystemExit(POOLED) from None


def _await_answer() -> None:
    """Return when PostgreSQL has answered. A machine that starts everything at once may be late, and is asked again
    from here: on a slow one it takes minutes until another process comes this far.

    Raises OperationalError when there is no server, it refuses, or has not answered in WAIT_S.
    """
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            _is_reached()
            return
        except OperationalError as error:
            _refuse_pooler(error)
            if not isinstance(error.orig, ConnectionTimeout) or time.monotonic() > deadline:
                raise


def _wait_until(is_so: Callable[[], bool], reason: str) -> bool:
    """Ask every POLL_S seconds. Prints the reason, or what PostgreSQL has said, every NEWS_EVERY_S."""
    deadline, news_at = time.monotonic() + WAIT_S, 0.0
    while time.monotonic() < deadline:
        news = reason
        try:
            if is_so():
                return True
        except (OperationalError, PoolTimeout) as error:
            _refuse_pooler(error)
            news = f"waiting for PostgreSQL: {str(getattr(error, 'orig', error)).partition(chr(10))[0]}"
        if time.monotonic() >= news_at:
            print(news, flush=True)
            news_at = time.monotonic() + NEWS_EVERY_S
        time.sleep(POLL_S)
    return False


def main() -> None:
    """`python -m shared.db upgrade|wait|reach|check|revision MESSAGE`: bring the tables up to date, wait until somebody
    has, wait until PostgreSQL answers, compare the tables with shared/models, or write the migration."""
    from alembic import command

    match sys.argv[1:]:
        case ["upgrade"]:
            _await_answer()
            if _is_pooled():
                limit_role()
            if not is_migrated():
                command.upgrade(alembic_config(), "head")
            if _is_pooled() and not has_limits():
                raise SystemExit(UNLIMITED)
        case ["wait"]:
            if not wait_until_migrated():
                raise SystemExit(f"nobody has migrated the tables in {WAIT_S} s")
        case ["reach"]:
            if not wait_until_reached():
                raise SystemExit(f"PostgreSQL has not answered in {WAIT_S} s")
        case ["check"]:
            command.check(alembic_config())
        case ["revision", message]:
            command.revision(alembic_config(), message=message, autogenerate=True)
        case _:
            raise SystemExit(main.__doc__)


if __name__ == "__main__":
    main()
