"""Recordings by URL, limits per key, idempotency keys, events for followers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LIMITS = ("requests_per_minute", "max_running", "max_queued", "minutes_per_day")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("events_by_job", "events", ["job_id", "id"])
    op.create_table(
        "idempotency_keys",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["owner_id"], ["api_keys.id"]),
        sa.PrimaryKeyConstraint("owner_id", "key"),
    )
    op.create_index("idempotency_keys_by_age", "idempotency_keys", ["created_at"])
    op.create_index("idempotency_keys_by_job", "idempotency_keys", ["job_id"])
    for limit in LIMITS:
        op.add_column("api_keys", sa.Column(limit, sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("source_url", sa.Text(), nullable=True))
    op.alter_column("jobs", "source_sha256", nullable=True)
    op.alter_column("jobs", "source_bytes", nullable=True)
    op.add_column("stages", sa.Column("owner_id", sa.Uuid(), nullable=True))
    op.add_column("stages", sa.Column("priority", sa.SmallInteger(), nullable=True))
    op.execute(
        "UPDATE stages SET owner_id = jobs.owner_id, priority = jobs.priority FROM jobs WHERE jobs.id = stages.job_id"
    )
    op.alter_column("stages", "owner_id", nullable=False)
    op.alter_column("stages", "priority", nullable=False)
    op.create_foreign_key("stages_owner_id_fkey", "stages", "api_keys", ["owner_id"], ["id"])


def downgrade() -> None:
    op.drop_column("stages", "priority")
    op.drop_column("stages", "owner_id")
    op.execute("DELETE FROM jobs WHERE source_sha256 IS NULL OR source_bytes IS NULL")
    op.alter_column("jobs", "source_bytes", nullable=False)
    op.alter_column("jobs", "source_sha256", nullable=False)
    op.drop_column("jobs", "source_url")
    for limit in reversed(LIMITS):
        op.drop_column("api_keys", limit)
    op.drop_table("idempotency_keys")
    op.drop_table("events")
