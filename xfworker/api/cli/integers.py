"""Integers among the arguments, taken as they are written: cyclopts alone rounds 1.5 to 2."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, convert

if TYPE_CHECKING:
    from cyclopts import Token


def _exact(type_: Any, tokens: "Sequence[Token]") -> Any:
    for token in tokens:
        if "." in token.value:
            raise ValueError(f"{token.value} is not an integer.")
    return convert(type_, tokens)


Integer = Annotated[int, Parameter(converter=_exact)]
