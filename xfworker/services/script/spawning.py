"""Spawning tasks, jobs and task types from a script, so that a script that runs again does not spawn again."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from xfworker.domain.change import Change
from xfworker.domain.errors import InvalidParameter, RecordNotFound, UsageError
from xfworker.domain.records import Job, Task, TaskState, TaskType, TaskTypeKind, Workflow
from xfworker.domain.version import format_version, parse_version
from xfworker.ports.clock import Clock
from xfworker.ports.xf_server import XFServer
from xfworker.services.script.saving import save_intent

_NAME = re.compile(r"[a-zA-Z0-9.]{1,50}")
_VERSION_PARTS = 4


def task_types_of(server: XFServer, name: str) -> list[TaskType]:
    """List the task types of a package, newest version first; versions compare as numbers, not as strings."""
    task_types = [task_type for task_type in server.find(TaskType, {"name": name}) if not task_type.obsolete]
    return sorted(task_types, key=lambda task_type: (parse_version(task_type.version), task_type.serial), reverse=True)


def no_task_type(name: str) -> RecordNotFound:
    """Give the error for a package that is not there."""
    return RecordNotFound(f"no task type {name!r:.80} is installed; check the package's name, or install it")


def ensure_task(
    server: XFServer,
    clock: Clock,
    requested: Task,
    task_type: TaskType,
    *,
    upgradable: Iterable[int] = (),
) -> Task:
    """
    Give the workflow's task under a spawn key, made where it is not there yet.

    A task that is there keeps its task type, unless that is among those that may be upgraded and older.

    Args:
        server: Keeps the tasks.
        clock: Waits where others change the workflow.
        requested: The task to be, with its spawn key.
        task_type: Its task type.
        upgradable: Serials of task types from which the task may be upgraded.

    Raises:
        UsageError: The spawn key belongs to a task of another package.
    """
    where = {"workflow_serial": requested.workflow_serial, "spawn_key": requested.spawn_key, "state": TaskState.ACTIVE}
    tasks = server.find(Task, where)
    # Of two that ask at once, the server lets one make the task and gives it to both.
    task = tasks[0] if tasks else server.create(requested)
    if task.task_type_serial == task_type.serial:
        return task
    before = server.get(TaskType, task.task_type_serial)
    if before.serial in set(upgradable):
        if before.name == task_type.name and parse_version(before.version) > parse_version(task_type.version):
            return task
        return _upgraded(server, clock, task, task_type)
    if before.name != task_type.name:
        raise UsageError(
            f"the spawn key {requested.spawn_key!r} belongs to task {task.serial} of task type {before.name}, not "
            f"{task_type.name}; choose another key, or name that task type in upgrade_task_types"
        )
    return task


def _upgraded(server: XFServer, clock: Clock, task: Task, task_type: TaskType) -> Task:
    def version_of(_: Task) -> int:
        return server.get(Workflow, task.workflow_serial).occ_lock_version

    intent = Change(values={"/task_type_serial": task_type.serial}, expected_version=version_of(task))
    return save_intent(server, clock, Task, task.serial, intent, version_of=version_of)


def job_spawn_key(job: Job, occurrence: int) -> str:
    """
    Give the name under which a job is spawned, the same whenever a script spawns the same.

    It follows from what the job is made of, not from who spawns it, so that a search that runs in another run finds
    what it spawned before instead of spawning it again. UUIDs of entities do not count, because a script makes new ones
    each time; nor does the sort order, which depends on the jobs that are there already.

    Args:
        job: The job to be.
        occurrence: How many jobs of the same content the script spawned before.
    """
    import hashlib

    content = [job.task_serial, job.source_job_serial, _stable(job.inputs), _stable(job.outputs), occurrence]
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _stable(value: Any) -> Any:
    if isinstance(value, Mapping):
        is_entity = value.get("type") == "Entity"
        return {key: _stable(item) for key, item in value.items() if not (is_entity and key == "uuid")}
    if isinstance(value, list | tuple):
        return [_stable(item) for item in value]
    return value


def ensure_task_type(server: XFServer, metadata: Mapping[str, Any], interface: Mapping[str, Any]) -> TaskType:
    """
    Give the task type of a name and version, made where it is not there yet.

    Args:
        server: Keeps the task types.
        metadata: As in a package's ``metadata.json``: at least ``name`` and ``version``; ``kind`` where it is not
            ``Processing``.
        interface: As in a package's ``interface.json``.

    Raises:
        InvalidParameter: Name or version is missing or malformed.
        UsageError: The same version is there with another interface.
    """
    name, version, kind = _named(metadata)
    for existing in server.find(TaskType, {"name": name}):
        if parse_version(existing.version) == parse_version(version) and not existing.obsolete:
            if existing.interface != interface:
                raise UsageError(
                    f"task type {name} {version} is there already with another interface; give the new one a higher "
                    "version"
                )
            return existing
    task_type = TaskType(name=name, version=version, kind=kind, interface=dict(interface), metadata=dict(metadata))
    return server.create(task_type, idempotency_key=f"task-type {name} {version}")


def _named(metadata: Mapping[str, Any]) -> tuple[str, str, TaskTypeKind]:
    violations = []
    name, version, kind = metadata.get("name"), metadata.get("version"), metadata.get("kind", TaskTypeKind.PROCESSING)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        violations.append(f"name: expected 1 to 50 letters, digits and dots, got {name!r:.80}")
    try:
        if not isinstance(version, str) or len(parse_version(version)) != _VERSION_PARTS:
            violations.append(f"version: expected four numbers such as '1.0.0.0', got {version!r:.80}")
    except InvalidParameter as error:
        violations.append(f"version: {error}")
    if not isinstance(kind, str) or kind not in set(TaskTypeKind):
        violations.append(f"kind: expected one of {', '.join(TaskTypeKind)}, got {kind!r:.80}")
    if violations:
        raise InvalidParameter(f"spawn_xf_task_type_basic: the metadata are wrong: {'; '.join(violations)}", violations)
    return str(name), format_version(parse_version(str(version))), TaskTypeKind(kind)
