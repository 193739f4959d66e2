"""When sessions were last used, and from which address they began."""

import sqlalchemy as sa
from alembic import op

from xfworker.adapters.sql.tables import TEXT

revision = "0003"
down_revision = "0002"

_TABLE = "personal_tokens"


def upgrade() -> None:
    """Add the columns; tokens of before are none of sessions, and end by their time."""
    for name in ("last_used_at", "address"):
        op.add_column(_TABLE, sa.Column(name, TEXT, nullable=True))


def downgrade() -> None:
    """Drop the columns."""
    for name in ("last_used_at", "address"):
        op.drop_column(_TABLE, name)
