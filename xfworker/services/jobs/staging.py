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
_SEQUENCE_TASK_TYPE = "xfworker.Values"


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


@define(frozen=True)
class StagedSequence:
    """
    The values of a sequence, one per run: plain values, files, or both.

    Attributes:
        values: The values in their order.
    """

    values: tuple[Any, ...]


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
        sequences: Inputs that are sequences of values that come from outside.
        project: What the project is called, where not as everything else.
        project_serial: The project, where it is there already; the job sees what is in it.
    """

    name: str
    task_type: str
    version: str = SOURCE_VERSION
    interface: Mapping[str, Any] = field(factory=dict)
    values: Mapping[str, Any] = field(factory=dict)
    files: Mapping[str, StagedFile] = field(factory=dict)
    sequences: Mapping[str, StagedSequence] = field(factory=dict)
    project: str | None = None
    project_serial: int | None = None


def new_workflow(
    server: XFServer, name: str, project_name: str | None = None, project_serial: int | None = None
) -> Workflow:
    """Make a workflow of its own in the project, or in that of the name (by default its own), made where needed."""
    if project_serial is not None:
        return server.create(Workflow(project_serial=project_serial, name=name))
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
        outputs = {key: _stored(server, files, staged[key], job) for key in group}
        done = Change(
            values={"/outputs": outputs, "/state": JobState.DONE.value}, expected_version=job.occ_lock_version
        )
        job = server.update(Job, job.serial, done)
        parameters |= outputs
        first = first or job
    return parameters, first


def stage_sequences(
    server: XFServer, files: FileStore, workflow: Workflow, staged: Mapping[str, StagedSequence]
) -> dict[str, Any]:
    """
    Store values as outputs of done jobs, one task per sequence.

    The first values of all sequences belong to one run, the second to another, and so on, so that they can be paired.

    Returns:
        The parameters ``{type: Sequence, task_serial, key}`` by key.
    """
    runs: list[Run] = []
    parameters: dict[str, Any] = {}
    task_type = ensure_task_type(server, _SEQUENCE_TASK_TYPE, SOURCE_VERSION, {}) if staged else None
    for key, sequence in staged.items():
        assert task_type is not None
        task = server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial, name=key))
        parameters[key] = {"type": "Sequence", "task_serial": task.serial, "key": key}
        for index, value in enumerate(sequence.values):
            if index == len(runs):
                runs.append(server.create(Run(workflow_serial=workflow.serial, name=f"{index + 1}")))
            job = server.create(
                Job(
                    task_serial=task.serial,
                    workflow_serial=workflow.serial,
                    project_serial=workflow.project_serial,
                    run_serial=runs[index].serial,
                    state=JobState.READY_FOR_INTERACTIVE,
                    name=key,
                )
            )
            output = _stored(server, files, value, job) if isinstance(value, StagedFile) else value
            done = {"/outputs": {key: output}, "/state": JobState.DONE.value}
            server.update(Job, job.serial, Change(values=done, expected_version=job.occ_lock_version))
    return parameters


def _stored(server: XFServer, files: FileStore, staged: StagedFile, job: Job) -> dict[str, Any]:
    """Store a file as a result of a job, and give the parameter that names it."""
    token = server.file_token([Scope("write", record_resource("job_result", job.serial))])
    for path in staged.paths:
        resource = record_resource("job_result", job.serial, path.name)
        files.upload(token, path, resource, progress=reporting("upload", resource))
    return _parameter(staged, job.serial)


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
    workflow = new_workflow(server, plan.name, plan.project, plan.project_serial)
    parameters: dict[str, Any] = {}
    source: Job | None = None
    if plan.files:
        parameters, source = stage_files(server, files, workflow, plan.files)
    parameters |= stage_sequences(server, files, workflow, plan.sequences)
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
