"""
Matrices as scripts have them, and as the parameters keep them: a flat list, row by row.

How many numbers the genuine platform stores for a transform or a rotation is not public. Flat lists, nested rows and
arrays are taken, and a transform may leave out its last row, which is 0 0 0 1.
"""

from typing import Any

from xfworker.services.script.plain_json import plain_json

_LAST_ROW = [0.0, 0.0, 0.0, 1.0]
_TRANSFORM_ROWS = (3, 4)


def flat_matrix(matrix: Any, rows: tuple[int, ...], columns: int, what: str) -> Any:
    """
    Give a matrix as a flat list, row by row; anything that is not a matrix of that shape comes back as it is.

    Args:
        matrix: A flat list, nested rows or an array.
        rows: How many rows it may have.
        columns: How many numbers a row has.
        what: What it is for, for messages.

    Raises:
        InvalidParameter: It holds a value that cannot be kept as JSON.
    """
    plain = plain_json(matrix, what)
    if (
        isinstance(plain, list)
        and len(plain) in rows
        and all(isinstance(row, list) and len(row) == columns for row in plain)
    ):
        return [number for row in plain for number in row]
    return plain


def full_transform(transform: Any, what: str) -> tuple[Any, str | None]:
    """
    Give a transform of 3 or 4 rows as the 16 numbers that are kept, with a note where its last row was added.

    Raises:
        InvalidParameter: It holds a value that cannot be kept as JSON.
    """
    flat = flat_matrix(transform, _TRANSFORM_ROWS, 4, what)
    if isinstance(flat, list) and len(flat) == 3 * 4:
        return [*flat, *_LAST_ROW], f"{what}: the 12 numbers are taken as 3 rows of 4; the row 0 0 0 1 was added"
    return flat, None
