"""
The one converter between records and JSON objects, used by every adapter and by the facade.

Primitive values are checked, never coerced: ``'5'`` is not an int. Times are RFC 3339 in UTC. Errors name their path:
``job 17: inputs.image: expected object, got 3``.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import attrs

from xfworker.domain.errors import InvalidRecord
from xfworker.domain.record import Record

if TYPE_CHECKING:
    # Scripts read and write records before anything else, and begin without waiting for its import.
    from cattrs import Converter

RecordT = TypeVar("RecordT", bound=Record)
ValueT = TypeVar("ValueT")

_UNSHARED = frozenset({str, int, float, bool, type(None)})
_JSON_NAMES = {str: "string", bool: "bool", int: "int"}


def format_time(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC with microseconds, so that strings sort as the times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """
    Read an RFC 3339 time; one without an offset is taken as UTC.

    Raises:
        ValueError: The string is not a time.
    """
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # in UTC it is before the year 1, or after the year 9999
        raise ValueError(f"{text!r} is not a time in UTC") from None


def to_json(record: Record) -> dict[str, Any]:
    """Give the record as a JSON object that shares nothing mutable with it."""
    kind: Any = type(record)
    written = {name: _written(getattr(record, name)) for name in _field_readers(kind)}
    extra = written.pop("extra")
    return {**extra, **written}


def from_json(kind: type[RecordT], value: Any) -> RecordT:
    """
    Read a JSON object as a record; unknown keys are kept in ``extra``.

    Raises:
        InvalidRecord: With every violation and its path.
    """
    if not isinstance(value, Mapping):
        raise InvalidRecord(
            f"{kind.noun}: expected object, got {_formatted(value)}", (f"$: {expected('object', value)}",)
        )
    known = field_names(kind)
    fields = {key: value[key] for key in known if key in value}
    fields["extra"] = {key: item for key, item in value.items() if key not in known}
    name = f"{kind.noun} {value['serial']}" if "serial" in value else kind.noun
    return structured(converter(), kind, fields, name)


def from_own_json(kind: type[RecordT], value: Any) -> RecordT:
    """
    Do what :func:`from_json` does with a value that was read from JSON and that nobody else holds: nothing is copied.

    Raises:
        InvalidRecord: As there.
    """
    if type(value) is not dict:
        return from_json(kind, value)
    made: Any = kind
    readers = _field_readers(made)
    try:
        if readers.keys() >= value.keys() and "extra" not in value:
            return kind(**{key: readers[key](item) for key, item in value.items()})
        known = field_names(kind)
        fields = {key: readers[key](item) for key, item in value.items() if key in known}
        return kind(**fields, extra={key: item for key, item in value.items() if key not in known})
    except (TypeError, ValueError):
        return from_json(kind, value)  # which says what is wrong, and where


def read_fields(kind: type[Record], fields: Mapping[str, Any]) -> dict[str, Any]:
    """
    Read some fields of a record from JSON values that nobody else holds: nothing is copied.

    Raises:
        TypeError: A value is wrong; :func:`from_json` says which.
        ValueError: Likewise.
    """
    made: Any = kind
    readers = _field_readers(made)
    return {name: readers[name](value) for name, value in fields.items()}


def structured(by: "Converter", kind: type[ValueT], value: Any, name: str) -> ValueT:
    """
    Read a JSON value by a converter.

    Args:
        by: :func:`converter`, or one made from it.
        kind: What to read it as.
        value: The JSON value.
        name: What to call it in messages: ``job 17``.

    Raises:
        InvalidRecord: With every violation and its path.
    """
    from cattrs import ClassValidationError, transform_error
    from cattrs.errors import IterableValidationError

    try:
        return by.structure(value, kind)
    except (ClassValidationError, IterableValidationError) as error:
        violations = tuple(_violation(line) for line in transform_error(error, path="", format_exception=_sentence))
    except TypeError as error:
        violations = (str(error),)
    raise InvalidRecord(f"{name}: " + "; ".join(violations), violations)


def field_names(kind: type[Record]) -> frozenset[str]:
    """Give the names of the record's own fields, without ``extra``."""
    made: Any = kind
    return _field_names(made)


@cache
def _field_names(kind: Any) -> frozenset[str]:
    return frozenset(field.name for field in attrs.fields(kind)) - {"extra"}


