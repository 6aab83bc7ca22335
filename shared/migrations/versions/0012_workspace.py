"""What the page needs of the API: copies for listening, what has ended or gone by key and time, sessions, shares."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


INDEXES = {
    "jobs_by_end": "jobs (owner_id, finished_at) WHERE finished_at IS NOT NULL",
    "erasures_by_owner": "erasures (owner_id, created_at)",
    "artifacts_by_parent": "artifacts (parent_id) WHERE parent_id IS NOT NULL",
}
"""Made beside the writers."""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE artifacts ADD COLUMN IF NOT EXISTS parent_id uuid")
        op.execute("SET statement_timeout = 0")
        op.execute("SET lock_timeout = 0")  # nobody waits behind CONCURRENTLY, which may wait for a dump
        for name, definition in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # of an upgrade that broke off
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")
        op.execute("RESET lock_timeout")
        op.execute("RESET statement_timeout")
    # a release that does not know copies deletes them with the audio that they belong to. The check of what is there
    # takes the index, in which nothing is yet
    op.create_foreign_key("artifacts_parent", "artifacts", "artifacts", ["parent_id"], ["id"], ondelete="CASCADE")
    _create_tables()


def _create_tables() -> None:
    now = sa.text("now()")
    op.create_table(
        "browser_sessions",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("family", sa.Uuid(), nullable=False),
        sa.Column("is_rotated", sa.Boolean(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["api_keys.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("browser_sessions_by_owner", "browser_sessions", ["owner_id"])
    op.create_index("browser_sessions_by_family", "browser_sessions", ["family"])
    op.create_index("browser_sessions_by_expiry", "browser_sessions", ["expires_at"])
    op.create_table(
        "shares",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("has_audio", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["owner_id"], ["api_keys.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("shares_by_job", "shares", ["job_id"])


def downgrade() -> None:
    op.drop_table("shares")
    op.drop_table("browser_sessions")
    op.drop_index("erasures_by_owner", "erasures")
    op.drop_index("jobs_by_end", "jobs")
    op.execute("DELETE FROM artifacts WHERE parent_id IS NOT NULL")
    op.drop_column("artifacts", "parent_id")
