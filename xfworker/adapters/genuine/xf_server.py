"""The XF Server as far as the documented calls of the genuine module reach it."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs

from xfworker.adapters.genuine.errors import CallNotDocumented
from xfworker.adapters.genuine.module import GenuineModule
from xfworker.domain.change import SERVER_FIELDS, Change, apply
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import RecordConflict, ServerFault
from xfworker.domain.files import AuthorizationToken, Scope
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import CombinedQuery, OutputValue
from xfworker.domain.queries import Sequence as ParameterSequence
from xfworker.domain.record import Record
from xfworker.domain.records import ActivityEvent, Entity, Job, Project, Run, Task, TaskType, Workflow

RecordT = TypeVar("RecordT", bound=Record)

_GETTERS: Mapping[type[Record], str] = {
    Project: "get_xf_project",
    Workflow: "get_xf_workflow",
    Run: "get_xf_workflow_run",
    Task: "get_xf_task",
    Job: "get_xf_job",
    TaskType: "get_xf_task_type",
}
# For each kind that can be listed: the documented functions, and the field by which each narrows the list.
_LISTS: Mapping[type[Record], tuple[tuple[str, str | None], ...]] = {
    Project: (("get_xf_projects", None),),
    Workflow: (("get_xf_workflows_by_project", "project_serial"),),
    Task: (("get_xf_tasks_by_workflow", "workflow_serial"),),
    Job: (("get_xf_jobs_by_task", "task_serial"), ("get_xf_jobs_by_workflow", "workflow_serial")),
    TaskType: (("get_xf_task_types", None),),
}


def _natural_order(record: Record) -> tuple[str, int]:
    return (record.sort_order if isinstance(record, Job) else "", record.serial)


class GenuineXFServer:
    """
    An :class:`~xfworker.ports.xf_server.XFServer` over the documented functions.

    Whatever they cannot do raises :class:`.CallNotDocumented` before anything is changed, and what they raise
    themselves comes as :class:`~xfworker.domain.errors.ServerFault` with their message.
    """

    def __init__(self, module: GenuineModule) -> None:
        """Take the loaded module."""
        self._module = module

    def get(self, kind: type[RecordT], serial: int) -> RecordT:
        """
        Give one record. Which error says that there is none is not public, so it comes as a ``ServerFault``.

        Raises:
            CallNotDocumented: For kinds without a documented function.
        """
        name = _GETTERS.get(kind)
        if name is None:
            raise CallNotDocumented(f"get a {kind.noun} by its serial")
        doing = f"get {kind.noun} {serial}"
        with self._module.connection(doing) as connection:
            their = getattr(self._module.util, name)(connection, serial)
        return self._module.keys.record(kind, their)

    def find(self, kind: type[RecordT], where: Mapping[str, Any] | None = None) -> list[RecordT]:
        """
        List records by field values. What the documented function does not narrow is narrowed here.

        Raises:
            CallNotDocumented: For kinds without a documented function, and where it needs a field that is not given.
        """
        conditions = {name: value if isinstance(value, tuple) else (value,) for name, value in (where or {}).items()}
        calls = self._listing(kind, conditions)
        theirs: list[Any] = []
        with self._module.connection(f"list {kind.noun}s") as connection:
            for name, *serial in calls:
                theirs += getattr(self._module.util, name)(connection, *serial)
        records = [self._module.keys.record(kind, their) for their in theirs]
        matching = [
            record
            for record in records
            if all(getattr(record, name, record.extra.get(name)) in allowed for name, allowed in conditions.items())
        ]
        return sorted(matching, key=_natural_order)

    def create(self, record: RecordT, *, idempotency_key: str | None = None) -> RecordT:
        """
        Store a new record. The documented functions know no idempotency key, so nothing here is ever tried again.

        Raises:
            CallNotDocumented: For everything but jobs, tasks and events of the activity log.
        """
        del idempotency_key  # nothing is repeated here, and no documented call takes it
        util = self._module.util
        with self._module.connection(f"create a {record.noun}") as connection:
            match record:
                case Job():
                    their = util.create_xf_job(connection, self._new_fields(record))
                case Task():
                    their = util.create_xf_task(connection, self._new_fields(record))
                case ActivityEvent():
                    level = util.ActivityLogLevel[record.level]
                    their = util.create_activity_log_event(
                        connection,
                        record.title,
                        level=level,
                        type=record.type,
                        source=record.source,
                        payload=record.payload,
                    )
                    return attrs.evolve(record, extra=dict(their) if isinstance(their, Mapping) else {})
                case _:
                    raise CallNotDocumented(f"create a {record.noun}")
        return self._module.keys.record(type(record), their)

    def update(self, kind: type[RecordT], serial: int, change: Change) -> RecordT:
        """
        Apply a change by the documented compare-and-set.

        Raises:
            RecordConflict: The lock version had moved on before, or is found to have after the call failed.
            CallNotDocumented: For everything but jobs, tasks, workflows and projects.
        """
        current = self.get(kind, serial)
        version = self._require_version(current, change)
        theirs = self._module.keys.json(apply(current, change))
        util = self._module.util
        try:
            with self._module.connection(f"save {kind.noun} {serial}") as connection:
                match current:
                    case Job():
                        their = util.update_xf_job(connection, theirs, change.bump)
                    case Task():
                        their = util.update_xf_task(connection, theirs, version)
                    case Workflow():
                        their = util.update_xf_workflow(connection, theirs)
                    case Project():
                        their = util.update_xf_project(connection, theirs)
                    case _:
                        raise CallNotDocumented(f"save a {kind.noun}")
        except ServerFault:
            self._require_version(self.get(kind, serial), change)
            raise
        return self._module.keys.record(kind, their)

    def output_values(self, sequence: ParameterSequence) -> list[OutputValue]:
        """
        Give the values of a sequence.

        The documented function gives values alone. Which jobs they are of is found among the done jobs of the task.

        Raises:
            ServerFault: The jobs do not lead to the same values, so no value can be given to its job.
        """
        parameter = {"type": "Sequence", "task_serial": sequence.task_serial, "key": sequence.key}
        with self._module.connection(
            f"get the values of {sequence.key!r} of task {sequence.task_serial}"
        ) as connection:
            values = self._module.util.get_xf_parameter_sequence(connection, parameter)
        done = [
            job
            for job in self.find(Job, {"task_serial": sequence.task_serial, "state": JobState.DONE})
            if sequence.key in job.outputs
        ]
        if len(done) != len(values):
            runs = {job.run_serial for job in done if job.run_serial is not None}
            obsolete = {serial for serial in runs if self.get(Run, serial).obsolete}
            done = [job for job in done if job.run_serial not in obsolete]
        if [job.outputs[sequence.key] for job in done] != list(values):
            raise ServerFault(
                f"The genuine platform gives {len(values)} values of {sequence.key!r} for task {sequence.task_serial}, "
                f"and its {len(done)} done jobs hold others, so the values cannot be assigned to jobs."
            )
        return [
            OutputValue(job_serial=job.serial, run_serial=job.run_serial, value=value)
            for job, value in zip(done, values, strict=True)
        ]

    def combined_query(self, query: CombinedQuery) -> dict[str, list[Record]]:
        """
        Answer several questions at once.

        Raises:
            CallNotDocumented: Always: what its selectors mean there, and the shape of the answer, are not documented.
        """
        raise CallNotDocumented(f"answer a combined query for {', '.join(query.parts)} in a known shape")

    def entity_by_uuid(self, uuid: str) -> Entity:
        """Give the entity's record."""
        with self._module.connection(f"get the entity {uuid[:80]!a}") as connection:
            their = self._module.util.get_xf_db_entity_by_uuid(connection, uuid)
        return self._module.keys.record(Entity, their)

    def file_token(self, scopes: Sequence[Scope]) -> AuthorizationToken:
        """Give a token that names its scopes; the genuine module asks for its own when a file is touched."""
        return AuthorizationToken(url="genuine:", token="", scopes=tuple(scopes))

    def global_config(self) -> dict[str, Any]:
        """Give what the documented calls say of the server's configuration: the SNS server."""
        with self._module.connection("get the SNS server's parameters") as connection:
            parameters = self._module.util.get_xf_default_sns_server_connection_params(connection)
        return {} if parameters is None else {"default_sns_server": parameters}

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def _listing(self, kind: type[Record], conditions: Mapping[str, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Give the calls that list records: a function's name each, and the serial that it takes, if any."""
        ways = _LISTS.get(kind, ())
        for name, field in ways:
            if field is None:
                return [(name,)]
            if field in conditions:
                return [(name, serial) for serial in dict.fromkeys(conditions[field])]
        if kind is Workflow:
            return [("get_xf_workflows_by_project", project.serial) for project in self.find(Project)]
        needed = " or ".join(field for _, field in ways if field is not None)
        raise CallNotDocumented(f"list {kind.noun}s" + (f" without their {needed}" if needed else ""))

    def _new_fields(self, record: Record) -> dict[str, Any]:
        names = self._module.keys.keys(record.collection).names
        left_out = {names.get(key, key) for key in SERVER_FIELDS}
        fields = self._module.keys.json(record)
        return {key: value for key, value in fields.items() if value is not None and key not in left_out}

    def _require_version(self, current: Record, change: Change) -> int:
        """Give the lock version that guards a record, which for a task is its workflow's, if it is the expected one."""
        guard = self.get(Workflow, current.workflow_serial) if isinstance(current, Task) else current
        if change.expected_version is not None and guard.occ_lock_version != change.expected_version:
            raise RecordConflict(
                f"{current.noun} {current.serial} moved on: its lock version is {guard.occ_lock_version}, "
                f"not {change.expected_version}",
                current=to_json(current),
            )
        return guard.occ_lock_version
