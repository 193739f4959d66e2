"""The methods of a job that spawn tasks, jobs and task types, and that look for what is there."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Dict, List

from attrs import evolve

from xfworker.api.facade.connection import Connection, server_of
from xfworker.api.facade.functions.activity_log import create_activity_log_event
from xfworker.api.facade.functions.record_access import checked_bool, checked_serial
from xfworker.api.facade.job_context import JobContext
from xfworker.api.facade.record_dict import record_dict
from xfworker.domain.activity_log_level import ActivityLogLevel
from xfworker.domain.conversion import from_json
from xfworker.domain.errors import UsageError
from xfworker.domain.job import Job
from xfworker.services.script.plain_json import plain_json
from xfworker.services.script.session import Session


class JobSpawning(JobContext):
    """What a job makes in its workflow beside its own outputs."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._spawned: Counter[str] = Counter()

    def get_current_task(self) -> Dict[str, Any]:
        """Give the record of the job's task."""
        from xfworker.domain.records import Task

        return record_dict(self._session.server.get(Task, self.job["task_serial"]))

    def get_run_entity(self) -> Dict[str, Any] | None:
        """Give the entity of the job's run as ``{uuid, name}``, or ``None`` where the run or its entity is not set."""
        from xfworker.domain.records import Run

        run_serial = self.job.get("run_serial")
        if run_serial is None:
            return None
        entity = self._session.server.get(Run, run_serial).entity
        return None if entity is None else dict(entity)

    def activity_log_message(self, title: str, *, level: ActivityLogLevel = ActivityLogLevel.INFO) -> None:
        """
        Write a message into the activity log.

        Args:
            title: What happened, in one line.
            level: How serious it is.
        """
        create_activity_log_event(self._connection(), title, level=level)

    def find_xf_task_types(
        self, connection: Connection, name: str, *, raise_if_not_any: bool = True
    ) -> List[Dict[str, Any]]:
        """
        List all task types of a package, newest version first. Versions compare as numbers: 1.10 is newer than 1.9.

        Args:
            connection: The connection.
            name: The package's name.
            raise_if_not_any: Whether it is an error when there is none.

        Raises:
            RecordNotFound: There is none.
        """
        from xfworker.services.script.spawning import no_task_type, task_types_of

        required = checked_bool(raise_if_not_any, "find_xf_task_types: raise_if_not_any")
        task_types = task_types_of(server_of(connection), _string(name, "find_xf_task_types: name"))
        if not task_types and required:
            raise no_task_type(name)
        return [record_dict(task_type) for task_type in task_types]

    def find_xf_task_type(self, connection: Connection, name: str) -> Dict[str, Any]:
        """
        Give the newest task type of a package.

        Raises:
            RecordNotFound: There is none.
        """
        return self.find_xf_task_types(connection, name)[0]

    def get_existing_job_sort_orders(self, connection: Connection) -> List[str]:
        """
        List the sort orders of the jobs in this workflow, in order.

        The module ``xfsortorder`` makes new ones before, between and behind them.
        """
        jobs = server_of(connection).find(Job, {"workflow_serial": self.job["workflow_serial"]})
        return sorted(job.sort_order for job in jobs if job.sort_order)

    def spawn_xf_job_basic(
        self,
        connection: Connection,
        task_type: Dict[str, Any],
        task: Dict[str, Any],
        source_job_serial: int | None = None,
        state: str = "Done",
        inputs: Dict[str, Any] = {},
        outputs: Dict[str, Any] = {},
        sort_order: str = None,
        metadata: Dict[str, Any] = None,
    ) -> Dict[str, Any]:
        """
        Spawn a job of a task.

        A script that runs again gets the job that it spawned before, as does another job's script that spawns the same:
        jobs are distinguished by their task, source, inputs and outputs (the UUIDs of entities aside), and by their
        number where these are the same.

        Args:
            connection: The connection.
            task_type: The task type's record.
            task: The task's record.
            source_job_serial: The job whose run it joins. Without it the job starts a run of its own, about the first
                ``Entity`` among its outputs and inputs, else about a new entity.
            state: ``Done``, or ``Ready``, ``Waiting`` or ``ReadyForInteractive``.
            inputs: Values by input key.
            outputs: Values by output key; a done job's are checked against the task type's interface.
            sort_order: Where it sorts among the workflow's jobs; by default behind all.
            metadata: The job's metadata.

        Returns:
            The job's record.

        Raises:
            InvalidRecord: A value is wrong, or the outputs do not fit; all errors are listed.
            UsageError: An argument is of the wrong type.
        """
        server = server_of(connection)
        what = "spawn_xf_job_basic"
        _task_type_serial(task_type, f"{what}: task_type")
        if source_job_serial is not None:
            source_job_serial = checked_serial(source_job_serial, f"{what}: source_job_serial")
        fields = {
            "task_serial": _task_serial(task, f"{what}: task"),
            "source_job_serial": source_job_serial,
            "state": state,
            "inputs": _object(inputs, f"{what}: inputs"),
            "outputs": _object(outputs, f"{what}: outputs"),
            "sort_order": sort_order or "",
            "metadata": _object(metadata or {}, f"{what}: metadata"),
        }
        job: Job = from_json(Job, plain_json(fields, what))
        return record_dict(server.create(self._keyed(job)))

    def spawn_xf_task_basic(
        self,
        connection: Connection,
        task_type: Dict[str, Any],
        task_name: str = None,
        spawn_key: str = None,
        task_inputs: List[Dict[str, Any]] = [],
        task_metadata: Dict[str, Any] = {},
        upgrade_task_types: List[Dict[str, Any]] = None,
    ) -> Dict[str, Any]:
        """
        Give the task of a task type in the current workflow, made where it is not there yet.

        Args:
            connection: The connection.
            task_type: The task type's record.
            task_name: The new task's name; by default the task type's.
            spawn_key: The script's own name for the task; by default it follows from the task type and the name.
            task_inputs: The new task's inputs, ``[{key, mode, ...}]``.
            task_metadata: The new task's metadata.
            upgrade_task_types: Task types from which a task that is there may be upgraded to the given one, such as
                all versions from :meth:`find_xf_task_types`. A task keeps its version otherwise.

        Returns:
            The task's record.

        Raises:
            UsageError: The spawn key belongs to a task of another package, or an argument is of the wrong type.
            RecordLocked: The workflow takes no new tasks.
        """
        from xfworker.domain.records import Task, TaskType
        from xfworker.services.script.spawning import ensure_task

        server = server_of(connection)
        what = "spawn_xf_task_basic"
        serial = _task_type_serial(task_type, f"{what}: task_type")
        for name, value in (("task_name", task_name), ("spawn_key", spawn_key)):
            if value is not None:
                _string(value, f"{what}: {name}")
        if not isinstance(task_inputs, list | tuple):
            raise UsageError(f"{what}: task_inputs is a list of objects {{key, mode, ...}}, not {task_inputs!r:.80}")
        type_name = str(task_type.get("name", ""))
        fields = {
            "workflow_serial": self.job["workflow_serial"],
            "task_type_serial": serial,
            "name": task_name or _display_name(task_type),
            "inputs": list(task_inputs),
            "spawn_key": spawn_key or (f"{type_name}/{task_name}" if task_name else type_name),
            "metadata": _object(task_metadata, f"{what}: task_metadata"),
        }
        task: Task = from_json(Task, plain_json(fields, what))
        if not isinstance(upgrade_task_types, list | tuple | None):
            raise UsageError(f"{what}: upgrade_task_types is a list of task types, not {upgrade_task_types!r:.80}")
        upgradable = [_task_type_serial(item, f"{what}: upgrade_task_types") for item in upgrade_task_types or ()]
        target: TaskType = from_json(TaskType, task_type)
        return record_dict(ensure_task(server, self._session.clock, task, target, upgradable=upgradable))

    def spawn_xf_task_type_basic(
        self, connection: Connection, task_type_metadata: Dict[str, Any], task_type_interface: Dict[str, Any]
    ) -> Dict[str, Any]:
        """
        Give the task type of a name and version, made where it is not there yet.

        Args:
            connection: The connection.
            task_type_metadata: As in a package's ``metadata.json``: at least ``name`` and ``version``.
            task_type_interface: As in a package's ``interface.json``: ``{inputs: [...], outputs: [...]}``.

        Returns:
            The task type's record.

        Raises:
            InvalidParameter: Name or version is missing or malformed.
            UsageError: The same version is there with another interface.
        """
        from xfworker.services.script.spawning import ensure_task_type

        server = server_of(connection)
        what = "spawn_xf_task_type_basic"
        metadata = plain_json(_object(task_type_metadata, f"{what}: task_type_metadata"), "task_type_metadata")
        interface = plain_json(_object(task_type_interface, f"{what}: task_type_interface"), "task_type_interface")
        return record_dict(ensure_task_type(server, metadata, interface))

    def _keyed(self, job: Job) -> Job:
        from xfworker.services.script.spawning import job_spawn_key

        content = job_spawn_key(job, 0)
        with self._lock:
            occurrence = self._spawned[content]
            self._spawned[content] += 1
        return evolve(job, spawn_key=job_spawn_key(job, occurrence))


def _string(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{what} must be a string that is not empty, not {value!r:.80}")
    return value


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{what} must be a dict, not {value!r:.80}")
    return dict(value)


def _task_type_serial(record: Any, what: str) -> int:
    serial = _serial_of(record, what)
    if "task_type_serial" in record:
        raise UsageError(f"{what} must be the record of a task type; this is that of task {serial}")
    return serial


def _task_serial(record: Any, what: str) -> int:
    serial = _serial_of(record, what)
    if "version" in record:
        raise UsageError(f"{what} must be the record of a task; this is that of task type {serial}")
    return serial


def _serial_of(record: Any, what: str) -> int:
    if not isinstance(record, Mapping):
        raise UsageError(f"{what} must be a record (a dict with 'serial'), not {record!r:.80}")
    return checked_serial(record.get("serial"), f"{what}['serial']")


def _display_name(task_type: Mapping[str, Any]) -> str:
    metadata = task_type.get("metadata")
    display_name = metadata.get("display_name") if isinstance(metadata, Mapping) else None
    return display_name if isinstance(display_name, str) and display_name else str(task_type.get("name", ""))
