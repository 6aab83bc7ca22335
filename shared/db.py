"""PostgreSQL: one engine per process, sessions, and migrations (`python -m shared.db upgrade`)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from shared.config import settings
from shared.errors import DatabaseUnavailable

WAIT_S = 600
POLL_S = 2
NEWS_EVERY_S = 30
"""Whoever waits says what for, at once and then this often."""


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
            "options": "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
            " -c parley.indexes=on",  # whoever changes a task keeps its search entry: shared/search/entries.py
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


def is_migrated() -> bool:
    """Whether the tables are those of this release or of a newer one, on which it runs too (docs/upgrade.md)."""
    scripts = ScriptDirectory.from_config(alembic_config())
    older = {script.revision for script in scripts.walk_revisions()} - {scripts.get_current_head()}
    with engine().connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    return revision is not None and revision not in older


def wait_until_migrated() -> bool:
    """Wait for whoever migrates, also while PostgreSQL is away; False when that took longer than WAIT_S."""
    return _wait_until(is_migrated, "waiting for the job migrate: the tables are not those of this release yet")


def wait_until_reached() -> bool:
    """Wait until PostgreSQL takes a connection; False when that took longer than WAIT_S."""
    return _wait_until(_is_reached, "waiting for PostgreSQL")


def _is_reached() -> bool:
    """Raises OperationalError when it is not."""
    engine().connect().close()
    return True


def _wait_until(is_so: Callable[[], bool], reason: str) -> bool:
    """Ask every POLL_S seconds. Prints the reason, or what PostgreSQL has said, every NEWS_EVERY_S."""
    deadline, news_at = time.monotonic() + WAIT_S, 0.0
    while time.monotonic() < deadline:
        news = reason
        try:
            if is_so():
                return True
        except (OperationalError, PoolTimeout) as error:
            news = f"waiting for PostgreSQL: {str(getattr(error, 'orig', error)).partition(chr(10))[0]}"
        if time.monotonic() >= news_at:
            print(news, flush=True)
            news_at = time.monotonic() + NEWS_EVERY_S
        time.sleep(POLL_S)
    return False


def main() -> None:
    """`python -m shared.db upgrade|wait|reach|check|revision MESSAGE`: bring the tables up to date, wait until somebody
    has, wait until PostgreSQL answers, compare the tables with shared/models, or write the migration."""
    match sys.argv[1:]:
        case ["upgrade"]:
            if not is_migrated():
                command.upgrade(alembic_config(), "head")
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
