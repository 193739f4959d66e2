"""Whether a job's values fit what its task type's interface declares (``interface.json``)."""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from xfworker.domain.package_schemas import INTERFACE_FIELD, INTERFACE_OF_RECORD
from xfworker.domain.parameter_shapes import formatted, is_int, is_number, shape_violations
from xfworker.domain.schema_violations import schema_violations

PRIMITIVE_TYPES = ("Int", "Float", "String", "Bool")
"""The types whose values are JSON numbers, strings and bools."""

_EXPECTED = {"Int": "an integer", "Float": "a finite number", "String": "a string", "Bool": "true or false"}
_ROUNDING = 1e-9
_PRECISION = 1e-15
"""A quotient of floats is as close to the real one; with more, every large value would be a multiple."""
_KEYS_OF_TYPES = {
    "default": PRIMITIVE_TYPES,
    "minimum": ("Int", "Float"),
    "maximum": ("Int", "Float"),
    "multipleOf": ("Float",),
    "enum": ("String",),
    "format": ("String",),
}


def interface_violations(interface: Mapping[str, Any]) -> list[str]:
    """
    List everything that is wrong with an interface, each error starting with its path (``inputs[0].key: ...``).

    The ``inputs`` and ``outputs`` of a record may be left out; an interface that comes with a package has both.
    """
    return [*schema_violations(interface, INTERFACE_OF_RECORD), *declaration_violations(interface)]


def declaration_violations(interface: Mapping[str, Any]) -> Iterator[str]:
    """Give what no schema says: keys given twice, keys for other types, limits the wrong way round, unfit defaults."""
    for part in ("inputs", "outputs"):
        listed = interface.get(part)
        seen: set[str] = set()
        for index, field in enumerate(listed if isinstance(listed, list) else ()):
            if not isinstance(field, Mapping) or not isinstance(field.get("key"), str):
                continue
            path = f"{part}[{index}]"
            if field["key"] in seen:
                yield f"{path}.key: {field['key']!r} is declared twice"
            seen.add(field["key"])
            yield from _field_violations(field, path)


def _field_violations(field: Mapping[str, Any], path: str) -> Iterator[str]:
    type_name = field.get("type")
    for name, types in _KEYS_OF_TYPES.items():
        if field.get(name) is not None and type_name not in types:
            yield f"{path}.{name}: is for {' and '.join(types)}, not for {type_name}"
    minimum, maximum = field.get("minimum"), field.get("maximum")
    if is_number(minimum) and is_number(maximum) and minimum > maximum:  # type: ignore[operator]  # is_number narrowed
        yield f"{path}.minimum: {minimum} is more than the maximum {maximum}"
    if field.get("default") is not None and type_name in PRIMITIVE_TYPES:
        yield from value_violations(field, field["default"], f"{path}.default")


def declared_fields(interface: Mapping[str, Any], part: str) -> dict[str, Mapping[str, Any]]:
    """
    Give the declared inputs or outputs by key, in their order.

    What no job could be made from is left out, so that one bad record in the store harms no others; what it is says
    :func:`unusable_fields`.
    """
    listed = interface.get(part)
    fields = listed if isinstance(listed, list | tuple) else ()
    return {field["key"]: field for field in fields if not any(schema_violations(field, INTERFACE_FIELD))}


def unusable_fields(interface: Mapping[str, Any]) -> list[str]:
    """List why some of what an interface declares cannot be used, each error starting with its path."""
    errors: list[str] = []
    for part in ("inputs", "outputs"):
        listed = interface.get(part)
        if listed is not None and not isinstance(listed, list | tuple):
            errors.append(f"interface.{part}: {formatted(listed)} is not of type 'array'")
            continue
        for index, field in enumerate(listed or ()):
            errors += schema_violations(field, INTERFACE_FIELD, f"interface.{part}[{index}]")
    return errors


def output_violations(interface: Mapping[str, Any], outputs: Mapping[str, Any]) -> list[str]:
    """
    List what is wrong with outputs, each violation starting with its path (``outputs.volume: ...``).

    Every declared output must be there; ``None`` says that there is no value. An interface without ``outputs`` declares
    nothing and forbids nothing.
    """
    return list(_violations(interface, outputs, "outputs", complete=True))


def input_violations(interface: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
    """List what is wrong with inputs; ``None`` and a missing key say that an input is not set."""
    return list(_violations(interface, inputs, "inputs", complete=False))


def _violations(interface: Mapping[str, Any], values: Mapping[str, Any], what: str, *, complete: bool) -> Iterator[str]:
    if not isinstance(interface.get(what), list):
        return
    fields = declared_fields(interface, what)
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
    return math.isfinite(count) and math.isclose(count, round(count), rel_tol=_PRECISION, abs_tol=_ROUNDING)


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
