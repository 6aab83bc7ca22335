"""Migrations, and waiting for them: `python -m shared.db upgrade`."""

from __future__ import annotations

import sys

from shared.db.connections import is_pooled
from shared.db.role_limits import has_limits, limit_role
from shared.db.tables import (
    WAIT_S,
    alembic_config,
    await_answer,
    is_migrated,
    wait_until_migrated,
    wait_until_reached,
)

UNLIMITED = (
    "connections of DATABASE_URL have no limits of time: it must have the role and the database of "
    "DATABASE_DIRECT_URL, and a pooler that was there before must be restarted (docs/scaling.md)"
)


def main() -> None:
    """`python -m shared.db upgrade|wait|reach|check|revision MESSAGE`: bring the tables up to date, wait until somebody
    has, wait until PostgreSQL answers, compare the tables with shared/models, or write the migration."""
    from alembic import command

    match sys.argv[1:]:
        case ["upgrade"]:
            await_answer()
            if is_pooled():
                limit_role()
            if not is_migrated():
                command.upgrade(alembic_config(), "head")
            if is_pooled() and not has_limits():
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
