"""What the voices of a live session sound like, for the listener that takes it over."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE live_sessions ADD COLUMN IF NOT EXISTS voices bytea")
    # floats are not worth compressing
    op.execute("ALTER TABLE live_sessions ALTER voices SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.drop_column("live_sessions", "voices")
