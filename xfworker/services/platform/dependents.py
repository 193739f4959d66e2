"""Which task types need a dependency package, themselves or through other packages."""

from typing import Any

from xfworker.domain.records import DependencyPackage, TaskType
from xfworker.ports.record_store import RecordTransaction


def task_types_with(transaction: RecordTransaction, package: DependencyPackage) -> tuple[int, ...]:
    """Give the serials of the task types whose scripts run with a package."""
    needed = {(package.name, package.version)}
    others = transaction.find(DependencyPackage)
    while True:
        more = {(other.name, other.version) for other in others if _names(other.dependencies) & needed} - needed
        if not more:
            break
        needed |= more
    return tuple(
        task_type.serial
        for task_type in transaction.find(TaskType)
        if _names(task_type.metadata.get("dependencies")) & needed
    )


def _names(dependencies: Any) -> set[tuple[str, str]]:
    # What was kept before it was checked may have any shape.
    listed = dependencies if isinstance(dependencies, list) else []
    return {(str(item.get("name")), str(item.get("version"))) for item in listed if isinstance(item, dict)}
