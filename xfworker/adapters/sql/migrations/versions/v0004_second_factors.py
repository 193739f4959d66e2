"""Second factors of accounts."""

import sqlalchemy as sa
from alembic import op

from xfworker.adapters.sql.tables import SERIAL, TEXT

revision = "0004"
down_revision = "0003"

_TABLE = "second_factors"
_COLUMNS = {
    "occ_lock_version": sa.BigInteger(),
    "metadata": TEXT,
    "created_at": TEXT,
    "modified_at": TEXT,
    "extra": TEXT,
    "account_serial": sa.BigInteger(),
    "sealed_secret": TEXT,
    "confirmed_at": TEXT,
    "last_step": sa.BigInteger(),
    "recovery_hashes": TEXT,
}


def upgrade() -> None:
    """Make the table."""
    columns = [sa.Column(name, kind, nullable=True) for name, kind in _COLUMNS.items()]
    serial = sa.Column("serial", SERIAL, primary_key=True, autoincrement=True)
    op.create_table(_TABLE, serial, *columns, sqlite_autoincrement=True)
    op.create_index(f"ix_{_TABLE}_account_serial", _TABLE, ["account_serial"])


def downgrade() -> None:
    """Drop the table, and with it the second factors."""
    op.drop_table(_TABLE)
