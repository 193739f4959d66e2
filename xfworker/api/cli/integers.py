"""Integers among the arguments of every command: taken as they are written, where cyclopts alone rounds 1.5 to 2."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from cyclopts import Token, convert


def with_exact_integers(type_: Any, tokens: Sequence[Token]) -> Any:
    """
    Convert the words of an argument as cyclopts does, except that a fraction is not an integer.

    Raises:
        ValueError: A word for an integer has a decimal point.
    """
    kinds = set(_kinds(type_))
    if int in kinds and float not in kinds:
        for token in tokens:
            if "." in token.value:
                raise ValueError(f"{token.value} is not an integer.")
    return convert(type_, tokens)


def _kinds(type_: Any) -> Iterator[Any]:
    """Give the types that a type is made of: int of ``tuple[int, ...] | None``."""
    inner = get_args(type_)
    if not inner:
        yield type_
    for one in inner:
        yield from _kinds(one)
