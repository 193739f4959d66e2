"""Records: jobs, tasks, workflows, runs, projects, task types, entities."""

from typing import Any, Dict, List

from xfworker.api.facade.connection import Connection, server_of
from xfworker.api.facade.functions.record_access import (
    checked_bool,
    checked_serial,
    create_record,
    find_records,
    get_record,
    update_record,
)
from xfworker.api.facade.record_dict import record_dict
from xfworker.domain.errors import UsageError
from xfworker.domain.json_value import json_violations
from xfworker.domain.records import Job, Project, Run, Task, TaskType, Workflow

_LONGEST_UUID = 1000


def get_xf_job(conn: Connection, job_serial: int | str) -> Dict[str, Any]:
    """
    Give a job.

    Raises:
        RecordNotFound: There is none, or the caller may not see it.
    """
    return get_record(conn, Job, job_serial, "get_xf_job: job_serial")


def get_xf_jobs_by_task(conn: Connection, task_serial: int | str) -> List[Dict[str, Any]]:
    """List the jobs of a task by sort order."""
    return [*find_records(conn, Job, {"task_serial": checked_serial(task_serial, "get_xf_jobs_by_task: task_serial")})]


def get_xf_jobs_by_workflow(conn: Connection, workflow_serial: int | str) -> List[Dict[str, Any]]:
    """List the jobs of a workflow by sort order."""
    serial = checked_serial(workflow_serial, "get_xf_jobs_by_workflow: workflow_serial")
    return [*find_records(conn, Job, {"workflow_serial": serial})]


def create_xf_job(conn: Connection, job: Dict[str, Any]) -> Dict[str, Any]:
    """
    Create a job.

    Args:
        conn: The connection.
        job: At least ``task_serial``. Without ``source_job_serial`` and ``run_serial`` it starts a run of its own.

    Returns:
        The job as the server made it.

    Raises:
        InvalidRecord: A field is wrong, with every error and its path.
    """
    return create_record(conn, Job, job, "create_xf_job")


def update_xf_job(
    conn: Connection, job: Dict[str, Any], bump_occ_lock_version: bool = True, **kwargs: Any
) -> Dict[str, Any]:
    """
    Save a job, if nobody else changed it since it was read.

    Args:
        conn: The connection.
        job: The job as it was read, with the caller's edits.
        bump_occ_lock_version: Whether the change excludes others that were made from the same version. Leave it out
            for what disturbs nobody, such as estimates.
        **kwargs: Fields to be put in place of the job's.

    Returns:
        The job as the server has it then; ``job`` itself stays as it is.

    Raises:
        RecordConflict: The job moved on. ``current`` is the job as it is, ``attempted`` as it was to be.
        IllegalTransition: The job cannot go to that state.
        UsageError: A name is not a field of a job.
    """
    bump = checked_bool(bump_occ_lock_version, "update_xf_job: bump_occ_lock_version")
    return update_record(conn, Job, job, kwargs, "update_xf_job", bump=bump)


def get_xf_task(conn: Connection, task_serial: int | str) -> Dict[str, Any]:
    """
    Give a task.

    Raises:
        RecordNotFound: There is none, or the caller may not see it.
    """
    return get_record(conn, Task, task_serial, "get_xf_task: task_serial")


def get_xf_tasks_by_workflow(conn: Connection, workflow_serial: int | str) -> List[Dict[str, Any]]:
    """List the tasks of a workflow."""
    serial = checked_serial(workflow_serial, "get_xf_tasks_by_workflow: workflow_serial")
    return [*find_records(conn, Task, {"workflow_serial": serial})]


def create_xf_task(conn: Connection, task: Dict[str, Any]) -> Dict[str, Any]:
    """
    Create a task.

    Args:
        conn: The connection.
        task: At least ``workflow_serial`` and ``task_type_serial``.

    Raises:
        InvalidRecord: A field is wrong, with every error and its path.
    """
    return create_record(conn, Task, task, "create_xf_task")


