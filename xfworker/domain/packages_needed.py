"""Which dependency packages a task type needs and a worker lacks."""

from collections.abc import Iterable, Mapping
from typing import Any

from xfworker.domain.records import TaskType, Worker


def needed_packages(task_type: TaskType) -> list[tuple[str, str | None]]:
    """
    List the dependency packages that a task type needs, as (name, version or ``None`` for any).

    They are what the package's ``metadata.json`` lists under ``dependencies``, which check-in keeps in the task type's
    metadata.
    """
    return packages_listed(task_type.metadata)


def packages_listed(metadata: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """List the dependency packages that a task type with such metadata needs."""
    return _packages(metadata.get("dependencies"))


def missing_packages(task_type: TaskType, worker: Worker) -> list[str]:
    """List what the worker lacks, as ``name version``."""
    return missing_of(needed_packages(task_type), worker)


def missing_of(needed: Iterable[tuple[str, str | None]], worker: Worker) -> list[str]:
    """List what the worker lacks of some packages, as ``name version``."""
    installed = _packages(worker.dependency_packages)
    names = {name for name, _ in installed}
    return [
        f"{name} {version}" if version else name
        for name, version in needed
        if not ((name, version) in installed or (version is None and name in names))
    ]


def _packages(listed: Any) -> list[tuple[str, str | None]]:
    if not isinstance(listed, list):
        return []
    return [
        (str(item["name"]), None if item.get("version") is None else str(item["version"]))
        for item in listed
        if isinstance(item, Mapping) and "name" in item
    ]
