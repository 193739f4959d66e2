"""
Records as the JSON objects that travel, put together by the database itself.

To hand twenty columns of a row to Python, and to write them as JSON there, costs twice what it takes to hand over one
string; what is stored as JSON is passed on as it is.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from attrs import define
from sqlalchemy import ColumnElement, literal_column

from xfworker.adapters.sql.rows import read_json, read_members
from xfworker.adapters.sql.tables import KINDS, TABLES, field_forms
from xfworker.domain.records import Job
from xfworker.ports.record_store import EncodedRecord

_EXTRA = "extra"


@define(frozen=True)
class _Functions:
    """
    What a database calls that which all have.

    Attributes:
        fill: The function that puts values into the places of a template.
        quote: The expression of a value as JSON, or null where it is null.
    """

    fill: str
    quote: str


_FUNCTIONS = {
    "sqlite": _Functions("printf", "json_quote({})"),
    "postgresql": _Functions("format", "CAST(to_json({}) AS TEXT)"),
}


@cache
def encoded_columns(collection: str, dialect: str) -> tuple[ColumnElement[Any], ...]:
    """
    Give what is selected of records that are only passed on.

    Args:
        collection: The kind's.
        dialect: The database's: ``sqlite`` or ``postgresql``.

    Returns:
        The JSON object of the known fields, the sort order (of jobs; else empty), the serial, and a JSON object of
        the other keys, null where there is none.
    """
    kind, functions = KINDS[collection], _FUNCTIONS[dialect]
    written = {
        name: _written(_column(collection, name), form, functions.quote)
        for name, (form, _) in field_forms(kind).items()
        if name != _EXTRA
    }
    template = "{" + ",".join(f'"{name}":%s' for name in written) + "}"
    texts = (
        f"{functions.fill}('{template}', {', '.join(written.values())})",
        _column(collection, "sort_order") if kind is Job else "''",
        _column(collection, "serial"),
        f"NULLIF({_column(collection, _EXTRA)}, '{{}}')",
    )
    return tuple(literal_column(text) for text in texts)


def encoded_records(rows: Iterable[Any]) -> list[EncodedRecord]:
    """Give the records of rows of :func:`encoded_columns`."""
    return [
        EncodedRecord(body.encode() if more is None else _with_more(body, more), (order, serial))
        for body, order, serial, more in rows
    ]


def _with_more(body: str, more: str) -> bytes:
    # A key that a later version of the class knows is the field's.
    return msgspec.json.encode({**read_json(more), **read_members(body)})


def _column(collection: str, name: str) -> str:
    return f'"{TABLES[collection].name}"."{name}"'


def _written(column: str, form: str, quote: str) -> str:
    """Give the expression of a column as JSON; times and choices are stored as they travel, and need no escapes."""
    expression = {
        "json": column,
        "int": f"CAST({column} AS TEXT)",
        "bool": f"CASE WHEN {column} THEN 'true' WHEN NOT {column} THEN 'false' END",
        "time": f"""'"' || {column} || '"'""",
        "enum": f"""'"' || {column} || '"'""",
        "text": quote.format(column),
    }[form]
    return f"COALESCE({expression}, 'null')"
