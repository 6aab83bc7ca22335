"""Counts of stages and tasks by state, kept by triggers, so that nobody counts a queue of a million.

Each step is a transaction of its own and may be repeated. Writers wait for none but a moment for the triggers: the
indexes are made beside them, and the rows are counted when triggers note already what changes meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

INDEXES = {
    "stages_queued": "stages (name, priority, job_id) WHERE state = 'queued'",
    "jobs_by_batch_state": "jobs (batch_id, state, started_at) WHERE batch_id IS NOT NULL",
}

OF_STAGES = """
CREATE OR REPLACE FUNCTION note_stages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO stage_changes (name, priority, state, n)
        SELECT name, priority, state, count(*)
        FROM added WHERE state IN ('queued', 'running') GROUP BY name, priority, state;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO stage_changes (name, priority, state, n)
        SELECT name, priority, state, -count(*)
        FROM removed WHERE state IN ('queued', 'running') GROUP BY name, priority, state;
    ELSE
        INSERT INTO stage_changes (name, priority, state, n)
        SELECT name, priority, state, sum(n)
        FROM (
            SELECT name, priority, state, 1 AS n FROM added WHERE state IN ('queued', 'running')
            UNION ALL
            SELECT name, priority, state, -1 FROM removed WHERE state IN ('queued', 'running')
        ) AS changed
        GROUP BY name, priority, state HAVING sum(n) <> 0;
    END IF;
    RETURN NULL;
END $$;
"""

OF_JOBS = """
CREATE OR REPLACE FUNCTION note_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO job_changes (owner_id, batch_id, state, has_begun, n)
        SELECT owner_id, batch_id, state, batch_id IS NOT NULL AND started_at IS NOT NULL AS has_begun, count(*)
        FROM added WHERE batch_id IS NOT NULL OR state IN ('queued', 'processing', 'cancelling')
        GROUP BY owner_id, batch_id, state, has_begun;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO job_changes (owner_id, batch_id, state, has_begun, n)
        SELECT owner_id, batch_id, state, batch_id IS NOT NULL AND started_at IS NOT NULL AS has_begun, -count(*)
        FROM removed WHERE batch_id IS NOT NULL OR state IN ('queued', 'processing', 'cancelling')
        GROUP BY owner_id, batch_id, state, has_begun;
    ELSE
        INSERT INTO job_changes (owner_id, batch_id, state, has_begun, n)
        SELECT owner_id, batch_id, state, batch_id IS NOT NULL AND started_at IS NOT NULL AS has_begun, sum(n)
        FROM (
            SELECT owner_id, batch_id, state, started_at, 1 AS n FROM added
            UNION ALL
            SELECT owner_id, batch_id, state, started_at, -1 FROM removed
        ) AS changed
        WHERE batch_id IS NOT NULL OR state IN ('queued', 'processing', 'cancelling')
        GROUP BY owner_id, batch_id, state, has_begun HAVING sum(n) <> 0;
    END IF;
    RETURN NULL;
END $$;
"""

TRIGGERS = """
CREATE OR REPLACE TRIGGER ledger_added AFTER INSERT ON {table}
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION note_{table}();
CREATE OR REPLACE TRIGGER ledger_removed AFTER DELETE ON {table}
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION note_{table}();
CREATE OR REPLACE TRIGGER ledger_changed AFTER UPDATE ON {table}
    REFERENCING NEW TABLE AS added OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION note_{table}();
"""
"""One table at a time: they lock it, and writers change the two in either order."""

COUNT_STAGES = """
DELETE FROM stage_counts;
INSERT INTO stage_counts (name, priority, state, n)
SELECT name, priority, state, sum(n)
FROM (
    SELECT name, priority, state, 1 AS n FROM stages WHERE state IN ('queued', 'running')
    UNION ALL
    SELECT name, priority, state, -n FROM stage_changes
) AS parts
GROUP BY name, priority, state HAVING sum(n) <> 0;
"""
"""Rows and changes of one moment: what is counted as a row is not to be added once more as a change of it."""

COUNT_OWNERS = """
DELETE FROM owner_counts;
INSERT INTO owner_counts (owner_id, state, n)
SELECT owner_id, state, sum(n)
FROM (
    SELECT owner_id, state, 1 AS n FROM jobs UNION ALL SELECT owner_id, state, -n FROM job_changes
) AS parts
WHERE state IN ('queued', 'processing', 'cancelling') GROUP BY owner_id, state HAVING sum(n) <> 0;
"""

COUNT_BATCHES = """
DELETE FROM batch_counts;
INSERT INTO batch_counts (batch_id, state, has_begun, n)
SELECT batch_id, state, has_begun, sum(n)
FROM (
    SELECT batch_id, state, started_at IS NOT NULL AS has_begun, 1 AS n FROM jobs
    UNION ALL
    SELECT batch_id, state, has_begun, -n FROM job_changes
) AS parts
WHERE batch_id IS NOT NULL GROUP BY batch_id, state, has_begun HAVING sum(n) <> 0;
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute("SET lock_timeout = 0")  # nobody waits behind CONCURRENTLY, which may wait for a dump
        for name, definition in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # of an upgrade that broke off
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")
        op.execute("RESET lock_timeout")
        _create_tables()
        op.execute(OF_STAGES + TRIGGERS.format(table="stages"))
        op.execute(OF_JOBS + TRIGGERS.format(table="jobs"))
        for count in (COUNT_STAGES, COUNT_OWNERS, COUNT_BATCHES):
            op.execute(count)
        op.execute("RESET statement_timeout")


def _create_tables() -> None:
    op.create_table(
        "stage_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )
    op.create_table(
        "stage_counts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "priority", "state"),
        if_not_exists=True,
    )
    op.create_table(
        "job_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("has_begun", sa.Boolean(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )
    op.create_index("job_changes_by_owner", "job_changes", ["owner_id"], if_not_exists=True)
    of_batches = sa.text("batch_id IS NOT NULL")
    op.create_index(
        "job_changes_by_batch", "job_changes", ["batch_id"], postgresql_where=of_batches, if_not_exists=True
    )
    op.create_table(
        "owner_counts",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "state"),
        if_not_exists=True,
    )
    op.create_table(
        "batch_counts",
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("has_begun", sa.Boolean(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "state", "has_begun"),
        if_not_exists=True,
    )


def downgrade() -> None:
    for table in ("jobs", "stages"):
        for event in ("changed", "removed", "added"):
            op.execute(f"DROP TRIGGER ledger_{event} ON {table}")
        op.execute(f"DROP FUNCTION note_{table}()")
    for table in ("batch_counts", "owner_counts", "job_changes", "stage_counts", "stage_changes"):
        op.drop_table(table)
    op.drop_index("jobs_by_batch_state", table_name="jobs")
    op.drop_index("stages_queued", table_name="stages")
