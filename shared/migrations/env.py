"""Alembic's entry: runs the migrations over the engine of shared/db that leads past a pooler."""

import time

from alembic import context

from shared.db import direct_engine
from shared.models import Base

MIGRATION_LOCK = 7_275_539
"""Advisory lock, any constant: two processes that start together migrate one after the other."""

POLL_S = 0.5
WAIT_S = 600

with direct_engine().connect() as connection:
    # asked again and again: who waits inside a statement has a snapshot, and CREATE INDEX CONCURRENTLY waits for that
    deadline = time.monotonic() + WAIT_S
    while not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({MIGRATION_LOCK})").scalar():
        connection.commit()
        if time.monotonic() >= deadline:
            raise SystemExit(f"somebody else has been migrating the tables for {WAIT_S} s")
        time.sleep(POLL_S)
    connection.commit()
    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
    with context.begin_transaction():
        # rewriting a large table takes its time; waiting for a lock, behind which everybody queues, stays limited
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        context.run_migrations()
    connection.exec_driver_sql(f"SELECT pg_advisory_unlock({MIGRATION_LOCK})")
    connection.commit()
