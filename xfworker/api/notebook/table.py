"""Tables that a notebook shows; with pandas they are its data frames."""

import html
import io
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from attrs import define


@define(frozen=True, repr=False)
class Table:
    """
    Rows with named columns, where pandas is not installed.

    Attributes:
        columns: The names of the columns.
        rows: The rows, each a mapping from column to value; ``None`` where there is none.
    """

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def __getitem__(self, column: str) -> list[Any]:
        """Give the values of a column."""
        if column not in self.columns:
            raise KeyError(f"there is no column {column!r}; columns are {', '.join(self.columns)}")
        return [row.get(column) for row in self.rows]

    def __repr__(self) -> str:
        cells = [self.columns, *([_formatted(row.get(name)) for name in self.columns] for row in self.rows)]
        widths = [max(len(line[index]) for line in cells) for index in range(len(self.columns))]
        text = io.StringIO()
        for line in cells:
            text.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n")
        return text.getvalue().rstrip("\n")

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_formatted(row.get(name)))}</td>" for name in self.columns) + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Any:
    """Give a ``pandas.DataFrame`` where pandas is installed, else a :class:`Table`."""
    if find_spec("pandas") is None:
        return Table(tuple(columns), tuple(rows))
    # By name: its types are not at hand where it is not installed.
    return import_module("pandas").DataFrame(
        [[row.get(name) for name in columns] for row in rows], columns=list(columns)
    )


def _formatted(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
