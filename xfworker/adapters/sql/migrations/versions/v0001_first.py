"""The first schema."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from xfworker.adapters.sql.tables import SERIAL, TEXT

revision = "0001"
down_revision = None

_INTEGER, _SMALL, _BOOLEAN = sa.BigInteger(), sa.Integer(), sa.Boolean()
_OF_EVERY_RECORD: dict[str, Any] = {
    "occ_lock_version": _INTEGER,
    "metadata": TEXT,
    "created_at": TEXT,
    "modified_at": TEXT,
    "extra": TEXT,
}
_TABLES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "accounts": (
        {"name": TEXT, "password_hash": TEXT, "administrator": _BOOLEAN, "disabled": _BOOLEAN},
        ("name",),
    ),
    "activity_events": (
        {
            "title": TEXT,
            "level": TEXT,
            "type": TEXT,
            "source": TEXT,
            "payload": TEXT,
            "user": TEXT,
            "job_serial": _INTEGER,
            "project_serial": _INTEGER,
        },
        (
            "job_serial serial",
            "project_serial serial",
            "user serial",
        ),
    ),
    "dependency_packages": (
        {"name": TEXT, "version": TEXT, "install": TEXT, "dependencies": TEXT, "parameter_types": TEXT},
        ("name serial",),
    ),
    "entities": (
        {"uuid": TEXT, "name": TEXT},
        ("uuid",),
    ),
    "job_leases": (
        {"job_serial": _INTEGER, "worker_serial": _INTEGER, "attempt": _INTEGER, "expires_at": TEXT, "claim_key": TEXT},
        (
            "expires_at",
            "job_serial",
            "worker_serial claim_key",
        ),
    ),
    "jobs": (
        {
            "task_serial": _INTEGER,
            "workflow_serial": _INTEGER,
            "project_serial": _INTEGER,
            "run_serial": _INTEGER,
            "source_job_serial": _INTEGER,
            "state": TEXT,
            "inputs": TEXT,
            "outputs": TEXT,
            "sort_order": TEXT,
            "name": TEXT,
            "spawn_key": TEXT,
            "started_at": TEXT,
            "finished_at": TEXT,
            "worker_serial": _INTEGER,
            "attempt": _INTEGER,
            "claim_rank": _SMALL,
        },
        (
            "project_serial sort_order serial",
            "run_serial task_serial",
            "sort_order serial",
            "source_job_serial",
            "state sort_order serial",
            "task_serial sort_order serial",
            "task_serial state sort_order serial",
            "workflow_serial sort_order serial",
        ),
    ),
    "personal_tokens": (
        {"account_serial": _INTEGER, "name": TEXT, "key": TEXT, "expires_at": TEXT},
        (
            "account_serial",
            "key",
        ),
    ),
    "project_members": (
        {"project_serial": _INTEGER, "account_serial": _INTEGER, "role": TEXT},
        (
            "account_serial project_serial",
            "project_serial",
        ),
    ),
    "projects": (
        {"name": TEXT, "obsolete": _BOOLEAN},
        ("name",),
    ),
    "runs": (
        {
            "workflow_serial": _INTEGER,
            "source_job_serial": _INTEGER,
            "entity": TEXT,
            "priority": TEXT,
            "obsolete": _BOOLEAN,
            "name": TEXT,
        },
        (
            "source_job_serial",
            "workflow_serial serial",
        ),
    ),
    "task_types": (
        {"name": TEXT, "version": TEXT, "kind": TEXT, "interface": TEXT, "obsolete": _BOOLEAN},
        ("name serial",),
    ),
    "tasks": (
        {
            "workflow_serial": _INTEGER,
            "task_type_serial": _INTEGER,
            "name": TEXT,
            "inputs": TEXT,
            "spawn_key": TEXT,
            "state": TEXT,
            "initial_state": TEXT,
        },
        (
            "spawn_key",
            "task_type_serial serial",
            "workflow_serial serial",
        ),
    ),
    "workers": (
        {"name": TEXT, "dependency_packages": TEXT, "max_concurrent_jobs": _INTEGER, "last_seen_at": TEXT},
        ("name",),
    ),
    "workflows": (
        {"project_serial": _INTEGER, "name": TEXT, "state": TEXT, "obsolete": _BOOLEAN, "locked": _BOOLEAN},
        (
            "name",
            "project_serial serial",
        ),
    ),
}
"""The tables of records: each one's own columns with their types, and the columns of each index."""


def upgrade() -> None:
    """Make all tables."""
    for table, (columns, indexes) in _TABLES.items():
        op.create_table(
            table,
            sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
            *(sa.Column(name, kind, nullable=True) for name, kind in (_OF_EVERY_RECORD | columns).items()),
            sa.PrimaryKeyConstraint("serial"),
            sqlite_autoincrement=True,
        )
        for index in indexes:
            op.create_index(f"ix_{table}_{index.replace(' ', '_')}", table, index.split())
    claimable = sa.text("claim_rank IS NOT NULL")
    op.create_index(
        "ix_jobs_claimable",
        "jobs",
        ["claim_rank", "sort_order", "serial"],
        sqlite_where=claimable,
        postgresql_where=claimable,
    )
    op.create_table(
        "notes",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("at", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_notes_at", "notes", ["at"])


def downgrade() -> None:
    """Drop all tables, with their indexes."""
    for table in (*_TABLES, "notes"):
        op.drop_table(table)
