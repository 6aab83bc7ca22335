"""Quotas of every key, what it stores as a number that is always known, and when audio was last used."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COUNT_CHANGES = """
CREATE FUNCTION count_storage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO storage_changes (owner_id, bytes)
        SELECT owner_id, sum(bytes) FROM added GROUP BY owner_id HAVING sum(bytes) <> 0;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO storage_changes (owner_id, bytes)
        SELECT owner_id, -sum(bytes) FROM removed GROUP BY owner_id HAVING sum(bytes) <> 0;
    ELSE
        INSERT INTO storage_changes (owner_id, bytes)
        SELECT owner_id, sum(bytes)
        FROM (SELECT owner_id, bytes FROM added UNION ALL SELECT owner_id, -bytes FROM removed) AS changed
        GROUP BY owner_id HAVING sum(bytes) <> 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER artifacts_added AFTER INSERT ON artifacts
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_storage();
CREATE TRIGGER artifacts_removed AFTER DELETE ON artifacts
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_storage();
CREATE TRIGGER artifacts_changed AFTER UPDATE ON artifacts
    REFERENCING NEW TABLE AS added OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_storage();
INSERT INTO key_storage (owner_id, bytes) SELECT owner_id, sum(bytes) FROM artifacts GROUP BY owner_id;
"""
"""Nobody writes to artifacts between the triggers and the sum: making one locks the table until this is committed."""


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("max_open_uploads", sa.Integer(), nullable=True))
    op.add_column("api_keys", sa.Column("max_announced_bytes", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("max_stored_bytes", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("max_waiting_deliveries", sa.Integer(), nullable=True))
    op.add_column("api_keys", sa.Column("webhook_tests_per_minute", sa.Integer(), nullable=True))
    op.create_table(
        "key_storage",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id"),
    )
    op.create_table(
        "storage_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("storage_changes_by_owner", "storage_changes", ["owner_id"])
    op.create_table(
        "webhook_test_minutes",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tests", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "minute"),
    )
    op.create_index("uploads_open", "uploads", ["owner_id"], postgresql_where=sa.text("state <> 'complete'"))
    op.create_index(
        "webhook_deliveries_waiting",
        "webhook_deliveries",
        ["owner_id"],
        postgresql_where=sa.text("state IN ('pending', 'sending')"),
    )
    op.add_column(
        "artifacts",
        sa.Column("used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.create_index("artifacts_audio", "artifacts", ["used_at"], postgresql_where=sa.text("stage = 'convert'"))
    op.create_index(
        "artifacts_expired", "artifacts", ["used_at"], postgresql_where=sa.text("stage = 'expired' AND bytes > 0")
    )
    op.execute(COUNT_CHANGES)


def downgrade() -> None:
    op.execute("DROP TRIGGER artifacts_added ON artifacts")
    op.execute("DROP TRIGGER artifacts_removed ON artifacts")
    op.execute("DROP TRIGGER artifacts_changed ON artifacts")
    op.execute("DROP FUNCTION count_storage()")
    op.drop_index("artifacts_expired", "artifacts")
    op.drop_index("artifacts_audio", "artifacts")
    op.drop_column("artifacts", "used_at")
    op.drop_index("webhook_deliveries_waiting", "webhook_deliveries")
    op.drop_index("uploads_open", "uploads")
    op.drop_table("webhook_test_minutes")
    op.drop_table("storage_changes")
    op.drop_table("key_storage")
    for name in (
        "max_open_uploads",
        "max_announced_bytes",
        "max_stored_bytes",
        "max_waiting_deliveries",
        "webhook_tests_per_minute",
    ):
        op.drop_column("api_keys", name)
