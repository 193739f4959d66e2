"""Checks JSON values against the part of JSON Schema (draft-07) that this project's own schemas use."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_LIMIT = 200

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (Mapping,),
    "array": (list, tuple),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "number": (int, float),
    "integer": (int,),
}


def schema_violations(value: Any, schema: Any, path: str = "") -> Iterator[str]:
    """
    Give what is wrong with a value, each error starting with the path to it (``inputs[0].key: ...``).

    Args:
        value: The value.
        schema: A schema of the keywords that are handled here: ``type``, ``enum``, ``const``, ``properties``,
            ``required``, ``additionalProperties``, ``items``, ``minItems``, ``uniqueItems``, ``minLength``,
            ``maxLength``, ``pattern``, ``minimum``, ``maximum`` and ``exclusiveMinimum``; or ``True``, which allows
            everything.
        path: What the value is called; nothing for the whole document.
    """
    if schema is True:
        return
    types = schema.get("type")
    names = [types] if isinstance(types, str) else types
    if names is not None and not any(_is_a(value, name) for name in names):
        yield _error(path, f"{value!r} is not of type {', '.join(map(repr, names))}")
        return
    if "enum" in schema and not _among(value, schema["enum"]):
        yield _error(path, f"{value!r} is not one of {schema['enum']!r}")
    if "const" in schema and not _among(value, [schema["const"]]):
        yield _error(path, f"{schema['const']!r} was expected")
    if isinstance(value, str):
        yield from _string(value, schema, path)
    elif isinstance(value, Mapping):
        yield from _object(value, schema, path)
    elif isinstance(value, list | tuple):
        yield from _array(value, schema, path)
    elif _is_a(value, "number"):
        yield from _number(value, schema, path)


def _object(value: Mapping[Any, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield _error(path, f"{name!r} is a required property")
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name, item in value.items():
        allowed = properties.get(name, others)
        if allowed is False:
            yield _error(path, f"Additional properties are not allowed ({name!r} is none of {', '.join(properties)})")
        else:
            yield from schema_violations(item, allowed, f"{path}.{name}" if path else str(name))


def _array(value: list[Any] | tuple[Any, ...], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if len(value) < schema.get("minItems", 0):
        yield _error(path, f"{list(value)!r} has too few items")
    if schema.get("uniqueItems") and any(_among(item, list(value[:index])) for index, item in enumerate(value)):
        yield _error(path, f"{list(value)!r} has the same item twice")
    for index, item in enumerate(value):
        yield from schema_violations(item, schema.get("items", True), f"{path}[{index}]")


def _number(value: float, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if "minimum" in schema and value < schema["minimum"]:
        yield _error(path, f"{value!r} is less than the minimum of {schema['minimum']!r}")
    if "maximum" in schema and value > schema["maximum"]:
        yield _error(path, f"{value!r} is more than the maximum of {schema['maximum']!r}")
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield _error(path, f"{value!r} is not above {schema['exclusiveMinimum']!r}")


def _string(value: str, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if len(value) < schema.get("minLength", 0):
        yield _error(path, f"{value!r} is too short")
    if len(value) > schema.get("maxLength", len(value)):
        yield _error(path, f"has more than {schema['maxLength']} characters")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield _error(path, f"{value!r:.60} does not match {schema['pattern']}")


def _is_a(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _among(value: Any, choices: list[Any]) -> bool:
    # Python's == takes 1 and True for equal; as JSON they differ.
    return any(isinstance(value, bool) is isinstance(choice, bool) and value == choice for choice in choices)


def _error(path: str, message: str) -> str:
    text = message if len(message) <= _LIMIT else f"{message[: _LIMIT - 3]}..."
    return f"{path}: {text}" if path else text
