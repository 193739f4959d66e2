"""
Makes everything on a server that one job needs: project, workflow, task, run, the job itself, and its input files.

Input files become outputs of jobs of a source task, as they would in any workflow: a file is a job's result,
and the job that is staged takes it from there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.domain.change import Change
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.parameters import create_parameter
from xfworker.domain.records import Job, Project, Run, Task, TaskType, TaskTypeKind, Workflow
from xfworker.ports.file_store import FileStore
from xfworker.ports.xf_server import XFServer
from xfworker.services.transfers.observed import reporting

SOURCE_TASK_TYPE = "xfworker.Files"
"""The task type whose jobs hold files that came from outside."""
SOURCE_VERSION = "1.0.0.0"


@define(frozen=True, kw_only=True)
class StagedFile:
    """
    A file, or several that belong together, for one input.

    Attributes:
        type: The type of the parameter that it becomes.
        paths: The files, the main one first; their names are kept.
        size: Voxels along x, y and z of an image, else ``None``.
    """

    type: str
    paths: tuple[Path, ...]
    size: tuple[int, int, int] | None = None


@define(frozen=True, kw_only=True)
class StagePlan:
    """
    What to make.

    Attributes:
        name: What the workflow, the task, the run and the job are called, and the project unless that has its own name.
        task_type: Name of the task type.
        version: Version of the task type.
        interface: The task type's interface; empty where nothing is declared.
        values: Inputs that are values.
        files: Inputs that are files.
        project: What the project is called, where not as everything else.
    """

    name: str
    task_type: str
    version: str = SOURCE_VERSION
    interface: Mapping[str, Any] = field(factory=dict)
    values: Mapping[str, Any] = field(factory=dict)
    files: Mapping[str, StagedFile] = field(factory=dict)
    project: str | None = None


def new_workflow(server: XFServer, name: str, project_name: str | None = None) -> Workflow:
    """Make a workflow of its own in the project of that name (by default its own), made where there is none."""
    title = name if project_name is None else project_name
    projects = server.find(Project, {"name": title, "obsolete": False})
    project = projects[0] if projects else server.create(Project(name=title))
    return server.create(Workflow(project_serial=project.serial, name=name))


def ensure_task_type(
    server: XFServer,
    name: str,
    version: str,
    interface: Mapping[str, Any],
    kind: TaskTypeKind = TaskTypeKind.PROCESSING,
) -> TaskType:
    """Give the task type of this name, version and interface, which is made where there is none."""
    for task_type in server.find(TaskType, {"name": name, "version": version}):
        if task_type.interface == dict(interface) and task_type.kind == kind:
            return task_type
    return server.create(TaskType(name=name, version=version, kind=kind, interface=dict(interface)))


def stage_files(
    server: XFServer,
    files: FileStore,
    workflow: Workflow,
    staged: Mapping[str, StagedFile],
) -> tuple[dict[str, Any], Job | None]:
    """
    Store files as results of source jobs.

    Files of one name go to jobs of their own, so that each keeps its name.

    Returns:
        The parameters by key, and the first source job (``None`` where there are no files).
    """
    task_type = ensure_task_type(server, SOURCE_TASK_TYPE, SOURCE_VERSION, {}, TaskTypeKind.SOURCE)
    task = server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial, name="Files"))
    parameters: dict[str, Any] = {}
    first: Job | None = None
    for group in _without_clashes(staged):
        job = server.create(
            Job(
                task_serial=task.serial,
                workflow_serial=workflow.serial,
                project_serial=workflow.project_serial,
                run_serial=None if first is None else first.run_serial,
                state=JobState.READY_FOR_INTERACTIVE,
                name="Files",
            )
        )
        token = server.file_token([Scope("write", record_resource("job_result", job.serial))])
        outputs = {}
        for key in group:
            for path in staged[key].paths:
                resource = record_resource("job_result", job.serial, path.name)
                files.upload(token, path, resource, progress=reporting("upload", resource))
            outputs[key] = _parameter(staged[key], job.serial)
        done = Change(
            values={"/outputs": outputs, "/state": JobState.DONE.value}, expected_version=job.occ_lock_version
        )
        job = server.update(Job, job.serial, done)
        parameters |= outputs
        first = first or job
    return parameters, first


def stage_job(server: XFServer, files: FileStore, plan: StagePlan) -> Job:
    """
    Make everything that a job needs, and the job.

    Args:
        server: The server, with rights to make projects.
        files: Where input files go.
        plan: What to make.

    Returns:
        The job, ready to be claimed.
    """
    workflow = new_workflow(server, plan.name, plan.project)
    parameters: dict[str, Any] = {}
    source: Job | None = None
    if plan.files:
        parameters, source = stage_files(server, files, workflow, plan.files)
    task_type = ensure_task_type(server, plan.task_type, plan.version, plan.interface)
    run = new_run(server, workflow, plan.name, source)
    return new_job(server, workflow, run, task_type, name=plan.name, inputs={**plan.values, **parameters})


def new_run(server: XFServer, workflow: Workflow, name: str, source: Job | None) -> Run:
    """Give the run that the source job started; make one where there is none."""
    if source is not None and source.run_serial is not None:
        return server.get(Run, source.run_serial)
    source_serial = None if source is None else source.serial
    return server.create(Run(workflow_serial=workflow.serial, source_job_serial=source_serial, name=name))


def new_job(
    server: XFServer, workflow: Workflow, run: Run, task_type: TaskType, *, name: str, inputs: Mapping[str, Any]
) -> Job:
    """Make a task of a task type, and its job in a run, ready to be claimed."""
    task = server.create(
        Task(
            workflow_serial=workflow.serial,
            task_type_serial=task_type.serial,
            name=name,
            inputs=[{"key": key, "mode": "ui"} for key in inputs],
        )
    )
    return server.create(
        Job(
            task_serial=task.serial,
            workflow_serial=workflow.serial,
            project_serial=workflow.project_serial,
            run_serial=run.serial,
            source_job_serial=run.source_job_serial,
            state=JobState.READY,
            inputs=dict(inputs),
            name=name,
        )
    )


def _parameter(staged: StagedFile, job_serial: int) -> dict[str, Any]:
    beside = [path.name for path in staged.paths[1:]]
    return create_parameter(
        staged.type,
        source="job_result",
        job_serial=job_serial,
        filename=staged.paths[0].name,
        size=None if staged.size is None else list(staged.size),
        filenames=beside or None,
    )


def _without_clashes(staged: Mapping[str, StagedFile]) -> list[list[str]]:
    groups: list[tuple[set[str], list[str]]] = []
    for key, item in staged.items():
        names = {path.name.casefold() for path in item.paths}
        for taken, keys in groups:
            if not taken & names:
                taken.update(names)
                keys.append(key)
                break
        else:
            groups.append((names, [key]))
    return [keys for _, keys in groups]
