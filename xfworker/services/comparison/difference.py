"""How close is close enough, and what is said where two things are not."""

import math
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from xfworker.domain.errors import UsageError


@define(frozen=True, kw_only=True)
class Tolerance:
    """
    By how much numbers may differ and still count as the same: ``absolute + relative * |expected|``.

    A missing number (NaN) is the same as another, infinities only as themselves.

    Attributes:
        absolute: In the unit of the numbers, at least 0.
        relative: As a part of the expected number, at least 0.
    """

    absolute: float = field(default=0.0, converter=float)
    relative: float = field(default=1e-9, converter=float)

    def __attrs_post_init__(self) -> None:
        for name, value in (("absolute", self.absolute), ("relative", self.relative)):
            if not math.isfinite(value) or value < 0:
                raise UsageError(f"the {name} tolerance must be a finite number of at least 0, not {value!r}")

    def allows(self, expected: float, actual: float) -> bool:
        """Return whether two numbers are close enough."""
        # Only NaN differs from itself; math.isnan takes no int that is too large for a float.
        if expected == actual or (expected != expected and actual != actual):  # noqa: PLR0124
            return True
        if math.inf in (abs(expected), abs(actual)):
            return False
        try:
            # Integers are subtracted as such: beyond 2**53 floats would take two different ones for the same.
            return abs(actual - expected) <= self.absolute + self.relative * abs(expected)
        except OverflowError:
            return False

    def __str__(self) -> str:
        parts = [f"{self.absolute:g}"] if self.absolute else []
        parts += [f"{self.relative:g} of the expected value"] if self.relative else []
        return " + ".join(parts) or "none"


@define(frozen=True, kw_only=True)
class Difference:
    """
    One thing that is not as expected.

    Attributes:
        path: Where, such as ``outputs.segments.size[2]``.
        message: What is different, as half a sentence.
        figures: Numbers that belong to it, such as how many voxels differ, as JSON values.
    """

    path: str
    message: str
    figures: Mapping[str, Any] = field(factory=dict)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """Give the difference as a JSON object."""
        return {"path": self.path, "message": self.message, **self.figures}
