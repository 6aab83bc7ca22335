"""The speech models of each worker. The release before 0008 leaves them null, which is read as unknown."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("installed", sa.ARRAY(sa.Text()), nullable=True))
    op.add_column("workers", sa.Column("loaded", sa.ARRAY(sa.Text()), nullable=True))


def downgrade() -> None:
    op.drop_column("workers", "loaded")
    op.drop_column("workers", "installed")
