"""Whether PostgreSQL answers and has the tables of this release, and waiting until it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.errors import ConnectionTimeout
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.db.connections import direct_engine, is_pooled
from shared.db.role_limits import has_limits, is_role_limited

if TYPE_CHECKING:  # imported where it is used: 10 MB that only migrations need
    from alembic.config import Config

REFUSAL = "unsupported startup parameter"
POOLED = (
    "DATABASE_URL leads through a pooler such as PgBouncer: set DATABASE_DIRECT_URL to the address of PostgreSQL "
    "itself (docs/scaling.md)"
)

WAIT_S = 600
POLL_S = 2
NEWS_EVERY_S = 30
"""Whoever waits says what for, at once and then this often."""


def alembic_config() -> Config:
    """Alembic's configuration without an ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations"))
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
    return is_migrated() and (not is_pooled() or (is_role_limited() and has_limits()))


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


def await_answer() -> None:
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
