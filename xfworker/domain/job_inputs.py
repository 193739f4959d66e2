"""A new job's inputs: read as people write them, completed and checked by what the task type's interface declares."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.interface import PRIMITIVE_TYPES, declared_fields, input_violations
from xfworker.domain.parameter_shapes import formatted

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,18})", re.ASCII)
_DIGITS = re.compile(r"-?\d+", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_EXPECTED = {"Int": "an integer", "Float": "a finite number", "String": "a string", "Bool": "true or false"}


def is_required(field: Mapping[str, Any]) -> bool:
    """
    Return whether a job cannot run without a value for an input.

    It can where the interface gives a default, or lists ``none`` among the modes that it supports.
    """
    return field.get("default") is None and "none" not in (field.get("supported_modes") or ())


def is_primitive(field: Mapping[str, Any]) -> bool:
    """Return whether an input takes a plain number, string or bool."""
    return field.get("type") in PRIMITIVE_TYPES


def complete_inputs(interface: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Give every declared input in the order of the interface: as given, else its default, else ``None``."""
    declared = {key: field.get("default") for key, field in declared_fields(interface, "inputs").items()}
    return {**declared, **values}


def new_job_violations(interface: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """
    Say what keeps a job from being started with these inputs: unknown keys, misfits and missing required inputs.

    Args:
        interface: The content of ``interface.json``.
        values: The inputs that are given, before :func:`complete_inputs`.

    Returns:
        One sentence per violation, each starting with the path to the wrong value (``inputs.image: ...``).
    """
    missing = [
        f"inputs.{key}: is required and was not given ({field.get('type')})"
        for key, field in declared_fields(interface, "inputs").items()
        if is_required(field) and values.get(key) is None
    ]
    return [*input_violations(interface, values), *missing]


def read_string(field: Mapping[str, Any], text: str) -> Any:
    """
    Read a value of a declared primitive type as people write it.

    Raises:
        InvalidParameter: The string is not such a value, or the type has no values that can be written as one string.
    """
    type_name = str(field.get("type"))
    reader = _READERS.get(type_name)
    if reader is None:
        raise InvalidParameter(f"an input of type {type_name} is not a plain value; name a file (@) or give JSON (:=)")
    try:
        return reader(text)
    except ValueError:
        raise InvalidParameter(f"expected {_EXPECTED[type_name]} ({type_name}), got {formatted(text)}") from None


def read_untyped(text: str) -> int | float | bool | str:
    """
    Read a value that no interface types: ``true`` and ``false``, else an integer, else a number, else a string.

    What only nearly looks like a number stays a string: ``007``, ``1_000``, ``nan``, and digits that are too many for a
    number that every reader takes, such as those of a long identifier.
    """
    if text in {"true", "false"}:
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DIGITS.fullmatch(text):
        return text
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _read_int(text: str) -> int:
    if not re.fullmatch(r"[-+]?\d{1,19}", text.strip(), re.ASCII):
        raise ValueError(text)
    return int(text)


def _read_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _read_bool(text: str) -> bool:
    if text.strip().lower() not in _BOOLS:
        raise ValueError(text)
    return _BOOLS[text.strip().lower()]


_READERS: dict[str, Callable[[str], Any]] = {
    "Int": _read_int,
    "Float": _read_number,
    "String": str,
    "Bool": _read_bool,
}
