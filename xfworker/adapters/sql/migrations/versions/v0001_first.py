"""The first schema."""

import sqlalchemy as sa
from alembic import op

from xfworker.adapters.sql.tables import SERIAL, TEXT

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "accounts",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("password_hash", TEXT, nullable=True),
        sa.Column("administrator", sa.Boolean(), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_accounts_name", "accounts", ["name"], unique=False)
    op.create_table(
        "activity_events",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("title", TEXT, nullable=True),
        sa.Column("level", TEXT, nullable=True),
        sa.Column("type", TEXT, nullable=True),
        sa.Column("source", TEXT, nullable=True),
        sa.Column("payload", TEXT, nullable=True),
        sa.Column("user", TEXT, nullable=True),
        sa.Column("job_serial", sa.BigInteger(), nullable=True),
        sa.Column("project_serial", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_activity_events_job_serial_serial", "activity_events", ["job_serial", "serial"], unique=False)
    op.create_index(
        "ix_activity_events_project_serial_serial", "activity_events", ["project_serial", "serial"], unique=False
    )
    op.create_index("ix_activity_events_user_serial", "activity_events", ["user", "serial"], unique=False)
    op.create_table(
        "dependency_packages",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("version", TEXT, nullable=True),
        sa.Column("install", TEXT, nullable=True),
        sa.Column("dependencies", TEXT, nullable=True),
        sa.Column("parameter_types", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_dependency_packages_name_serial", "dependency_packages", ["name", "serial"], unique=False)
    op.create_table(
        "entities",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("uuid", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_entities_uuid", "entities", ["uuid"], unique=False)
    op.create_table(
        "job_leases",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("job_serial", sa.BigInteger(), nullable=True),
        sa.Column("worker_serial", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", TEXT, nullable=True),
        sa.Column("claim_key", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_leases_expires_at", "job_leases", ["expires_at"], unique=False)
    op.create_index("ix_job_leases_job_serial", "job_leases", ["job_serial"], unique=False)
    op.create_index("ix_job_leases_worker_serial_claim_key", "job_leases", ["worker_serial", "claim_key"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("task_serial", sa.BigInteger(), nullable=True),
        sa.Column("workflow_serial", sa.BigInteger(), nullable=True),
        sa.Column("project_serial", sa.BigInteger(), nullable=True),
        sa.Column("run_serial", sa.BigInteger(), nullable=True),
        sa.Column("source_job_serial", sa.BigInteger(), nullable=True),
        sa.Column("state", TEXT, nullable=True),
        sa.Column("inputs", TEXT, nullable=True),
        sa.Column("outputs", TEXT, nullable=True),
        sa.Column("sort_order", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("spawn_key", TEXT, nullable=True),
        sa.Column("started_at", TEXT, nullable=True),
        sa.Column("finished_at", TEXT, nullable=True),
        sa.Column("worker_serial", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=True),
        sa.Column("claim_rank", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_jobs_claimable",
        "jobs",
        ["claim_rank", "sort_order", "serial"],
        unique=False,
        sqlite_where=sa.text("claim_rank IS NOT NULL"),
        postgresql_where=sa.text("claim_rank IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_project_serial_sort_order_serial", "jobs", ["project_serial", "sort_order", "serial"], unique=False
    )
    op.create_index("ix_jobs_run_serial_task_serial", "jobs", ["run_serial", "task_serial"], unique=False)
    op.create_index("ix_jobs_sort_order_serial", "jobs", ["sort_order", "serial"], unique=False)
    op.create_index("ix_jobs_source_job_serial", "jobs", ["source_job_serial"], unique=False)
    op.create_index("ix_jobs_state_sort_order_serial", "jobs", ["state", "sort_order", "serial"], unique=False)
    op.create_index(
        "ix_jobs_task_serial_sort_order_serial", "jobs", ["task_serial", "sort_order", "serial"], unique=False
    )
    op.create_index(
        "ix_jobs_task_serial_state_sort_order_serial",
        "jobs",
        ["task_serial", "state", "sort_order", "serial"],
        unique=False,
    )
    op.create_index(
        "ix_jobs_workflow_serial_sort_order_serial", "jobs", ["workflow_serial", "sort_order", "serial"], unique=False
    )
    op.create_table(
        "notes",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("at", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_notes_at", "notes", ["at"], unique=False)
    op.create_table(
        "personal_tokens",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("account_serial", sa.BigInteger(), nullable=True),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("key", TEXT, nullable=True),
        sa.Column("expires_at", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_personal_tokens_account_serial", "personal_tokens", ["account_serial"], unique=False)
    op.create_index("ix_personal_tokens_key", "personal_tokens", ["key"], unique=False)
    op.create_table(
        "project_members",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("project_serial", sa.BigInteger(), nullable=True),
        sa.Column("account_serial", sa.BigInteger(), nullable=True),
        sa.Column("role", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_project_members_account_serial_project_serial",
        "project_members",
        ["account_serial", "project_serial"],
        unique=False,
    )
    op.create_index("ix_project_members_project_serial", "project_members", ["project_serial"], unique=False)
    op.create_table(
        "projects",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("obsolete", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_projects_name", "projects", ["name"], unique=False)
    op.create_table(
        "runs",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("workflow_serial", sa.BigInteger(), nullable=True),
        sa.Column("source_job_serial", sa.BigInteger(), nullable=True),
        sa.Column("entity", TEXT, nullable=True),
        sa.Column("priority", TEXT, nullable=True),
        sa.Column("obsolete", sa.Boolean(), nullable=True),
        sa.Column("name", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_runs_source_job_serial", "runs", ["source_job_serial"], unique=False)
    op.create_index("ix_runs_workflow_serial_serial", "runs", ["workflow_serial", "serial"], unique=False)
    op.create_table(
        "task_types",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("version", TEXT, nullable=True),
        sa.Column("kind", TEXT, nullable=True),
        sa.Column("interface", TEXT, nullable=True),
        sa.Column("obsolete", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_task_types_name_serial", "task_types", ["name", "serial"], unique=False)
    op.create_table(
        "tasks",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("workflow_serial", sa.BigInteger(), nullable=True),
        sa.Column("task_type_serial", sa.BigInteger(), nullable=True),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("inputs", TEXT, nullable=True),
        sa.Column("spawn_key", TEXT, nullable=True),
        sa.Column("state", TEXT, nullable=True),
        sa.Column("initial_state", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tasks_spawn_key", "tasks", ["spawn_key"], unique=False)
    op.create_index("ix_tasks_task_type_serial_serial", "tasks", ["task_type_serial", "serial"], unique=False)
    op.create_index("ix_tasks_workflow_serial_serial", "tasks", ["workflow_serial", "serial"], unique=False)
    op.create_table(
        "workers",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("dependency_packages", TEXT, nullable=True),
        sa.Column("max_concurrent_jobs", sa.BigInteger(), nullable=True),
        sa.Column("last_seen_at", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_workers_name", "workers", ["name"], unique=False)
    op.create_table(
        "workflows",
        sa.Column("serial", SERIAL, autoincrement=True, nullable=False),
        sa.Column("occ_lock_version", sa.BigInteger(), nullable=True),
        sa.Column("metadata", TEXT, nullable=True),
        sa.Column("created_at", TEXT, nullable=True),
        sa.Column("modified_at", TEXT, nullable=True),
        sa.Column("extra", TEXT, nullable=True),
        sa.Column("project_serial", sa.BigInteger(), nullable=True),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("state", TEXT, nullable=True),
        sa.Column("obsolete", sa.Boolean(), nullable=True),
        sa.Column("locked", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_workflows_name", "workflows", ["name"], unique=False)
    op.create_index("ix_workflows_project_serial_serial", "workflows", ["project_serial", "serial"], unique=False)


def downgrade() -> None:
    """Drop all tables."""
    op.drop_index("ix_workflows_project_serial_serial", table_name="workflows")
    op.drop_index("ix_workflows_name", table_name="workflows")
    op.drop_table("workflows")
    op.drop_index("ix_workers_name", table_name="workers")
    op.drop_table("workers")
    op.drop_index("ix_tasks_workflow_serial_serial", table_name="tasks")
    op.drop_index("ix_tasks_task_type_serial_serial", table_name="tasks")
    op.drop_index("ix_tasks_spawn_key", table_name="tasks")
    op.drop_table("tasks")
    op.drop_index("ix_task_types_name_serial", table_name="task_types")
    op.drop_table("task_types")
    op.drop_index("ix_runs_workflow_serial_serial", table_name="runs")
    op.drop_index("ix_runs_source_job_serial", table_name="runs")
    op.drop_table("runs")
    op.drop_index("ix_projects_name", table_name="projects")
    op.drop_table("projects")
    op.drop_index("ix_project_members_project_serial", table_name="project_members")
    op.drop_index("ix_project_members_account_serial_project_serial", table_name="project_members")
    op.drop_table("project_members")
    op.drop_index("ix_personal_tokens_key", table_name="personal_tokens")
    op.drop_index("ix_personal_tokens_account_serial", table_name="personal_tokens")
    op.drop_table("personal_tokens")
    op.drop_index("ix_notes_at", table_name="notes")
    op.drop_table("notes")
    op.drop_index("ix_jobs_workflow_serial_sort_order_serial", table_name="jobs")
    op.drop_index("ix_jobs_task_serial_state_sort_order_serial", table_name="jobs")
    op.drop_index("ix_jobs_task_serial_sort_order_serial", table_name="jobs")
    op.drop_index("ix_jobs_state_sort_order_serial", table_name="jobs")
    op.drop_index("ix_jobs_source_job_serial", table_name="jobs")
    op.drop_index("ix_jobs_sort_order_serial", table_name="jobs")
    op.drop_index("ix_jobs_run_serial_task_serial", table_name="jobs")
    op.drop_index("ix_jobs_project_serial_sort_order_serial", table_name="jobs")
    op.drop_index(
        "ix_jobs_claimable",
        table_name="jobs",
        sqlite_where=sa.text("claim_rank IS NOT NULL"),
        postgresql_where=sa.text("claim_rank IS NOT NULL"),
    )
    op.drop_table("jobs")
    op.drop_index("ix_job_leases_worker_serial_claim_key", table_name="job_leases")
    op.drop_index("ix_job_leases_job_serial", table_name="job_leases")
    op.drop_index("ix_job_leases_expires_at", table_name="job_leases")
    op.drop_table("job_leases")
    op.drop_index("ix_entities_uuid", table_name="entities")
    op.drop_table("entities")
    op.drop_index("ix_dependency_packages_name_serial", table_name="dependency_packages")
    op.drop_table("dependency_packages")
    op.drop_index("ix_activity_events_user_serial", table_name="activity_events")
    op.drop_index("ix_activity_events_project_serial_serial", table_name="activity_events")
    op.drop_index("ix_activity_events_job_serial_serial", table_name="activity_events")
    op.drop_table("activity_events")
    op.drop_index("ix_accounts_name", table_name="accounts")
    op.drop_table("accounts")
