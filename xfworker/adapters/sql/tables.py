"""
The tables: one per kind of record, a typed column per field, JSON strings for objects and arrays.

The columns follow the record classes. What a running database has comes from the migrations; a test holds the two
against each other.
"""

from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, get_args, get_origin

import attrs
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

from xfworker.domain.bookkeeping import BOOKKEEPING_KINDS
from xfworker.domain.records import RECORD_KINDS, Record

# Strings compare bytewise everywhere, because sort orders and times are made to be compared so.
TEXT: TypeEngine[Any] = Text().with_variant(Text(collation="C"), "postgresql")
SERIAL: TypeEngine[Any] = BigInteger().with_variant(Integer(), "sqlite")

CLAIM_RANK = "claim_rank"
"""A column of jobs that no record shows: the rank in which a ready job is handed out, or null."""

CLAIMABLE_BY_TASK = "ix_jobs_claimable_by_task"
"""The index in which the jobs that a worker may claim stand task by task, as they are handed out."""

KINDS: dict[str, type[Record]] = {**RECORD_KINDS, **BOOKKEEPING_KINDS}
"""Every kind that has a table, by its collection."""

METADATA = MetaData()

_INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "projects": (("name",),),
    "workflows": (("project_serial", "serial"), ("name",)),
    "tasks": (("workflow_serial", "serial"), ("task_type_serial", "serial"), ("spawn_key",)),
    "jobs": (
        ("sort_order", "serial"),
        ("state", "sort_order", "serial"),
        ("project_serial", "sort_order", "serial"),
        ("workflow_serial", "sort_order", "serial"),
        ("task_serial", "sort_order", "serial"),
        ("task_serial", "state", "sort_order", "serial"),
        ("run_serial", "task_serial"),
        ("source_job_serial",),
    ),
    "runs": (("workflow_serial", "serial"), ("source_job_serial",)),
    "task_types": (("name", "serial"),),
    "dependency_packages": (("name", "serial"),),
    "workers": (("name",),),
    "entities": (("uuid",),),
    "activity_events": (("job_serial", "serial"), ("project_serial", "serial"), ("user", "serial")),
    "job_leases": (("job_serial",), ("expires_at",), ("worker_serial", "claim_key")),
    "accounts": (("name",),),
    "personal_tokens": (("account_serial",), ("key",)),
    "second_factors": (("account_serial",),),
    "project_members": (("account_serial", "project_serial"), ("project_serial",)),
}


def table_name(kind: type[Record]) -> str:
    return kind.collection.replace("-", "_")


def field_forms(kind: type[Record]) -> dict[str, tuple[str, Any]]:
    """Give for each field how it is kept (``int``, ``bool``, ``text``, ``time``, ``enum``, ``json``) and its class."""
    return _forms(kind.collection)


@cache
def _forms(collection: str) -> dict[str, tuple[str, Any]]:
    return {field.name: _form(field.type) for field in attrs.fields(attrs.resolve_types(KINDS[collection]))}


def _form(annotation: Any) -> tuple[str, Any]:
    choices = [choice for choice in get_args(annotation) if choice is not type(None)]
    inner = choices[0] if choices and type(None) in get_args(annotation) else annotation
    origin = get_origin(inner) or inner
    if origin in {dict, list}:
        return "json", origin
    if inner is datetime:
        return "time", datetime
    if isinstance(inner, type) and issubclass(inner, Enum):
        return "enum", inner
    return {bool: ("bool", bool), int: ("int", int)}.get(inner, ("text", str))


def _table(kind: type[Record]) -> Table:
    name = table_name(kind)
    columns: list[Column[Any]] = []
    for field, (form, _) in field_forms(kind).items():
        if field == "serial":
            columns.append(Column("serial", SERIAL, primary_key=True, autoincrement=True))
        else:
            column_type: Any = {"int": BigInteger(), "bool": Boolean()}.get(form, TEXT)
            columns.append(Column(field, column_type, nullable=True))
    if name == "jobs":
        columns.append(Column(CLAIM_RANK, Integer(), nullable=True))
    table = Table(name, METADATA, *columns, sqlite_autoincrement=True)
    for fields in _INDEXES[name]:
        Index(f"ix_{name}_{'_'.join(fields)}", *(table.c[field] for field in fields))
    if name == "jobs":
        ranked = table.c[CLAIM_RANK].isnot(None)
        Index(
            "ix_jobs_claimable",
            table.c[CLAIM_RANK],
            table.c.sort_order,
            table.c.serial,
            sqlite_where=ranked,
            postgresql_where=ranked,
        )
        Index(
            CLAIMABLE_BY_TASK,
            table.c.task_serial,
            table.c[CLAIM_RANK],
            table.c.sort_order,
            table.c.serial,
            sqlite_where=ranked,
            postgresql_where=ranked,
        )
    return table


TABLES: dict[str, Table] = {collection: _table(kind) for collection, kind in KINDS.items()}
"""The table of each collection."""

ENTRIES = Table(
    "notes",
    METADATA,
    Column("key", TEXT, primary_key=True),
    Column("value", TEXT, nullable=False),
    Column("at", TEXT, nullable=True),
)
"""What is kept under a key: idempotency keys, settings."""

Index("ix_notes_at", ENTRIES.c.at)


def table_of(kind: type[Record]) -> Table:
    return TABLES[kind.collection]
