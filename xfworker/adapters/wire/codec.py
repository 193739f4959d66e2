"""
Messages between attrs classes and JSON, by the records' converter.

A message is a frozen attrs class: one of this folder, or one of the domain or the ports that has the wire's shape
already. :mod:`xfworker.adapters.wire.schema` describes the same classes to the OpenAPI document.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, get_args, get_origin

import attrs

from xfworker.adapters.wire.field_types import LARGEST, PrintableText
from xfworker.domain.conversion import converter, expected, from_own_json, structured, to_json
from xfworker.domain.errors import InvalidRecord, ProtocolViolation, XFWorkerError
from xfworker.domain.record import Record

if TYPE_CHECKING:
    from cattrs import Converter

MessageT = TypeVar("MessageT")

_ARRAYS: frozenset[Any] = frozenset({list, tuple})


class Message:
    """
    What the messages of this folder have in common.

    Attributes:
        closed: Whether keys that are not known are refused; else they are passed over.
        sparse: Whether what is ``None`` is left out, and ``null`` is as good as absent.
    """

    __slots__ = ()
    closed: ClassVar[bool] = False
    sparse: ClassVar[bool] = False

    @classmethod
    def of(cls, source: Any, **more: Any) -> Self:
        """Give the message with what ``source`` has under the names of its fields, or ``more``."""
        names = {field.name for field in attrs.fields(cls)} - set(more)  # type: ignore[arg-type]  # every message is one
        return cls(**{name: getattr(source, name) for name in names}, **more)


def read(kind: type[MessageT], value: Any, name: str) -> MessageT:
    """
    Read a message from a JSON value that nobody else holds.

    Raises:
        InvalidRecord: With every violation and its path, after ``name``.
    """
    if issubclass(get_origin(kind) or kind, Record):
        return from_own_json(kind, value)  # type: ignore[type-var]  # a record, as was just seen
    try:
        return _converter(detailed=False).structure(value, kind)
    except Exception:  # noqa: BLE001  whatever it is, the slower way says what is wrong, and where
        return structured(_converter(), kind, value, name)


def read_answer(kind: type[MessageT], value: Any, doing: str) -> MessageT:
    """
    Read what a server answered.

    Raises:
        ProtocolViolation: It is not as documented; names what was being done.
    """
    try:
        return read(kind, value, "answer")
    except InvalidRecord as error:
        raise unexpected_answer(doing, error) from None


def unexpected_answer(doing: str, error: XFWorkerError | str) -> ProtocolViolation:
    """Give the error of an answer that is not as documented."""
    return ProtocolViolation(
        f"could not {doing}: the server's answer is not as documented ({error}); is this the address of such a server?"
    )


def write(message: Any) -> Any:
    """Give a message as JSON value."""
    return _converter().unstructure(message)


@cache
def _converter(*, detailed: bool = True) -> "Converter":
    from cattrs.gen import make_dict_unstructure_fn

    made = converter().copy(detailed_validation=detailed)
    made.register_structure_hook(int, _integer)
    made.register_structure_hook_func(lambda kind: kind is PrintableText, _printable)
    made.register_structure_hook_func(lambda kind: kind == dict[str, str], _strings)
    made.register_structure_hook_factory(_is_array, lambda kind: _array_reader(made, kind))
    made.register_structure_hook_factory(_is_bounded, lambda kind: _bounded_reader(made, kind))
    made.register_unstructure_hook_func(_is_tuple, list)
    made.register_structure_hook_factory(attrs.has, lambda kind: _reader(made, kind))
    made.register_unstructure_hook_factory(
        attrs.has,
        lambda kind: make_dict_unstructure_fn(kind, made, _cattrs_omit_if_default=getattr(kind, "sparse", False)),
    )
    made.register_structure_hook_func(_is_record, lambda value, kind: from_own_json(kind, value))
    made.register_unstructure_hook_func(_is_record, to_json)
    return made


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Record)


def _reader(by: "Converter", kind: Any) -> Callable[[Any, Any], Any]:
    from cattrs.gen import make_dict_structure_fn

    structure = make_dict_structure_fn(kind, by, _cattrs_forbid_extra_keys=getattr(kind, "closed", False))
    sparse = getattr(kind, "sparse", False)

    def read_object(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(expected("object", value))
        return structure({key: item for key, item in value.items() if item is not None} if sparse else value, kind)

    return read_object


def _is_tuple(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is tuple


def _is_array(kind: Any) -> bool:
    # Arrays of plain objects are the records' business, which the copied converter knows.
    return get_origin(kind) in _ARRAYS and kind != list[dict[str, Any]]


def _array_reader(by: "Converter", kind: Any) -> Callable[[Any, Any], Any]:
    from cattrs.cols import list_structure_factory

    items = get_args(kind)
    size = len(items) if get_origin(kind) is tuple else None
    # The tuples of the wire hold values of one JSON type each.
    inner = list_structure_factory(kind if size is None else list[items[0]], by)  # type: ignore[valid-type]  # known at run time only

    def read_array(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple) or size not in {None, len(value)}:
            raise TypeError(expected("array" if size is None else f"array of {size}", value))
        items_read = inner(value, kind)
        return items_read if size is None else tuple(items_read)

    return read_array


def _is_bounded(kind: Any) -> bool:
    return get_origin(kind) is Annotated and "maxItems" in get_args(kind)[1].keywords


def _bounded_reader(by: "Converter", kind: Any) -> Callable[[Any, Any], Any]:
    array, bounds = get_args(kind)
    inner, most = by.get_structure_hook(array), bounds.keywords["maxItems"]

    def read_few(value: Any, _: Any) -> Any:
        # Before any item is read: that takes seconds of a request which is refused anyway.
        if isinstance(value, list) and len(value) > most:
            raise ValueError(f"has {len(value)} items, and at most {most} are taken")
        return inner(value, array)

    return read_few


def _integer(value: Any, _: Any) -> int:
    if type(value) is not int or abs(value) > LARGEST:
        raise TypeError(expected("int", value))
    return value


def _printable(value: Any, _: Any) -> str:
    if type(value) is not str or "\x00" in value:
        raise TypeError(expected("string", value))
    return value


def _strings(value: Any, _: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
        raise TypeError(expected("object of strings", value))
    return dict(value)
