"""Comparing JSON values: numbers with a tolerance, everything else exactly."""

from collections.abc import Mapping, Sequence
from typing import Any

from xfworker.services.comparison.difference import Difference, Tolerance

_LONGEST_FORMATTED = 80


def compare_values(expected: Any, actual: Any, tolerance: Tolerance, path: str = "$") -> list[Difference]:
    """
    List where two JSON values differ.

    ``true`` is not a number; 1 and 1.0 are the same number. The order of an object's keys does not matter.

    Args:
        expected: What it should be.
        actual: What it is.
        tolerance: By how much numbers may differ.
        path: The name of the value, for the report.

    Returns:
        One difference per path, in the order of the expected value; empty where there is none.
    """
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return _objects(expected, actual, tolerance, path)
    if _is_array(expected) and _is_array(actual):
        return _arrays(expected, actual, tolerance, path)
    if _is_number(expected) and _is_number(actual):
        return [] if tolerance.allows(expected, actual) else [_numbers(expected, actual, tolerance, path)]
    if type(expected) is type(actual) and expected == actual:
        return []
    return [Difference(path=path, message=f"expected {formatted(expected)}, got {formatted(actual)}")]


def formatted(value: Any) -> str:
    """Write a value short enough for a report."""
    text = repr(value)
    return text if len(text) <= _LONGEST_FORMATTED else f"{text[: _LONGEST_FORMATTED - 3]}..."


def _objects(
    expected: Mapping[str, Any], actual: Mapping[str, Any], tolerance: Tolerance, path: str
) -> list[Difference]:
    differences: list[Difference] = []
    for key, value in expected.items():
        item_path = f"{path}.{key}"
        if key in actual:
            differences += compare_values(value, actual[key], tolerance, item_path)
        else:
            differences.append(Difference(path=item_path, message=f"is missing; expected {formatted(value)}"))
    differences += [
        Difference(path=f"{path}.{key}", message=f"was not expected; got {formatted(actual[key])}")
        for key in actual
        if key not in expected
    ]
    return differences


def _arrays(expected: Sequence[Any], actual: Sequence[Any], tolerance: Tolerance, path: str) -> list[Difference]:
    differences: list[Difference] = []
    if len(expected) != len(actual):
        differences.append(Difference(path=path, message=f"expected {len(expected)} items, got {len(actual)}"))
    for index, (left, right) in enumerate(zip(expected, actual, strict=False)):
        differences += compare_values(left, right, tolerance, f"{path}[{index}]")
    return differences


def _numbers(expected: float, actual: float, tolerance: Tolerance, path: str) -> Difference:
    try:
        off = f", off by {actual - expected:g}"
    except OverflowError:
        off = ""
    return Difference(
        path=path,
        message=f"expected {formatted(expected)}, got {formatted(actual)}{off} (tolerance: {tolerance})",
        figures={"expected": expected, "actual": actual},
    )


def _is_array(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
