"""What the voices of a live session sound like, for the listener that takes it over."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "live_voices",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("voices", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["live_sessions.job_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.execute("ALTER TABLE live_voices ALTER voices SET STORAGE EXTERNAL")  # floats are not worth compressing


def downgrade() -> None:
    op.drop_table("live_voices")
