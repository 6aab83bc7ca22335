"""The environment's API key is marked, and no piece of a key is kept in clear."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("from_environment", sa.Boolean(), nullable=True))
    # the same as keys.adopt, which does it for keys that the release before makes while both run
    op.execute(
        "UPDATE api_keys SET prefix = 'sha256:' || left(digest, 12),"
        " from_environment ="
        " (name = 'first key' AND scopes = ARRAY['transcribe', 'admin'] AND revoked_at IS NULL)"
    )


def downgrade() -> None:
    op.drop_column("api_keys", "from_environment")
