"""What the server makes of a record that a caller wants created: references checked, own fields set."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

import attrs

from xfworker.domain.conversion import to_json
from xfworker.domain.errors import InvalidParameter, InvalidRecord, RecordConflict, RecordLocked, RecordNotFound
from xfworker.domain.files import SERIAL_KEYS
from xfworker.domain.interface import input_violations
from xfworker.domain.job_inputs import complete_inputs
from xfworker.domain.job_metadata import FILES_DELETED, OUTPUT_FAULTS, SPAWNED_BY, without_platform_keys
from xfworker.domain.job_state import JobState
from xfworker.domain.look_alikes import look_alike_name, look_alike_version
from xfworker.domain.package import PACKAGE
from xfworker.domain.parameters import file_references, sequence_tasks
from xfworker.domain.records import (
    ActivityEvent,
    DependencyPackage,
    Entity,
    Job,
    Project,
    Record,
    Run,
    Task,
    TaskState,
    TaskType,
    Worker,
    Workflow,
)
from xfworker.domain.sort_order import sort_order_after
from xfworker.domain.workflow_graph import Step, task_input_violations
from xfworker.services.platform.access import Access
from xfworker.services.platform.declarations import check_declarations
from xfworker.services.platform.downstream import graph_of, steps_of
from xfworker.services.platform.finishing import output_faults
from xfworker.services.platform.holding import is_live
from xfworker.services.platform.isolation import isolated
from xfworker.services.platform.sign_ins import SIGN_IN

RecordT = TypeVar("RecordT", bound=Record)

_WITH_FILES: Mapping[str, type[Record]] = {
    "job_result": Job,
    "job_log": Job,
    "task_config": Task,
    "workflow_config": Workflow,
}
"""Whose files belong to one project; packages and user data are everybody's."""

_FIRST_STATES = (JobState.WAITING, JobState.READY, JobState.READY_FOR_INTERACTIVE, JobState.DONE)


def prepared(access: Access, record: RecordT, now: datetime) -> RecordT:
    """
    Give the record as it is to be inserted; that it can be kept was checked by :func:`check_json`.

    Raises:
        InvalidRecord: A reference leads nowhere, or a first state is not allowed.
        RecordLocked: It would go into something locked or obsolete.
    """
    fresh = attrs.evolve(record, serial=0, occ_lock_version=1, created_at=now, modified_at=now)
    rule = _RULES.get(type(record))
    return fresh if rule is None else cast("RecordT", rule(access, fresh, now))


def existing(access: Access, record: RecordT) -> RecordT | None:
    """Give the record that is there already under the same spawn key, so that spawning twice makes one."""
    if isinstance(record, Task) and record.spawn_key is not None:
        where = {"workflow_serial": record.workflow_serial, "spawn_key": record.spawn_key, "state": TaskState.ACTIVE}
        tasks = access.transaction.find(Task, where, limit=1)
        return cast("RecordT", tasks[0]) if tasks else None
    if isinstance(record, Job) and record.spawn_key is not None:
        where = {"task_serial": record.task_serial, "spawn_key": record.spawn_key}
        jobs = [job for job in access.transaction.find(Job, where) if is_live(access, job)]
        return cast("RecordT", jobs[0]) if jobs else None
    return None


def referred(access: Access, kind: type[RecordT], serial: int, of: Record, field: str) -> RecordT:
    """
    Give the record that another one refers to.

    Raises:
        InvalidRecord: There is none, or the caller may not see it.
    """
    try:
        return access.get(kind, serial)
    except RecordNotFound:
        violation = f"{field}: there is no {kind.noun} {serial}"
        raise InvalidRecord(f"{of.noun}: {violation}", (violation,)) from None


def require_open_workflow(workflow: Workflow) -> None:
    """
    Refuse to put something into a workflow that is obsolete.

    Raises:
        RecordLocked: It is.
    """
    if workflow.obsolete:
        raise RecordLocked(f"workflow {workflow.serial} ({workflow.name}) is obsolete and takes nothing new")


def require_unlocked(workflow: Workflow) -> None:
    """
    Refuse to change the tasks of a workflow that is locked or obsolete.

    Raises:
        RecordLocked: It is.
    """
    require_open_workflow(workflow)
    if workflow.locked:
        raise RecordLocked(f"workflow {workflow.serial} ({workflow.name}) is locked; unlock it to change its tasks")


def _workflow(access: Access, workflow: Workflow, _: datetime) -> Workflow:
    project = referred(access, Project, workflow.project_serial, workflow, "project_serial")
    if project.obsolete:
        raise RecordLocked(f"project {project.serial} ({project.name}) is obsolete and takes no new workflow")
    return workflow


