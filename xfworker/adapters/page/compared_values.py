"""Two jobs' outputs side by side: each pair as the page shows both, and in what they differ."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define

from xfworker.adapters.page.values import ShownValue, formatted_number
from xfworker.services.comparison.difference import Tolerance
from xfworker.services.comparison.files import compare_tables
from xfworker.services.comparison.values import compare_values

_TOLERANCE = Tolerance()


@define(frozen=True, kw_only=True)
class ComparedValue:
    """
    One output of two jobs.

    Attributes:
        left: What the first job gave.
        right: What the second job gave.
        is_same: Whether both are the same as far as their JSON says; files are compared apart.
        difference: The second number minus the first, or an empty string.
        ratio: The second number through the first, or an empty string.
        has_other_units: Whether the numbers are of two units, so that neither can be said.
    """

    left: ShownValue
    right: ShownValue
    is_same: bool
    difference: str = ""
    ratio: str = ""
    has_other_units: bool = False

    @property
    def is_number(self) -> bool:
        """Whether both are numbers."""
        return self.left.kind == self.right.kind == "number"


@define(frozen=True, kw_only=True)
class ComparedFiles:
    """
    What is said of the main files of one output of two jobs; nothing of what neither is read for.

    Attributes:
        places: In how many cells or lines two tables differ; ``None`` of what is not a table.
        first: The first of these, each as place and both values.
        is_same: Whether other files hold the same; ``None`` where that is not known without reading them.
        problem: Why they could not be looked at, or an empty string.
    """

    places: int | None = None
    first: tuple[tuple[str, Any, Any], ...] = ()
    is_same: bool | None = None
    problem: str = ""


def compared_values(
    shown: tuple[Sequence[ShownValue], Sequence[ShownValue]], neutral: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> list[ComparedValue]:
    """
    Give the outputs that two jobs both have, in the first one's order.

    Args:
        shown: The outputs of each job as the page shows them.
        neutral: Their JSON without the serials of files, by which two runs of one job differ anyway.
    """
    others = {value.label: value for value in shown[1]}
    return [
        _compared(value, others[value.label], *(values.get(value.label) for values in neutral))
        for value in shown[0]
        if value.label in others
    ]


def compared_tables(left: str, right: str, *, most: int) -> ComparedFiles:
    """Compare two tables (CSV), and give the first so many places where they differ."""
    differences = compare_tables(left, right, _TOLERANCE, "")
    first = [
        (item.path.strip(" ,"), item.figures.get("expected", ""), item.figures.get("actual", ""))
        for item in differences[:most]
    ]
    return ComparedFiles(places=len(differences), first=tuple(first))


def _compared(left: ShownValue, right: ShownValue, one: Any, other: Any) -> ComparedValue:
    is_same = not compare_values(one, other, _TOLERANCE) and left.unit == right.unit
    if left.kind != "number" or right.kind != "number":
        return ComparedValue(left=left, right=right, is_same=is_same)
    if left.unit != right.unit:
        return ComparedValue(left=left, right=right, is_same=False, has_other_units=True)
    return ComparedValue(
        left=left, right=right, is_same=is_same, difference=_difference(one, other), ratio=_ratio(one, other)
    )


def _difference(one: float, other: float) -> str:
    try:
        by = other - one
    except OverflowError:  # an integer beyond what a float holds
        return ""
    return ("+" if by > 0 else "") + formatted_number(by) if math.isfinite(by) else ""


def _ratio(one: float, other: float) -> str:
    try:
        through = other / one
    except (ZeroDivisionError, OverflowError):
        return ""
    return f"{through:.6g}" if math.isfinite(through) else ""
