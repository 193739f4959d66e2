"""Whether a job's values fit what its task type's interface declares (``interface.json``)."""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.parameter_shapes import formatted, is_int, is_number, shape_violations

PRIMITIVE_TYPES = ("Int", "Float", "String", "Bool")
"""The types whose values are JSON numbers, strings and bools."""

_EXPECTED = {"Int": "an integer", "Float": "a finite number", "String": "a string", "Bool": "true or false"}
_ROUNDING = 1e-9


def check_outputs(interface: Mapping[str, Any], outputs: Mapping[str, Any], *, what: str = "the outputs") -> None:
    """
    Refuse outputs that do not fit the interface.

    Raises:
        InvalidParameter: One error with all violations: missing and unknown outputs, wrong types, values out of range.
    """
    violations = output_violations(interface, outputs)
    if violations:
        raise InvalidParameter(f"{what} do not fit the task type's interface: {'; '.join(violations)}", violations)


def output_violations(interface: Mapping[str, Any], outputs: Mapping[str, Any]) -> list[str]:
    """
    List what is wrong with outputs, each violation starting with its path (``outputs.volume: ...``).

    Every declared output must be there; ``None`` says that there is no value. An interface without ``outputs`` declares
    nothing and forbids nothing.
    """
    declared = interface.get("outputs")
    return [] if not isinstance(declared, list) else list(_violations(declared, outputs, "outputs", complete=True))


def input_violations(interface: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
    """List what is wrong with inputs; ``None`` and a missing key say that an input is not set."""
    declared = interface.get("inputs")
    return [] if not isinstance(declared, list) else list(_violations(declared, inputs, "inputs", complete=False))


def _violations(declared: list[Any], values: Mapping[str, Any], what: str, *, complete: bool) -> Iterator[str]:
    fields = {field["key"]: field for field in declared if isinstance(field, Mapping) and "key" in field}
    for key, field in fields.items():
        if key not in values:
            if complete:
                yield f"{what}.{key}: is missing (give None where there is no value)"
        elif values[key] is not None:
            yield from value_violations(field, values[key], f"{what}.{key}")
    known = ", ".join(map(str, fields)) or "none"
    for key in values:
        if key not in fields:
            yield f"{what}.{key}: is not declared in the interface (declared: {known})"


def value_violations(field: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    """
    Give the violations of one value, which is not ``None``.

    Args:
        field: What the interface declares: ``{key, type, minimum, maximum, multipleOf, enum, format, ...}``.
        value: The value.
        path: What it is called.
    """
    type_name = field.get("type")
    if type_name not in PRIMITIVE_TYPES:
        yield from shape_violations(value, path, type_name=type_name if isinstance(type_name, str) else None)
        return
    if not _has_type(value, type_name):
        yield f"{path}: expected {_EXPECTED[type_name]} ({type_name}), got {formatted(value)}"
        return
    if type_name in {"Int", "Float"}:
        yield from _range_violations(field, value, path)
    if type_name == "String":
        yield from _string_violations(field, value, path)


def _has_type(value: Any, type_name: str) -> bool:
    match type_name:
        case "Int":
            return is_int(value)
        case "Float":
            return is_number(value)
        case "Bool":
            return isinstance(value, bool)
        case _:
            return isinstance(value, str)


def _range_violations(field: Mapping[str, Any], value: float, path: str) -> Iterator[str]:
    minimum, maximum, step = (field.get(key) for key in ("minimum", "maximum", "multipleOf"))
    if is_number(minimum) and value < minimum:  # type: ignore[operator]  # is_number narrowed it
        yield f"{path}: {value} is below the minimum {minimum}"
    if is_number(maximum) and value > maximum:  # type: ignore[operator]  # is_number narrowed it
        yield f"{path}: {value} is above the maximum {maximum}"
    if is_number(step) and step > 0 and not _is_multiple(value, step):  # type: ignore[operator, arg-type]  # is_number narrowed it
        yield f"{path}: {value} is not a multiple of {step}"


def _is_multiple(value: float, step: float) -> bool:
    # 0.3 is a multiple of 0.1 to people, though not to binary floats.
    count = value / step
    return math.isclose(count, round(count), rel_tol=_ROUNDING, abs_tol=_ROUNDING) if math.isfinite(count) else False


def _string_violations(field: Mapping[str, Any], value: str, path: str) -> Iterator[str]:
    allowed = field.get("enum")
    if isinstance(allowed, list) and value not in allowed:
        yield f"{path}: {formatted(value)} is none of {', '.join(map(repr, allowed))}"
    if field.get("format") == "date-time" and not _is_time(value):
        yield f"{path}: {formatted(value)} is not a time such as 2024-05-01T12:00:00Z"


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return "T" in text.upper() or " " in text
