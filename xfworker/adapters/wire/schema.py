"""JSON schemas of messages and records, derived from their classes."""

from datetime import datetime
from enum import Enum
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import attrs

from xfworker.domain.job_outcome import Outcome
from xfworker.domain.record import Record
from xfworker.ports.job_queue import Lease

Schema = dict[str, Any]

COMPONENTS = (Lease, Outcome)
"""Messages that the document names, besides the records; others stand where they are used."""

SERVER_SET = ("serial", "occ_lock_version", "created_at", "modified_at")
"""Fields of a record that only the server sets."""

_PLAIN: dict[Any, Schema] = {
    Any: {},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    datetime: {"type": "string", "format": "date-time"},
    dict: {"type": "object"},
}


def reference(name: str) -> Schema:
    """Give the reference to a schema that the document names."""
    return {"$ref": f"#/components/schemas/{name}"}


def schema(kind: Any, *, answered: bool = False) -> Schema:
    """
    Give the schema of a field's type, or of a message.

    Args:
        kind: The type; ``Annotated`` with :class:`Keywords` adds those.
        answered: Whether it is a server's answer, in which every field is present, rather than a request.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        inner, bounds = arguments
        return {**schema(inner, answered=answered), **bounds.keywords}
    if NoneType in arguments:
        inner = next(choice for choice in arguments if choice is not NoneType)
        return {"anyOf": [schema(inner, answered=answered), {"type": "null"}]}
    if origin in {list, tuple}:
        return _array_schema(kind, [schema(item, answered=answered) for item in arguments])
    if attrs.has(kind):
        named = kind in COMPONENTS or (origin is None and issubclass(kind, Record))
        return reference(kind.__name__) if named else message_schema(kind, answered=answered)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"type": "string", "enum": [choice.value for choice in kind]}
    return dict(_PLAIN[origin or getattr(kind, "__supertype__", kind)])


def _array_schema(kind: Any, items: list[Schema]) -> Schema:
    same = {"items": items[0]} if all(item == items[0] for item in items) else {"prefixItems": items}
    sizes = {"minItems": len(items), "maxItems": len(items)} if get_origin(kind) is tuple else {}
    return {"type": "array", **same, **sizes}


def message_schema(kind: Any, *, answered: bool = False, description: str = "") -> Schema:
    """Give the schema of a message's class; ``answered`` as for :func:`schema`."""
    sparse = getattr(kind, "sparse", False)
    parameters = dict(zip(getattr(get_origin(kind), "__parameters__", ()), get_args(kind), strict=True))
    fields = attrs.fields(attrs.resolve_types(get_origin(kind) or kind))
    properties = {
        field.name: schema(_without_null(field.type) if sparse else _filled(field.type, parameters), answered=answered)
        for field in fields
    }
    complete = answered and not sparse
    required = sorted(field.name for field in fields if complete or field.default is attrs.NOTHING)
    return {
        "type": "object",
        **({"description": description} if description else {}),
        "properties": properties,
        **({"required": required} if required else {}),
        **({"additionalProperties": False} if getattr(kind, "closed", False) else {}),
    }


def record_schema(kind: type[Record]) -> Schema:
    """Give the schema of a record as the server answers it."""
    fields = _record_fields(kind)
    for name in SERVER_SET:
        fields[name] = {**fields[name], "readOnly": True}
    return {
        "type": "object",
        "description": first_line(kind),
        "properties": fields,
        "required": sorted(fields),
    }


def new_record_schema(kind: type[Record]) -> Schema:
    """Give the schema of a record that is to be made."""
    required = {field.name for field in attrs.fields(kind) if field.default is attrs.NOTHING}
    own = {name: field_schema for name, field_schema in _record_fields(kind).items() if name not in SERVER_SET}
    return {"type": "object", "properties": own, "required": sorted(required & set(own))}


def first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().split("\n")[0]


def _record_fields(kind: type[Record]) -> dict[str, Schema]:
    fields = attrs.fields(attrs.resolve_types(kind))
    return {field.name: schema(field.type) for field in fields if field.name != "extra"}


def _without_null(kind: Any) -> Any:
    choices = [choice for choice in get_args(kind) if choice is not NoneType]
    return choices[0] if NoneType in get_args(kind) else kind


def _filled(kind: Any, parameters: dict[Any, Any]) -> Any:
    """Put a generic message's arguments where its fields have its parameters."""
    open_parameters = getattr(kind, "__parameters__", ())
    return kind[tuple(parameters[name] for name in open_parameters)] if open_parameters else kind
