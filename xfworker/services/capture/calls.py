"""One call as it was recorded."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from attrs import define, field

_COLLECTIONS = ("tuple", "list", "set", "frozenset", "dict")


@define(frozen=True, kw_only=True)
class RecordedCall:
    """
    A call and what came of it; values are in the forms of docs/capture.md.

    Attributes:
        number: From 1, in the order of the calls.
        name: Such as ``XFWorkerJob.get_omni_image`` or ``xfworkerutil.get_xf_job``.
        args: Arguments by parameter; ``*`` holds those whose parameters were not known.
        owner: The number of the object whose method or data it is.
        is_data: Whether an attribute was read rather than a function called.
        result: What it gave.
        raised: The exception that it raised.
        after: What the data of its object were afterwards, where the call changed them.
        wrote: Files that the call wrote at paths that it was given or that its image has.
        times: How often the same was asked in a row with the same answer.
    """

    number: int
    name: str
    args: Mapping[str, Any] = field(factory=dict)
    owner: int | None = None
    is_data: bool = False
    result: Any = None
    raised: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    wrote: tuple[Mapping[str, Any], ...] = ()
    times: int = 1

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """
        Read a line of ``calls.jsonl``.

        Raises:
            ValueError: It is something else; likewise TypeError, KeyError and OverflowError.
        """
        name, args = row["call"], row["args"]
        if not isinstance(name, str) or not isinstance(args, dict):
            raise TypeError("a call has a name and arguments")
        for key, kind in (("raised", dict), ("after", dict), ("wrote", list), ("self", int)):
            if row.get(key) is not None and not isinstance(row[key], kind):
                raise TypeError(f"{key} is {row[key]!r:.40}")
        check_encoded([row.get(key) for key in ("args", "result", "raised", "after", "wrote")])
        return cls(
            number=int(row["number"]),
            name=name,
            args=args,
            owner=row.get("self"),
            is_data=row.get("kind") == "get",
            result=row.get("result"),
            raised=row.get("raised"),
            after=row.get("after"),
            wrote=tuple(item for item in row.get("wrote") or () if isinstance(item, dict)),
            times=int(row.get("times", 1)),
        )

    @property
    def function(self) -> str:
        """The last part of its name."""
        return self.name.rpartition(".")[2]


def check_encoded(value: Any) -> None:
    """
    Require the members that values of a kind have, so that whoever reads them may rely on them.

    Raises:
        ValueError: One is something else; likewise TypeError and KeyError.
    """
    if isinstance(value, list):
        for item in value:
            check_encoded(item)
    elif isinstance(value, dict):
        kind, items = value.get("$"), value.get("items", [])
        if kind == "float":
            float(value["value"])
        if kind in _COLLECTIONS and not isinstance(items, list):
            raise TypeError(f"the items of a {kind} are {items!r:.40}")
        if kind == "dict" and not all(isinstance(pair, list) and len(pair) == 2 for pair in items):  # noqa: PLR2004  a key and a value
            raise TypeError(f"the items of a dict are {items!r:.40}")
        if kind == "object" and "id" in value and not isinstance(value["id"], int):
            raise TypeError(f"the id of an object is {value['id']!r:.40}")
        for item in value.values():
            check_encoded(item)


def named_paths(value: Any) -> Iterator[dict[str, Any]]:
    """Give every path in an encoded value, however deep."""
    if isinstance(value, list):
        for item in value:
            yield from named_paths(item)
    elif isinstance(value, dict):
        if value.get("$") == "path":
            yield value
        for item in value.values():
            yield from named_paths(item)


def described(name: str, args: Mapping[str, Any]) -> str:
    """Write a call for people, in at most some 200 characters."""
    shown = ", ".join(f"{key}={short(value)}" for key, value in args.items())
    return f"{name}({shown})"[:200]


def short(value: Any) -> str:
    """Write an encoded value for people, in at most some 60 characters."""
    return str(_plain(value, 0))[:60] if not isinstance(value, str) else repr(value)[:60]


def _plain(value: Any, depth: int) -> Any:
    if depth > 4:  # noqa: PLR2004  deeper than anybody reads in a sentence
        return _Word("...")
    if isinstance(value, dict):
        kind = value.get("$")
        if kind is None:
            return {key: _plain(item, depth + 1) for key, item in value.items()}
        if kind in ("tuple", "list", "set", "frozenset"):
            return tuple(_plain(item, depth + 1) for item in value.get("items", ()))
        word = value.get("class") or value.get("name") or value.get("value") or kind
        return _Word(f"<{kind} {word}>" if word != kind else f"<{kind}>")
    return [_plain(item, depth + 1) for item in value] if isinstance(value, list) else value


class _Word(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