def update_xf_task(
    conn: Connection, task: Dict[str, Any], workflow_occ_lock_version: int, **kwargs: Any
) -> Dict[str, Any]:
    """
    Save a task, if nobody else changed its workflow since that was read.

    A workflow and its tasks are one aggregate: the workflow's lock version guards them all, and counts on.

    Args:
        conn: The connection.
        task: The task as it was read, with the caller's edits.
        workflow_occ_lock_version: The workflow's lock version as it was read.
        **kwargs: Fields to be put in place of the task's.

    Raises:
        RecordConflict: The workflow moved on. ``current`` is the task as it is, ``attempted`` as it was to be.
        UsageError: A name is not a field of a task.
    """
    if isinstance(workflow_occ_lock_version, bool) or not isinstance(workflow_occ_lock_version, int):
        raise UsageError(
            "update_xf_task: workflow_occ_lock_version is the workflow's lock version, an integer, not "
            f"{workflow_occ_lock_version!r:.80}"
        )
    return update_record(conn, Task, task, kwargs, "update_xf_task", expected_version=workflow_occ_lock_version)


def get_xf_workflow(conn: Connection, workflow_serial: int | str) -> Dict[str, Any]:
    """
    Give a workflow.

    Raises:
        RecordNotFound: There is none, or the caller may not see it.
    """
    return get_record(conn, Workflow, workflow_serial, "get_xf_workflow: workflow_serial")


def get_xf_workflows_by_project(conn: Connection, project_serial: int | str) -> List[Dict[str, Any]]:
    """List the workflows of a project."""
    serial = checked_serial(project_serial, "get_xf_workflows_by_project: project_serial")
    return [*find_records(conn, Workflow, {"project_serial": serial})]


def get_xf_workflow_run(conn: Connection, workflow_serial: int | str) -> Dict[str, Any]:
    """
    Give a run of a workflow.

    Args:
        conn: The connection.
        workflow_serial: The serial of the run; the parameter is called so in the documentation.

    Raises:
        RecordNotFound: There is none, or the caller may not see it.
    """
    return get_record(conn, Run, workflow_serial, "get_xf_workflow_run: workflow_serial (the run's serial)")


def update_xf_workflow(conn: Connection, workflow: Dict[str, Any], **kwargs: Any) -> Dict[str, Any]:
    """
    Save a workflow, if nobody else changed it since it was read.

    Raises:
        RecordConflict: The workflow moved on. ``current`` is the record as it is, ``attempted`` as it was to be.
        UsageError: A name is not a field of a workflow.
    """
    return update_record(conn, Workflow, workflow, kwargs, "update_xf_workflow")


def get_xf_project(conn: Connection, project_serial: int | str) -> Dict[str, Any]:
    """
    Give a project.

    Raises:
        RecordNotFound: There is none, or the caller may not see it.
    """
    return get_record(conn, Project, project_serial, "get_xf_project: project_serial")


def get_xf_projects(conn: Connection) -> List[Dict[str, Any]]:
    """List the projects that the caller may see."""
    return [*find_records(conn, Project)]


def update_xf_project(conn: Connection, project: Dict[str, Any], **kwargs: Any) -> Dict[str, Any]:
    """
    Save a project, if nobody else changed it since it was read.

    Raises:
        RecordConflict: The project moved on. ``current`` is the record as it is, ``attempted`` as it was to be.
        UsageError: A name is not a field of a project.
    """
    return update_record(conn, Project, project, kwargs, "update_xf_project")


def get_xf_task_type(conn: Connection, task_type_serial: int | str) -> Dict[str, Any]:
    """
    Give a task type.

    Raises:
        RecordNotFound: There is none.
    """
    return get_record(conn, TaskType, task_type_serial, "get_xf_task_type: task_type_serial")


def get_xf_task_types(conn: Connection) -> List[Dict[str, Any]]:
    """List all task types, in all their versions."""
    return [*find_records(conn, TaskType)]


def get_xf_db_entity_by_uuid(conn: Connection, uuid: str) -> Dict[str, Any]:
    """
    Give the record of an entity.

    Raises:
        RecordNotFound: No entity has this UUID.
        UsageError: It is not a string.
    """
    server = server_of(conn)
    if not isinstance(uuid, str) or not 1 <= len(uuid) <= _LONGEST_UUID or any(json_violations(uuid)):
        raise UsageError(f"get_xf_db_entity_by_uuid takes the UUID as a string, not {uuid!r:.80}")
    return record_dict(server.entity_by_uuid(uuid))