def _task(access: Access, task: Task, _: datetime) -> Task:
    workflow = referred(access, Workflow, task.workflow_serial, task, "workflow_serial")
    require_unlocked(workflow)
    check_task_inputs(access, task)
    return task


def check_task_inputs(access: Access, task: Task) -> None:
    """
    Refuse a task whose task type is not there, or whose inputs cannot be scheduled.

    Raises:
        InvalidRecord: With every violation and its path.
    """
    task_type = referred(access, TaskType, task.task_type_serial, task, "task_type_serial")
    violations = task_input_violations(Step(task, task_type), steps_of(access, task.workflow_serial))
    if violations:
        raise InvalidRecord(f"{task}: " + "; ".join(violations), violations)


def _job(access: Access, job: Job, now: datetime) -> Job:
    task, task_type = _task_of(access, job)
    workflow = access.transaction.get(Workflow, task.workflow_serial)
    require_open_workflow(workflow)
    for field, serial in (("workflow_serial", workflow.serial), ("project_serial", workflow.project_serial)):
        if getattr(job, field) not in (0, serial):
            violation = f"{field}: task {task.serial} belongs to {serial}, not to {getattr(job, field)}"
            raise InvalidRecord(f"job: {violation}", (violation,))
    if job.run_serial is not None:
        run = referred(access, Run, job.run_serial, job, "run_serial")
        _same_workflow(job, "run_serial", run.workflow_serial, workflow.serial)
    if job.source_job_serial is not None:
        source = referred(access, Job, job.source_job_serial, job, "source_job_serial")
        _same_workflow(job, "source_job_serial", source.workflow_serial, workflow.serial)
    if job.state not in _FIRST_STATES:
        violation = f"state: a new job can be {', '.join(_FIRST_STATES)}, not {job.state}"
        raise InvalidRecord(f"job: {violation}", (violation,))
    _check_job_inputs(access, task_type, job)
    check_input_references(access, job.inputs, workflow.project_serial)
    own: dict[str, Any] = {}
    if access.principal.job_serial is not None:
        own[SPAWNED_BY] = access.principal.job_serial
    done = job.state is JobState.DONE
    violations = output_faults(access, task_type, job) if done else []
    if violations:
        own[OUTPUT_FAULTS] = violations
    return attrs.evolve(
        job,
        workflow_serial=workflow.serial,
        project_serial=workflow.project_serial,
        inputs=complete_inputs(task_type.interface, job.inputs),
        sort_order=job.sort_order or sort_order_after(access.transaction.last_sort_order(workflow.serial)),
        started_at=now if done else None,
        finished_at=now if done else None,
        metadata={**without_platform_keys(job.metadata), **own},
        worker_serial=None,
        attempt=0,
    )


def _task_of(access: Access, job: Job) -> tuple[Task, TaskType]:
    def of_graph() -> Step | None:
        return graph_of(access, job.workflow_serial).step(job.task_serial) if job.workflow_serial else None

    # Whoever names the workflow has asked for its graph as a rule; where that cannot be made, the task alone is read.
    step = isolated(access.transaction, f"the workflow of {job}", of_graph, lambda _: None, writes=False)
    if step is not None and not step.missing_type and access.sees(step.task):
        return step.task, step.task_type
    task = referred(access, Task, job.task_serial, job, "task_serial")
    return task, access.transaction.get(TaskType, task.task_type_serial)


def _check_job_inputs(access: Access, task_type: TaskType, job: Job) -> None:
    """Refuse inputs that a person gives and ``run`` would refuse."""
    if access.principal.is_job:
        return
    violations = input_violations(
        task_type.interface, {key: value for key, value in job.inputs.items() if value is not None}
    )
    if violations:
        raise InvalidParameter("job: " + "; ".join(violations), violations)


def check_input_references(access: Access, inputs: Mapping[str, Any], project_serial: int) -> None:
    """
    Refuse inputs that take values of another project's tasks, or files of it, which the job's script may not read.

    Raises:
        InvalidParameter: With every such input.
    """
    violations = [
        f"inputs.{key}: {violation}"
        for key, value in inputs.items()
        for kind, serial in dict.fromkeys(_named_in(value))
        for violation in _reference_violations(access, kind, serial, project_serial)
    ]
    if violations:
        raise InvalidParameter("job: " + "; ".join(violations), violations)


def _named_in(value: Any) -> Iterator[tuple[type[Record], str]]:
    """List the tasks of the sequences and the owners of the files that an input names."""
    yield from ((Task, str(serial)) for serial in sequence_tasks(value))
    for reference in file_references(value):
        kind = _WITH_FILES.get(reference["source"])
        if kind is not None:
            yield kind, str(reference[SERIAL_KEYS[reference["source"]]])


