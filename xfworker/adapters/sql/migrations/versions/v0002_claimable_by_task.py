"""Jobs that a worker may claim, task by task."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_INDEX = "ix_jobs_claimable_by_task"


def upgrade() -> None:
    """Make the index."""
    claimable = sa.text("claim_rank IS NOT NULL")
    op.create_index(
        _INDEX,
        "jobs",
        ["task_serial", "claim_rank", "sort_order", "serial"],
        sqlite_where=claimable,
        postgresql_where=claimable,
    )


def downgrade() -> None:
    """Drop the index."""
    op.drop_index(_INDEX, "jobs")
