"""Which changes to a record the server takes, and what it sets itself along with them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import attrs

from xfworker.domain.change import Change, apply
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import (
    IllegalTransition,
    InvalidParameter,
    InvalidRecord,
    PermissionDenied,
    RecordConflict,
    RecordLocked,
)
from xfworker.domain.interface import declared_fields, input_violations
from xfworker.domain.job_inputs import new_job_violations
from xfworker.domain.job_metadata import OUTPUT_FAULTS, kept_platform_keys
from xfworker.domain.job_state import JobState, check_transition
from xfworker.domain.package import PACKAGE
from xfworker.domain.records import (
    DependencyPackage,
    Entity,
    Job,
    Project,
    Record,
    Run,
    Task,
    TaskType,
    Worker,
    Workflow,
)
from xfworker.services.platform.access import CODE_STAYS, Access
from xfworker.services.platform.activity import log_event
from xfworker.services.platform.creation import check_input_references, check_task_inputs, require_unlocked
from xfworker.services.platform.declarations import check_declarations
from xfworker.services.platform.downstream import task_type_of
from xfworker.services.platform.finishing import output_faults
from xfworker.services.platform.keeping import check_size
from xfworker.services.platform.publications import require_none_under_way

RecordT = TypeVar("RecordT", bound=Record)

_FIXED: Mapping[type[Record], frozenset[str]] = {
    Workflow: frozenset({"project_serial"}),
    Task: frozenset({"workflow_serial"}),
    Job: frozenset(
        {
            "task_serial",
            "workflow_serial",
            "project_serial",
            "run_serial",
            "source_job_serial",
            "spawn_key",
            "started_at",
            "finished_at",
            "worker_serial",
            "attempt",
        }
    ),
    Run: frozenset({"workflow_serial", "source_job_serial"}),
    TaskType: frozenset({"name", "version"}),
    DependencyPackage: frozenset({"name", "version"}),
    Entity: frozenset({"uuid"}),
    Worker: frozenset({"name", "last_seen_at"}),
}
_WHILE_SHUT = frozenset({"obsolete", "locked", "state", "metadata"})
"""What can be changed of a project, workflow or run that is obsolete or locked."""


def require_version(access: Access, record: Record, change: Change) -> None:
    """
    Refuse a change that was made from an older record.

    Raises:
        RecordConflict: The lock version moved on; of a task, its workflow's.
    """
    if change.expected_version is None:
        return
    counted: Record = record
    if isinstance(record, Task):
        counted = access.transaction.get(Workflow, record.workflow_serial)
    if counted.occ_lock_version != change.expected_version:
        raise RecordConflict(
            f"{record} was not changed: {counted} moved on from version {change.expected_version} to "
            f"{counted.occ_lock_version} since it was read; read it again and repeat the change",
            current=to_json(record),
            attempted=change.values,
        )


def changed(access: Access, record: RecordT, change: Change, now: datetime) -> RecordT:
    """
    Give the record as it is to be kept after the change.

    Raises:
        InvalidRecord: A value is wrong, or a field cannot be changed.
        RecordLocked: The record, or the workflow of a task, is locked or obsolete.
        IllegalTransition: The job cannot go to the requested state.
        ServerBusy: A file of the job is just being stored.
        InvalidParameter: A finished job's outputs do not fit its task type's interface.
    """
    after = apply(record, change)
    check_size(after, change)
    _check_fixed(record, after)
    _check_open(access, record, after)
    if isinstance(record, Task) and isinstance(after, Task) and _inputs(after) != _inputs(record):
        check_task_inputs(access, after)
    if isinstance(after, TaskType | DependencyPackage | Worker) and _declared(after) != _declared(record):
        check_declarations(after)
    if isinstance(record, TaskType | DependencyPackage) and _code(after) != _code(record):
        _require_change_of_code(access, record)
    if isinstance(record, Job) and isinstance(after, Job):
        after = _with_platform_keys(record, after)  # type: ignore[assignment]  # RecordT is Job here
        _check_changed_inputs(access, record, after)
    bump = change.bump
    if isinstance(record, Job) and isinstance(after, Job) and after.state is not record.state:
        after = _moved(access, record, after, now)  # type: ignore[assignment]  # RecordT is Job here
        bump = True
    elif isinstance(record, Job) and isinstance(after, Job) and _is_corrected(record, after):
        after = fitted(access, after, now)  # type: ignore[assignment]  # RecordT is Job here
    version = record.occ_lock_version + 1 if bump else record.occ_lock_version
    return attrs.evolve(after, occ_lock_version=version, modified_at=now)


def _is_corrected(before: Job, after: Job) -> bool:
    return after.state is JobState.DONE and after.outputs != before.outputs


def _inputs(task: Task) -> tuple[int, Any]:
    return task.task_type_serial, task.inputs


def _declared(record: Record) -> tuple[Any, ...]:
    # What was kept before it was checked may stay as it is while something else is changed.
    names = ("interface", "metadata", "dependencies", "parameter_types", "dependency_packages", "max_concurrent_jobs")
    return tuple(getattr(record, name, None) for name in names)


def _check_changed_inputs(access: Access, before: Job, after: Job) -> None:
    """Refuse inputs that a person gives and ``run`` would refuse; a script may leave what it likes in its own job."""
    answers = before.state is JobState.READY_FOR_INTERACTIVE and after.state is JobState.WAITING
    if access.principal.is_job or (after.inputs == before.inputs and not answers):
        return
    task = access.transaction.get(Task, before.task_serial)
    interface = access.transaction.get(TaskType, task.task_type_serial).interface
    new_inputs = {
        key: value for key, value in after.inputs.items() if value is not None and value != before.inputs.get(key)
    }
    violations = input_violations(interface, new_inputs)
    check_input_references(access, new_inputs, before.project_serial)
    if answers:
        asked = {item.get("key") for item in task.inputs if item.get("mode") == "ui"}
        fields = {key: field for key, field in declared_fields(interface, "inputs").items() if key in asked}
        values = {key: after.inputs.get(key) for key in fields}
        violations += new_job_violations({"inputs": list(fields.values())}, values)
    if violations:
        raise InvalidParameter(f"{before}: " + "; ".join(dict.fromkeys(violations)), violations)


def _code(record: Record) -> tuple[Any, ...]:
    package = record.metadata.get(PACKAGE)
    # An installation that is completed changes nothing of what it brought.
    content = {**package, "complete": None} if isinstance(package, dict) else package
    names = ("kind", "interface", "install", "dependencies", "parameter_types")
    return record.metadata.get("dependencies"), content, *(getattr(record, name, None) for name in names)


def _require_change_of_code(access: Access, package: TaskType | DependencyPackage) -> None:
    if not access.may_change_code(package):
        raise PermissionDenied(f"{access.principal.name} may not change what {package} runs or takes: {CODE_STAYS}")


def _with_platform_keys(before: Job, after: Job) -> Job:
    metadata, violations = kept_platform_keys(before.metadata, after.metadata)
    if violations:
        raise InvalidRecord(f"{before}: " + "; ".join(violations), violations)
    return attrs.evolve(after, metadata=metadata)


def _check_fixed(before: Record, after: Record) -> None:
    fixed = _FIXED.get(type(before), frozenset())
    violations = [
        f"{name}: the server sets it, so it cannot be changed"
        for name in sorted(fixed)
        if getattr(before, name) != getattr(after, name)
    ]
    if violations:
        raise InvalidRecord(f"{before}: " + "; ".join(violations), violations)


def _check_open(access: Access, before: Record, after: Record) -> None:
    if isinstance(before, Task):
        require_unlocked(access.transaction.get(Workflow, before.workflow_serial))
    elif isinstance(before, Project | Workflow | Run) and isinstance(after, Project | Workflow | Run):
        locked = isinstance(before, Workflow) and before.locked
        if (before.obsolete and after.obsolete) or (locked and isinstance(after, Workflow) and after.locked):
            names = {field.name for field in attrs.fields(type(before))} - _WHILE_SHUT
            touched = sorted(name for name in names if getattr(before, name) != getattr(after, name))
            if touched:
                why = "obsolete" if before.obsolete else "locked"
                raise RecordLocked(f"{before} is {why}, so {', '.join(touched)} cannot be changed")


def _moved(access: Access, before: Job, after: Job, now: datetime) -> Job:
    check_transition(before.serial, before.state, after.state)
    if access.files_may_wait and (before.state is JobState.RUNNING or before.state.is_final):
        require_none_under_way(access.transaction, before.serial, now)
    if after.state is JobState.RUNNING:
        raise IllegalTransition(f"job {before.serial} starts to run when a worker claims it, not by a change of state")
    if before.state is JobState.RUNNING and after.state is JobState.READY:
        raise IllegalTransition(f"job {before.serial} is running; abort it before it can run again")
    if after.state is JobState.DONE:
        after = fitted(access, after, now)
    if after.state.is_final:
        return attrs.evolve(after, finished_at=now)
    return after


def fitted(access: Access, job: Job, now: datetime) -> Job:
    """
    Give a job that is to be done, with what is accepted about its outputs although it does not fit.

    Raises:
        InvalidParameter: They are refused, with every violation and its path.
    """
    violations = output_faults(access, task_type_of(access, job), job)
    metadata = {key: value for key, value in job.metadata.items() if key != OUTPUT_FAULTS}
    if violations:
        title = f"job {job.serial} is done with outputs that do not fit"
        log_event(access, title, job, {"faults": violations}, now, level="WARNING")
        metadata[OUTPUT_FAULTS] = violations
    return attrs.evolve(job, metadata=metadata)
