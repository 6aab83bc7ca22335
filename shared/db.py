"""PostgreSQL: one engine per process, sessions, and migrations (`python -m shared.db upgrade`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from shared.config import settings
from shared.errors import DatabaseUnavailable


@cache
def engine() -> Engine:
    """This process's engine. Every statement and every wait for a lock or a connection has a limit."""
    return create_engine(
        settings().database_url.get_secret_value(),
        pool_size=10,
        max_overflow=20,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,  # errors are logged with their text, and parameters are what callers have sent
        connect_args={
            "connect_timeout": 5,
            "options": "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s",
        },
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


def alembic_config() -> Config:
    """Alembic's configuration without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def main() -> None:
    """`python -m shared.db upgrade|check|revision MESSAGE`: bring the tables up to date, or compare them."""
    match sys.argv[1:]:
        case ["upgrade"]:
            command.upgrade(alembic_config(), "head")
        case ["check"]:
            command.check(alembic_config())
        case ["revision", message]:
            command.revision(alembic_config(), message=message, autogenerate=True)
        case _:
            raise SystemExit(main.__doc__)


if __name__ == "__main__":
    main()
