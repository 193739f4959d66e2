"""What may be kept and sent as JSON: the same on every database and for every reader."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

_DEEPEST = 64
_CONTAINERS = frozenset({dict, list})


def _nothing(value: Any) -> Any:
    raise TypeError(f"a {type(value).__name__} is not a JSON value")


class JsonWalk:
    """
    One walk through a value, which copies it and lists what makes it unfit to be kept as JSON.

    NaN and infinities are not JSON (RFC 8259), and a number that a float cannot hold is none to most readers; a NUL or
    half of a surrogate pair in a string is refused by some databases and cannot be written as UTF-8; many levels are
    refused because readers refuse them.

    Attributes:
        errors: What is wrong so far, each with its path: ``outputs.mean: NaN is not a JSON number``.
    """

    def __init__(self, deepest: int = _DEEPEST, unwrap: Callable[[Any], Any] = _nothing) -> None:
        """
        Begin with no errors.

        Args:
            deepest: How many levels are allowed.
            unwrap: Gives the JSON value that another object stands for, or raises ``TypeError``, saying why it has
                none.
        """
        self._deepest = deepest
        self._unwrap = unwrap
        self.errors: list[str] = []

    def plain(self, value: Any, path: str, depth: int = 0) -> Any:
        """Give the value as dicts, lists, strings, numbers, booleans and ``None`` that share nothing with it."""
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self._string(value, path)
        if isinstance(value, int | float):
            return self._number(value, path)
        if depth >= self._deepest:
            self._refuse(path, f"more than {self._deepest} levels deep (does it contain itself?)")
            return None
        # Nearly all are of these very classes, and asking for that is much quicker than asking what they can do.
        if type(value) in _CONTAINERS or isinstance(value, Mapping | list | tuple):
            return self._members(value, path, depth)
        return self._unwrapped(value, path, depth)

    def _unwrapped(self, value: Any, path: str, depth: int) -> Any:
        try:
            stands_for = self._unwrap(value)
        except TypeError as error:
            self._refuse(path, str(error))
            return None
        return self.plain(stands_for, path, depth + 1)

    def _string(self, value: str, path: str) -> str:
        if "\x00" in value:
            self._refuse(path, f"{ascii(value)[:80]} contains a NUL character")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                self._refuse(path, f"{ascii(value)[:80]} contains half of a surrogate pair")
        return str.__str__(value)

    def _number(self, value: float, path: str) -> float:
        if isinstance(value, int):
            if not is_finite(value):
                self._refuse(path, "a number of more than 308 digits is too large")
            return int(value)
        if not is_finite(value):
            formatted = "NaN" if math.isnan(value) else "an infinite number"
            self._refuse(path, f"{formatted} is not a JSON number; give null (None) where there is no value")
        return float(value)

    def _members(
        self, value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], path: str, depth: int
    ) -> dict[str, Any] | list[Any]:
        if isinstance(value, list | tuple):
            return [self.plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
        copied = {}
        for key, item in value.items():
            if not isinstance(key, str):
                self._refuse(path, f"the key {key!r} is not a string")
                continue
            copied[self._string(key, path)] = self.plain(item, f"{path}.{key}" if path else key, depth + 1)
        return copied

    def _refuse(self, path: str, reason: str) -> None:
        self.errors.append(f"{path or '$'}: {reason}")


def json_violations(value: Any, path: str = "") -> list[str]:
    """List what makes a value unfit to be kept as JSON, each with its path."""
    walk = JsonWalk()
    walk.plain(value, path)
    return walk.errors


def is_larger(value: Any, most_characters: int) -> bool:
    """Return whether a value is longer than so many characters as JSON; what is not JSON is not measured."""
    try:
        return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) > most_characters
    except (TypeError, ValueError, RecursionError):
        return False


def is_finite(number: float) -> bool:
    """Return whether a number is one that a float can hold: readers of JSON take larger integers for infinite."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def clean_string(text: str) -> str:
    """Give a string as it can be kept: NUL characters and halves of surrogate pairs become question marks."""
    return text.replace("\x00", "?").encode("utf-8", "replace").decode()
