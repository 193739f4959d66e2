"""Brings what stands in a settings file or in an environment variable to the type of its setting."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from xfworker.api.settings.model import SECRETS

KeyPath = tuple[str | int, ...]
"""Keys of a document and, within lists, indexes."""

_BOOLS = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}
_EXPECTED = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string in quotes",
    Path: "a path in quotes",
    dict: "a table",
    list: "a list",
}
_MOST_CHARACTERS = 80


class Setting(NamedTuple):
    """
    One setting that there is.

    Attributes:
        path: Its table and name, such as ``http.read_seconds``.
        annotation: Its type, as its class says it.
    """

    path: str
    annotation: Any


class ElementError(ValueError):
    """One value in a table or list is of a wrong type; ``key`` says which."""

    def __init__(self, message: str, key: str | int) -> None:
        super().__init__(message)
        self.key = key


def from_string(option: Setting, string: str) -> Any:
    """
    Read the value of an environment variable.

    Raises:
        ValueError: It is a table or list but not JSON. It is not quoted, because tables may hold secrets.
    """
    kind, _ = kind_of(option)
    if kind in {str, Path}:
        return string
    if kind is bool:
        return _BOOLS.get(string.strip().lower(), string)
    try:
        return json.loads(string)
    except ValueError as error:
        if kind in {dict, list}:
            raise ValueError(f"expected {_EXPECTED[kind]} in JSON, which this is not: {error}") from None
        return string
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def typed(option: Setting, value: Any, folder: Path) -> Any:
    """
    Check a value's type; paths become absolute, and integers that stand for numbers become these.

    Args:
        option: The setting.
        value: What was read.
        folder: What relative paths are relative to.

    Raises:
        ElementError: Something in it is of another type.
        ValueError: It is of another type; says of which.
    """
    kind, item = kind_of(option)
    if not _fits(kind, value):
        raise ValueError(f"expected {_EXPECTED[kind]}, got {_formatted(option, kind, value)}")
    if kind is Path:
        return _absolute(value, folder)
    if kind is float:
        return _real(value)
    if item is not None:
        for key, element in value.items() if isinstance(value, Mapping) else enumerate(value):
            if not _fits(item, element):
                got = _formatted(option, item, element)
                raise ElementError(f"expected {_EXPECTED[item]} for {key!r}, got {got}", key)
    return value


def kind_of(option: Setting) -> tuple[type, type | None]:
    """Give a setting's type without ``None``, and of tables and lists the type of what they hold, if that is simple."""
    choices = [kind for kind in get_args(option.annotation) if kind is not type(None)]
    nullable = type(None) in get_args(option.annotation)
    kind = choices[0] if nullable else option.annotation
    origin = getattr(kind, "__origin__", kind)
    item = get_args(kind)[-1] if origin in {dict, list} and get_args(kind) else None
    return origin, item if item is str else None


def _fits(kind: type, value: Any) -> bool:
    if kind in {int, float} and isinstance(value, bool):
        return False
    accepted: dict[type, Any] = {float: int | float, Path: str, dict: Mapping}
    return isinstance(value, accepted.get(kind, kind)) and (kind is not Path or bool(value))


def _formatted(option: Setting, kind: type, value: Any) -> str:
    if option.path in SECRETS:
        return "a secret"
    if kind in {dict, list} or isinstance(value, Mapping | list):
        # What stands in the place of a table may be one that holds a password.
        names = {str: "a string", int: "a number", float: "a number", bool: "true or false", list: "a list"}
        return "a table" if isinstance(value, Mapping) else names.get(type(value), f"a {type(value).__name__}")
    text = repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def _real(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("is too large a number") from None


def _absolute(text: str, folder: Path) -> Path:
    if any(ord(character) < ord(" ") for character in text):
        raise ValueError(
            f"the path {text!r} holds a control character; write Windows paths in single quotes, such as 'C:\\temp'"
        )
    try:
        if sys.platform == "win32" and text[:1] == "~" and text[1:2] not in {"", "/", "\\"}:
            # It would take a folder beside one's own home for the other user's, whether it is there or not.
            raise RuntimeError  # noqa: TRY301  as elsewhere for a user that is not known
        path = folder / Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"the path {text!r} begins with the home folder of a user who has none here") from None
    if path.drive and not path.root:
        raise ValueError(
            f"the path {text!r} depends on the folder that a program is in on that drive; write all of it, such as "
            f"'{path.drive}\\{path.name}'"
        )
    return path
