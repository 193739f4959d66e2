"""The objects and classes that scripts meet when a capture is played back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from xfworker.api.capture import documented

_DEEPEST = 8
_DUNDERS = ("__enter__", "__exit__", "__iter__", "__next__", "__getitem__", "__len__", "__contains__", "__call__")


class Answers(Protocol):
    """Who answers what objects are asked: the player."""

    def call(
        self, owner: "RecordedObject | None", function: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Answer a call of a method."""

    def construct(self, instance: "RecordedObject", args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Make an object that a script makes."""

    def read(self, owner: "RecordedObject", name: str) -> Any:
        """Give data of an object."""

    def enter(self, name: str, number: int) -> Any:
        """Give what a with block got."""


class RecordedObject:
    """
    An object whose methods and data are answered from a capture.

    What it knew of itself are plain attributes; methods of its class ask the player; other data are asked for when they
    are read.
    """

    _xf_player: Answers
    _xf_class: str
    _xf_id: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make an object as a script does."""
        self._xf_player.construct(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._xf_player.read(self, name)

    def __repr__(self) -> str:
        return f"<captured {self._xf_class} {self.__dict__.get('_xf_id')}>"


class RecordedContext:
    """A context manager that a function gave; a with block gets what it got when it was captured."""

    def __init__(self, player: Answers, name: str, number: int) -> None:
        self._player, self._name, self._number = player, name, number

    def __enter__(self) -> Any:
        return self._player.enter(self._name, self._number)

    def __exit__(self, *_: object) -> None:
        return None


def make_class(player: Answers, name: str, described: Mapping[str, Any]) -> type[RecordedObject]:
    """
    Make the class of captured objects.

    Args:
        player: Answers its methods.
        name: Its name.
        described: Its members as the capture has them: ``{"members": {"fetch": "method", "path": "data"}}``.
    """
    recorded = described.get("members")
    members: Mapping[str, Any] = recorded if isinstance(recorded, Mapping) else {}
    methods = [*(str(member) for member, kind in members.items() if kind == "method"), *documented.methods_of(name)]
    namespace: dict[str, Any] = {"_xf_player": player, "_xf_class": name}
    for method in dict.fromkeys(methods):
        is_special = method.startswith("_")
        if method.isidentifier() and (method in _DUNDERS or not is_special) and members.get(method) != "data":
            namespace[method] = _method(method)
    return type(name if name.isidentifier() else "Recorded", (RecordedObject,), namespace)


def _method(name: str) -> Callable[..., Any]:
    def method(self: RecordedObject, *args: Any, **kwargs: Any) -> Any:
        return self._xf_player.call(self, name, args, kwargs)

    method.__name__ = method.__qualname__ = name
    return method


def data_of(value: Any, depth: int = 0) -> Any:
    """Give a value with the public data of recorded objects in their place."""
    if isinstance(value, RecordedObject) and depth < _DEEPEST:
        return {key: data_of(item, depth + 1) for key, item in vars(value).items() if not key.startswith("_")}
    if type(value) is dict:
        return {key: data_of(item, depth) for key, item in value.items()}
    return [data_of(item, depth) for item in value] if type(value) is list else value
