"""Which dependency packages a script needs, in the order in which they are installed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xfworker.domain.errors import JobError
from xfworker.domain.records import DependencyPackage

Find = Callable[[str, str], DependencyPackage | None]


def ordered_packages(needed: Sequence[Mapping[str, Any]], find: Find) -> list[DependencyPackage]:
    """
    Give the packages that are needed, each behind those that it needs itself.

    Args:
        needed: ``{name, version}`` of each.
        find: Gives the record of a name and version, or ``None``.

    Raises:
        JobError: One is not on the server, or they need each other in a circle.
    """
    ordered: dict[tuple[str, str], DependencyPackage] = {}
    _visit(needed, find, ordered, ())
    return list(ordered.values())


def _listed(needed: Any, above: tuple[tuple[str, str], ...]) -> Sequence[Mapping[str, Any]]:
    is_right = isinstance(needed, Sequence) and not isinstance(needed, str)
    if is_right and all(isinstance(item, Mapping) and {"name", "version"} <= set(item) for item in needed):
        return needed  # type: ignore[no-any-return]  # just looked at
    owner = f"the dependency package {' '.join(above[-1])}" if above else "the task type"
    raise JobError(
        f"the dependencies of {owner} are {needed!r:.200}, not a list of objects with name and version; "
        "check it in again"
    )


def _visit(
    needed: Sequence[Mapping[str, Any]],
    find: Find,
    ordered: dict[tuple[str, str], DependencyPackage],
    above: tuple[tuple[str, str], ...],
) -> None:
    for item in _listed(needed, above):
        requirement = str(item.get("name")), str(item.get("version"))
        if requirement in ordered:
            continue
        if requirement in above:
            circle = " -> ".join(name for name, _ in (*above[above.index(requirement) :], requirement))
            raise JobError(f"these dependency packages need each other in a circle: {circle}")
        package = find(*requirement)
        if package is None:
            raise JobError(
                f"the dependency package {requirement[0]} {requirement[1]} is not on the server; check it in"
            )
        _visit(package.dependencies, find, ordered, (*above, requirement))
        ordered[requirement] = package
