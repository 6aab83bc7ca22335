"""The history is searched by entries beside the tasks. Those of older tasks are made by the sweep, a few at a time.

Until then `jobs.search` finds them, which this release no longer reads otherwise; the release before needs it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ALL = "INSERT INTO search_backlog (job_id) SELECT id FROM jobs"

LATEST = """
INSERT INTO search_backlog (job_id)
SELECT id FROM jobs
WHERE id >= (lpad(to_hex((extract(epoch FROM now() - interval '25 hours') * 1000)::bigint), 12, '0')
             || repeat('0', 20))::uuid
ON CONFLICT DO NOTHING
"""
"""Tasks submitted while ALL ran. An id is made before its upload, which may take a day."""

TRIGGERS = """
CREATE FUNCTION forget_search_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM search_entries WHERE job_id = NEW.id;
    INSERT INTO search_backlog (job_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_added AFTER INSERT ON jobs FOR EACH ROW
    WHEN (current_setting('parley.indexes', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION forget_search_entry();
CREATE TRIGGER jobs_changed AFTER UPDATE OF full_text, filename, tags, reference ON jobs FOR EACH ROW
    WHEN (current_setting('parley.indexes', true) IS DISTINCT FROM 'on'
          AND (OLD.full_text, OLD.filename, OLD.tags, OLD.reference)
              IS DISTINCT FROM (NEW.full_text, NEW.filename, NEW.tags, NEW.reference))
    EXECUTE FUNCTION forget_search_entry();
"""


def upgrade() -> None:
    # jobs are locked by what follows ALL, which is the only thing here that takes time
    op.create_table("search_backlog", sa.Column("job_id", sa.Uuid(), nullable=False), sa.PrimaryKeyConstraint("job_id"))
    op.execute(ALL)
    op.create_table(
        "search_entries",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("keys", postgresql.TSVECTOR(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_index("search_entries_by_owner", "search_entries", ["owner_id", "job_id"])
    op.create_index("search_entries_by_key", "search_entries", ["keys"], postgresql_using="gin")
    op.execute(TRIGGERS)
    op.execute(LATEST)


def downgrade() -> None:
    op.execute("DROP TRIGGER jobs_changed ON jobs")
    op.execute("DROP TRIGGER jobs_added ON jobs")
    op.execute("DROP FUNCTION forget_search_entry()")
    op.drop_index("search_entries_by_key", table_name="search_entries", postgresql_using="gin")
    op.drop_index("search_entries_by_owner", table_name="search_entries")
    op.drop_table("search_entries")
    op.drop_table("search_backlog")