@cache
def converter() -> "Converter":
    """Give the converter of records; a copy of it may learn more."""
    from cattrs import Converter

    made = Converter(detailed_validation=True)
    for primitive in (str, bool, int):
        made.register_structure_hook(primitive, _strict(primitive))
    made.register_structure_hook(float, _strict_float)
    made.register_structure_hook_func(_is(dict[str, Any]), _object)
    made.register_structure_hook_func(_is(list[dict[str, Any]]), _objects)
    made.register_structure_hook(StrEnum, _choice)
    made.register_unstructure_hook(StrEnum, lambda value: value.value)
    made.register_structure_hook(datetime, _time)
    made.register_unstructure_hook(datetime, format_time)
    made.register_unstructure_hook_func(_is(dict[str, Any]), copied)
    made.register_unstructure_hook_func(_is(list[dict[str, Any]]), copied)
    return made


@cache
def _field_readers(kind: Any) -> dict[str, Callable[[Any], Any]]:
    """Give what reads each field as :func:`converter` does, without saying what is wrong, and copies nothing."""
    return {field.name: _own_reader(field.type) for field in attrs.fields(kind)}


def _own_reader(annotation: Any) -> Callable[[Any], Any]:
    if get_origin(annotation) is UnionType:
        [inner] = (_own_reader(part) for part in get_args(annotation) if part is not NoneType)
        return lambda value: None if value is None else inner(value)
    if annotation == dict[str, Any]:
        return _own_object
    if annotation == list[dict[str, Any]]:
        return _own_objects
    if annotation is datetime:
        return _own_time
    if issubclass(annotation, StrEnum):
        choice: type[StrEnum] = annotation
        return choice
    strict = _strict_float if annotation is float else _strict(annotation)
    return lambda value: strict(value, None)


def _own_object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise TypeError
    return value


def _own_objects(value: Any) -> list[dict[str, Any]]:
    if type(value) is not list or not all(type(item) is dict for item in value):
        raise TypeError
    return value


def _own_time(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo is UTC else parse_time(value)


def _is(expected_type: Any) -> Callable[[Any], bool]:
    return lambda annotation: bool(annotation == expected_type)


def _choice(value: Any, kind: Any) -> StrEnum:
    try:
        member: StrEnum = kind(value)
    except ValueError:
        raise TypeError(expected(f"one of {', '.join(kind)}", value)) from None
    return member


def _strict(kind: type) -> Any:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(expected(_JSON_NAMES[kind], value))
        return value

    return structure


def _strict_float(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(expected("number", value))
    return float(value)


def _object(value: Any, _: Any) -> dict[str, Any]:
    if type(value) is not dict and not isinstance(value, Mapping):
        raise TypeError(expected("object", value))
    return {str(key): item if type(item) in _UNSHARED else copied(item) for key, item in value.items()}


def _objects(value: Any, _: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list | tuple):
        raise TypeError(expected("array", value))
    for index, item in enumerate(value):
        if not isinstance(item, Mapping):
            raise TypeError(f"[{index}]: {expected('object', item)}")
    return [_object(item, None) for item in value]


def _time(value: Any, _: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise TypeError(expected("time", value))
    try:
        return parse_time(value)
    except ValueError:
        raise TypeError(expected("time (RFC 3339)", value)) from None


def _written(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    return format_time(value) if isinstance(value, datetime) else copied(value)


def copied(value: Any) -> Any:
    """Give a JSON value that shares no object and no array with this one."""
    # Nearly all values are of these very classes, and asking for that is ten times as quick as asking what they can do.
    kind = type(value)
    if kind in _UNSHARED:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {key: item if type(item) in _UNSHARED else copied(item) for key, item in value.items()}
    if kind is list or isinstance(value, list | tuple):
        return [item if type(item) in _UNSHARED else copied(item) for item in value]
    return value


def expected(what: str, value: Any) -> str:
    """Say that a JSON value is not what it must be."""
    return f"expected {what}, got {_formatted(value)}"


def _formatted(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _sentence(error: BaseException, _: type | None) -> str:
    from cattrs.errors import ForbiddenExtraKeysError

    if isinstance(error, KeyError):
        return "is missing"
    if isinstance(error, ForbiddenExtraKeysError):
        return f"has unknown keys: {', '.join(sorted(error.extra_fields))}"
    return str(error)


def _violation(line: str) -> str:
    # cattrs writes "message @ .path.to.field"; people read the path first.
    message, _, path = line.rpartition(" @ ")
    path = path.removeprefix(".")
    return f"{path}{message}" if message.startswith("[") else f"{path}: {message}" if path else message