def _reference_violations(access: Access, kind: type[Record], serial: str, project_serial: int) -> Iterator[str]:
    try:
        record = access.get(kind, int(serial))
    except (RecordNotFound, ValueError):
        record = None
    if record is None or access.project_of(record) != project_serial:
        yield f"there is no {kind.noun} {serial} in the job's project"
    elif FILES_DELETED in record.metadata:
        yield f"the files of job {serial} were deleted; restart it to have them made again"


def _run(access: Access, run: Run, _: datetime) -> Run:
    workflow = referred(access, Workflow, run.workflow_serial, run, "workflow_serial")
    require_open_workflow(workflow)
    if run.source_job_serial is not None:
        source = referred(access, Job, run.source_job_serial, run, "source_job_serial")
        _same_workflow(run, "source_job_serial", source.workflow_serial, workflow.serial)
    entity = run.entity if run.entity is not None else {"uuid": str(uuid.uuid4()), "name": run.name}
    return attrs.evolve(run, entity=entity)


def _same_workflow(record: Record, field: str, workflow_serial: int, expected: int) -> None:
    if workflow_serial != expected:
        violation = f"{field}: it belongs to workflow {workflow_serial}, not to workflow {expected}"
        raise InvalidRecord(f"{record.noun}: {violation}", (violation,))


def _task_type(access: Access, task_type: TaskType, _: datetime) -> TaskType:
    # A script describes what it spawns, but brings no package.
    if access.principal.is_job:
        metadata = {key: value for key, value in task_type.metadata.items() if key != PACKAGE}
        task_type = attrs.evolve(task_type, metadata=metadata)
    check_declarations(task_type)
    _check_look_alikes(access, task_type)
    # Workflows find task types by name and version, so nobody may put another one in a version's place.
    for existing_type in access.transaction.find(TaskType, {"name": task_type.name, "version": task_type.version}):
        access.require_own(existing_type, f"make another {existing_type}")
    return task_type


def _dependency_package(access: Access, package: DependencyPackage, _: datetime) -> DependencyPackage:
    check_declarations(package)
    _check_look_alikes(access, package)
    return package


def _check_look_alikes(access: Access, package: TaskType | DependencyPackage) -> None:
    """Refuse a name or a version that people would take for one that is there: each has one spelling."""
    kind = type(package)
    version = look_alike_version(package.version)
    same = access.transaction.find(kind, {"name": package.name})
    others = same or [
        other for other in access.transaction.find(kind) if look_alike_name(other.name) == look_alike_name(package.name)
    ]
    for other in others:
        if other.name != package.name:
            violation = f"name: {other} is there already, and {package.name!r} looks the same; use its spelling"
        elif other.version != package.version and _is_version(other.version, version):
            violation = f"version: {other} is there already, and {package.version!r} is the same; use its spelling"
        else:
            continue
        raise InvalidRecord(f"{kind.noun}: {violation}", (violation,))


def _is_version(text: str, version: tuple[int, ...]) -> bool:
    try:
        return look_alike_version(text) == version
    except InvalidParameter:
        return False  # of before versions were checked


def _entity(access: Access, entity: Entity, _: datetime) -> Entity:
    if not entity.uuid:
        return attrs.evolve(entity, uuid=str(uuid.uuid4()))
    for existing_entity in access.transaction.find(Entity, {"uuid": entity.uuid}, limit=1):
        raise RecordConflict(
            f"entity {existing_entity.serial} has the UUID {entity.uuid} already", current=to_json(existing_entity)
        )
    return entity


def _worker(access: Access, worker: Worker, now: datetime) -> Worker:
    for existing_worker in access.transaction.find(Worker, {"name": worker.name}):
        access.require_own(existing_worker, f"make another {existing_worker}")
    check_declarations(worker)
    return attrs.evolve(worker, last_seen_at=now)


def _event(access: Access, event: ActivityEvent, _: datetime) -> ActivityEvent:
    principal = access.principal
    if event.type == SIGN_IN:
        raise InvalidRecord(f"events of the type {SIGN_IN} are written by the server alone; choose another type")
    job_serial = event.job_serial if event.job_serial is not None else principal.job_serial
    project_serial = principal.project_serial
    if job_serial is not None:
        project_serial = referred(access, Job, job_serial, event, "job_serial").project_serial
    return attrs.evolve(event, user=principal.name, job_serial=job_serial, project_serial=project_serial)


_RULES: dict[type[Record], Callable[[Access, Any, datetime], Record]] = {
    Workflow: _workflow,
    Task: _task,
    Job: _job,
    Run: _run,
    TaskType: _task_type,
    DependencyPackage: _dependency_package,
    Entity: _entity,
    Worker: _worker,
    ActivityEvent: _event,
}
