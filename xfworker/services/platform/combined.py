"""The combined query: several questions in one transaction."""

from typing import Any

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.queries import QUERY_PARTS, CombinedQuery
from xfworker.domain.records import (
    DependencyPackage,
    Job,
    Project,
    Record,
    Task,
    TaskType,
    Workflow,
)
from xfworker.services.platform.access import Access

ALL = "all"
NARROWED = "narrowed"
_MOST_DIGITS = 18

_Conditions = dict[type[Record], dict[str, Any]]


def answer(access: Access, query: CombinedQuery) -> dict[str, list[Record]]:
    """
    Answer a combined query.

    Raises:
        InvalidParameter: A part or a selector is not known, or nothing narrows a part that is to be narrowed.
        RecordNotFound: A serial that narrows the query leads nowhere.
    """
    conditions = _narrowing(access, query)
    return {part: _part(access, part, selector, conditions) for part, selector in query.parts.items()}


def _part(access: Access, part: str, selector: str, conditions: _Conditions) -> list[Record]:
    kind = QUERY_PARTS.get(part)
    if kind is None:
        raise InvalidParameter(f"{part!r} is not a part of a combined query; parts are {', '.join(QUERY_PARTS)}")
    where: dict[str, Any] = {}
    if selector == NARROWED:
        if kind not in conditions:
            raise InvalidParameter(
                f"{part}: no serial is given that narrows them; give one that does, or ask for 'all' or for serials"
            )
        where = conditions[kind]
    elif selector != ALL:
        where = {"serial": _serials(part, selector)}
    return list(access.transaction.find(kind, access.narrowed(kind, where)))


def _serials(part: str, selector: str) -> tuple[int, ...]:
    texts = [text.strip() for text in selector.split(",")]
    if not all(text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS for text in texts):
        raise InvalidParameter(
            f"{part}: {selector!r:.80} is not a selector; it is 'all', 'narrowed', or serials with commas between: "
            "'17,18'"
        )
    return tuple(int(text) for text in texts)


def _narrowing(access: Access, query: CombinedQuery) -> _Conditions:
    conditions: _Conditions = {}
    if query.job_serial is not None:
        job = access.get(Job, query.job_serial)
        task = access.get(Task, job.task_serial)
        conditions[Job] = {"serial": job.serial}
        conditions[Task] = {"serial": task.serial}
        conditions[Workflow] = {"serial": job.workflow_serial}
        conditions[Project] = {"serial": job.project_serial}
        conditions[TaskType] = {"serial": task.task_type_serial}
    if query.project_serial is not None:
        project = access.get(Project, query.project_serial)
        workflows = access.transaction.find(Workflow, {"project_serial": project.serial})
        _add(conditions, Project, {"serial": project.serial})
        _add(conditions, Workflow, {"project_serial": project.serial})
        _add(conditions, Task, {"workflow_serial": tuple(workflow.serial for workflow in workflows)})
        _add(conditions, Job, {"project_serial": project.serial})
    if query.task_type_serial is not None:
        _add(conditions, TaskType, {"serial": access.get(TaskType, query.task_type_serial).serial})
        _add(conditions, Task, {"task_type_serial": query.task_type_serial})
    if query.dependency_package_serial is not None:
        package = access.get(DependencyPackage, query.dependency_package_serial)
        _add(conditions, DependencyPackage, {"serial": package.serial})
    return conditions


def _add(conditions: _Conditions, kind: type[Record], condition: dict[str, Any]) -> None:
    before = conditions.get(kind, {})
    # Two serials for one field can both hold only where they are the same.
    clash = any(name in before and before[name] != value for name, value in condition.items())
    conditions[kind] = {"serial": ()} if clash else {**before, **condition}
