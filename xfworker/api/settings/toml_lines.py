"""Finds on which line of a TOML document each key stands, which :mod:`tomllib` does not say."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from xfworker.api.settings.values import KeyPath

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)


def key_lines(text: str) -> dict[KeyPath, int]:
    r"""
    Find the line of every key, table and list element.

    Args:
        text: TOML that :mod:`tomllib` reads, with ``\n`` at the ends of lines.

    Returns:
        Lines, counted from 1. A table that is written in several places has the line of the first.
    """
    walk = _Walk(text)
    walk.document()
    return walk.lines


class _Walk:
    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._counted_to, self._line = 0, 1
        self._lengths: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        self._skip()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip()

    def _header(self) -> KeyPath:
        is_list = self._text.startswith("[[", self._at)
        line = self._line_here()
        self._at += 2 if is_list else 1
        path = self._inside(self._key())
        self._at += 2 if is_list else 1
        if is_list:
            self._add(path, line)
            count = self._lengths.get(path, 0)
            self._lengths[path] = count + 1
            path = (*path, count)
        self._add(path, line)
        return path

    def _inside(self, path: KeyPath) -> KeyPath:
        """Let a path lead through the last element of each list of tables on its way."""
        inside: KeyPath = ()
        for step in path[:-1]:
            inside = (*inside, step)
            if inside in self._lengths:
                inside = (*inside, self._lengths[inside] - 1)
        return (*inside, path[-1])

    def _pair(self, above: KeyPath) -> None:
        line = self._line_here()
        path = above + self._key()
        self._add(path, line)
        self._at += 1  # the equals sign
        self._skip()
        self._value(path)

    def _key(self) -> KeyPath:
        words: list[str] = []
        while True:
            self._skip()
            quoted = _STRING.match(self._text, self._at)
            match = quoted or _BARE_KEY.match(self._text, self._at)
            if match is None:  # pragma: no cover  tomllib has read it
                raise ValueError("a key was expected")
            words.append(_unquoted(match[0]) if quoted else match[0])
            self._at = match.end()
            self._skip()
            if self._text[self._at] != ".":
                return tuple(words)
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        first = self._text[self._at]
        if first == "[":
            self._items(path, "]")
        elif first == "{":
            self._items(path, "}")
        else:
            match = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
            self._at = match.end() if match else self._at

    def _items(self, path: KeyPath, end: str) -> None:
        self._at += 1
        index = 0
        self._skip()
        while self._text[self._at] != end:
            if end == "}":
                self._pair(path)
            else:
                self._add((*path, index), self._line_here())
                self._value((*path, index))
            index += 1
            self._skip()
            if self._text[self._at] == ",":
                self._at += 1
                self._skip()
        self._at += 1

    def _add(self, path: KeyPath, line: int) -> None:
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def _skip(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        return self._line


def _unquoted(text: str) -> str:
    read: Mapping[str, Any] = tomllib.loads(f"key = {text}")
    return str(read["key"])
