"""Questions to the server that are more than one record, and their answers."""

from collections.abc import Mapping
from typing import Any

from attrs import define

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.json_value import json_violations
from xfworker.domain.records import DependencyPackage, Job, Project, Record, Task, TaskType, Worker, Workflow

_MAX_SERIAL = 2**63 - 1
_LONGEST_KEY = 1000


@define(frozen=True, kw_only=True)
class OutputValue:
    """
    One value of a sequence: an output of a done job.

    Attributes:
        job_serial: The job that made it.
        run_serial: The run it belongs to; pairs are made within a run.
        value: The output value.
    """

    job_serial: int
    run_serial: int | None
    value: Any


@define(frozen=True, kw_only=True)
class Sequence:
    """The values of output ``key`` over the done, non-obsolete jobs of a task, in sort order."""

    task_serial: int
    key: str


def parse_sequence(parameter: Mapping[str, Any]) -> Sequence:
    """
    Read a Sequence parameter ``{type: Sequence, task_serial, key}``.

    Raises:
        InvalidParameter: It is something else.
    """
    task_serial, key = parameter.get("task_serial"), parameter.get("key")
    if (
        parameter.get("type", "Sequence") != "Sequence"
        or isinstance(task_serial, bool)
        or not isinstance(task_serial, int)
        or not 1 <= task_serial <= _MAX_SERIAL
        or not isinstance(key, str)
        or not 1 <= len(key) <= _LONGEST_KEY
        or any(json_violations(key))
    ):
        raise InvalidParameter(
            "a sequence is {type: 'Sequence', task_serial: <serial of a task>, key: <key of an output>}, not "
            f"{dict(parameter)!r:.200}"
        )
    return Sequence(task_serial=task_serial, key=key)


QUERY_PARTS: dict[str, type[Record]] = {
    "task_types": TaskType,
    "dependency_packages": DependencyPackage,
    "projects": Project,
    "workflows": Workflow,
    "tasks": Task,
    "jobs": Job,
    "workers": Worker,
}
"""The parts of a combined query and the kind of record each answers with."""


@define(frozen=True, kw_only=True)
class CombinedQuery:
    """
    Several questions in one request.

    Attributes:
        parts: For each asked part its selector: ``all``, serials (``17,18``), or ``narrowed`` to what belongs to the
            given serials.
        project_serial: Narrows projects, workflows, tasks and jobs to one project.
        job_serial: Narrows to the job, its task, workflow, project and task type.
        task_type_serial: Narrows task types, and tasks to those made from it.
        dependency_package_serial: Narrows dependency packages.
    """

    parts: Mapping[str, str]
    project_serial: int | None = None
    job_serial: int | None = None
    task_type_serial: int | None = None
    dependency_package_serial: int | None = None
