"""The ring window: slots per worker, who has a place, who waits for one; audio per key and day."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("slots", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.create_index(
        "stages_rung",
        "stages",
        ["queue", "owner_id", "priority"],
        postgresql_where=sa.text("CASE WHEN rung_at IS NOT NULL THEN state END IN ('queued', 'running')"),
    )
    op.create_index(
        "stages_backlog",
        "stages",
        ["queue", "owner_id", "priority", "job_id", "name", "shard"],
        postgresql_where=sa.text("rung_at IS NULL AND state = 'queued'"),
    )
    op.create_table(
        "audio_days",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["api_keys.id"]),
        sa.PrimaryKeyConstraint("owner_id", "day"),
    )


def downgrade() -> None:
    op.drop_table("audio_days")
    op.drop_index("stages_backlog", table_name="stages")
    op.drop_index("stages_rung", table_name="stages")
    op.drop_column("workers", "slots")
