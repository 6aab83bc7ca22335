"""Workers that live and take nothing."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # for some days 0004 had made it, so it may be there
    op.execute("ALTER TABLE workers ADD COLUMN IF NOT EXISTS deaf boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.drop_column("workers", "deaf")
