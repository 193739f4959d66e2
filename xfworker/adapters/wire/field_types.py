"""Types of fields that the wire bounds more narrowly than Python does."""

from typing import Annotated, Any, NewType

LARGEST = 2**63 - 1
"""The largest integer that every database can hold."""


class Keywords:
    """
    Keywords that the schema of an ``Annotated`` type has besides those of the type.

    Attributes:
        keywords: Of JSON Schema.
    """

    def __init__(self, **keywords: Any) -> None:
        self.keywords = keywords


Serial = Annotated[int, Keywords(minimum=1, maximum=LARGEST)]
"""The serial of a record."""

Count = Annotated[int, Keywords(minimum=0)]
"""A number of bytes."""

PrintableText = NewType("PrintableText", str)
"""A string without NUL, which databases refuse."""
