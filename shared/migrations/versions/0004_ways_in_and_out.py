"""Uploads in parts, batches, webhooks, corrections; search, labels, retention and usage of the history."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM stages WHERE name = 'notify'")  # the outbox tells; see docs/decisions/webhooks.md
    op.create_table(
        "batches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("webhook_url", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["api_keys.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("batches_by_owner", "batches", ["owner_id", "id"])
    op.create_table(
        "usage_days",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("tasks", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["api_keys.id"],
        ),
        sa.PrimaryKeyConstraint("owner_id", "day", "model"),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["api_keys.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("webhook_endpoints_by_owner", "webhook_endpoints", ["owner_id", "id"])
    op.create_table(
        "uploads",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("part_bytes", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("storage_id", sa.Text(), nullable=True),
        sa.Column("artifact_id", sa.Uuid(), nullable=True),
        sa.Column("checking_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["artifact_id"],
            ["artifacts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["api_keys.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uploads_by_artifact", "uploads", ["artifact_id"])
    op.create_index("uploads_by_expiry", "uploads", ["expires_at"])
    op.create_index("uploads_by_owner", "uploads", ["owner_id", "id"])
    op.create_table(
        "webhook_secrets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["endpoint_id"], ["webhook_endpoints.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["api_keys.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("webhook_secrets_by_owner", "webhook_secrets", ["owner_id", "endpoint_id"])
    op.create_table(
        "corrections",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("speakers", postgresql.JSONB(), nullable=False),
        sa.Column("segments", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "version"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["webhook_endpoints.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["api_keys.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("webhook_deliveries_by_batch", "webhook_deliveries", ["batch_id"])
    op.create_index("webhook_deliveries_by_endpoint", "webhook_deliveries", ["endpoint_id", "id"])
    op.create_index("webhook_deliveries_by_job", "webhook_deliveries", ["job_id"])
    op.create_index("webhook_deliveries_by_owner", "webhook_deliveries", ["owner_id", "id"])
    op.create_index(
        "webhook_deliveries_due", "webhook_deliveries", ["next_at"], postgresql_where=sa.text("next_at IS NOT NULL")
    )
    op.create_table(
        "webhook_attempts",
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["webhook_deliveries.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("delivery_id", "attempt"),
    )
    op.add_column("api_keys", sa.Column("retention_seconds", sa.Integer(), nullable=True))
    op.add_column(
        "jobs",
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed(
                "CASE WHEN full_text IS NULL THEN NULL ELSE array_to_tsvector(ARRAY[owner_id::text])"
                " || to_tsvector('simple'::regconfig, left(full_text,"
                " CASE WHEN octet_length(left(full_text, 330000)) <= 340000 THEN 330000"
                " WHEN octet_length(left(full_text, 170000)) <= 340000 THEN 170000 ELSE 85000 END)) END",
                persisted=True,
            ),
            nullable=True,
        ),
    )
    op.add_column("jobs", sa.Column("tags", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("jobs", sa.Column("reference", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("version", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("jobs", sa.Column("retention_seconds", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("webhook_url", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("batch_id", sa.Uuid(), nullable=True))
    op.add_column("jobs", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("jobs_by_batch", "jobs", ["batch_id"], postgresql_where=sa.text("batch_id IS NOT NULL"))
    op.create_index("jobs_by_expiry", "jobs", ["expires_at"], postgresql_where=sa.text("expires_at IS NOT NULL"))
    for column in ("language", "model", "reference"):
        there = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"jobs_by_{column}", "jobs", ["owner_id", column, "id"], postgresql_where=there)
    op.create_index("jobs_by_source", "jobs", ["owner_id", "source_sha256"])
    op.create_index(
        "jobs_by_tag",
        "jobs",
        [sa.text("array_append(tags, owner_id::text)")],
        postgresql_using="gin",
        postgresql_where=sa.text("tags <> '{}'"),
    )
    op.create_index(
        "jobs_by_word", "jobs", ["search"], postgresql_using="gin", postgresql_where=sa.text("search IS NOT NULL")
    )
    op.create_foreign_key("jobs_batch", "jobs", "batches", ["batch_id"], ["id"], ondelete="SET NULL")
    op.alter_column("idempotency_keys", "job_id", nullable=True)
    op.add_column("idempotency_keys", sa.Column("batch_id", sa.Uuid(), nullable=True))
    op.create_index("idempotency_keys_by_batch", "idempotency_keys", ["batch_id"])
    op.create_foreign_key(
        "idempotency_keys_batch", "idempotency_keys", "batches", ["batch_id"], ["id"], ondelete="CASCADE"
    )


def downgrade() -> None:
    op.drop_constraint("idempotency_keys_batch", "idempotency_keys", type_="foreignkey")
    op.drop_index("idempotency_keys_by_batch", table_name="idempotency_keys")
    op.drop_column("idempotency_keys", "batch_id")
    op.execute("DELETE FROM idempotency_keys WHERE job_id IS NULL")
    op.alter_column("idempotency_keys", "job_id", nullable=False)
    op.drop_constraint("jobs_batch", "jobs", type_="foreignkey")
    op.drop_index("jobs_by_word", table_name="jobs", postgresql_using="gin")
    op.drop_index("jobs_by_tag", table_name="jobs", postgresql_using="gin")
    op.drop_index("jobs_by_source", table_name="jobs")
    for column in ("reference", "model", "language"):
        op.drop_index(f"jobs_by_{column}", table_name="jobs")
    op.drop_index("jobs_by_expiry", table_name="jobs", postgresql_where=sa.text("expires_at IS NOT NULL"))
    op.drop_index("jobs_by_batch", table_name="jobs", postgresql_where=sa.text("batch_id IS NOT NULL"))
    op.drop_column("jobs", "expires_at")
    op.drop_column("jobs", "batch_id")
    op.drop_column("jobs", "webhook_url")
    op.drop_column("jobs", "retention_seconds")
    op.drop_column("jobs", "version")
    op.drop_column("jobs", "reference")
    op.drop_column("jobs", "tags")
    op.drop_column("jobs", "search")
    op.drop_column("api_keys", "retention_seconds")
    op.drop_table("webhook_attempts")
    op.drop_index(
        "webhook_deliveries_due", table_name="webhook_deliveries", postgresql_where=sa.text("next_at IS NOT NULL")
    )
    op.drop_index("webhook_deliveries_by_owner", table_name="webhook_deliveries")
    op.drop_index("webhook_deliveries_by_job", table_name="webhook_deliveries")
    op.drop_index("webhook_deliveries_by_endpoint", table_name="webhook_deliveries")
    op.drop_index("webhook_deliveries_by_batch", table_name="webhook_deliveries")
    op.drop_table("webhook_deliveries")
    op.drop_table("corrections")
    op.drop_index("webhook_secrets_by_owner", table_name="webhook_secrets")
    op.drop_table("webhook_secrets")
    op.drop_index("uploads_by_owner", table_name="uploads")
    op.drop_index("uploads_by_expiry", table_name="uploads")
    op.drop_index("uploads_by_artifact", table_name="uploads")
    op.drop_table("uploads")
    op.drop_index("webhook_endpoints_by_owner", table_name="webhook_endpoints")
    op.drop_table("webhook_endpoints")
    op.drop_table("usage_days")
    op.drop_index("batches_by_owner", table_name="batches")
    op.drop_table("batches")
