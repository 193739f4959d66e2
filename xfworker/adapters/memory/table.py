"""The records of one kind in memory, found by the values of their fields without a look at all of them."""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any

import attrs

from xfworker.domain.record import Record

_FEW = 8


class Table:
    """
    Records by serial.

    A field that is searched by gets an index, once there are more than a few records; those of objects and arrays do
    not.
    """

    def __init__(self, kind: type[Record]) -> None:
        self._kind = kind
        hashable: Any = kind
        self._indexable = _indexable(hashable)
        self._records: dict[int, Any] = {}
        self._indexes: dict[str, dict[Any, dict[int, None]]] = {}
        self._last = 0
        self._is_in_order = True

    def get(self, serial: int | None) -> Any:
        """Give the record of a serial, or ``None``."""
        return self._records.get(serial)  # type: ignore[arg-type]  # no record has None for its serial

    def all(self) -> Iterable[Any]:
        """Give all records."""
        return self._records.values()

    def in_order(self) -> Iterable[Any]:
        """Give all records by serial."""
        if not self._is_in_order:
            self._records = dict(sorted(self._records.items()))
            self._is_in_order = True
        return self._records.values()

    def put(self, record: Record) -> None:
        """Keep a record, in place of the one of the same serial."""
        before = self._records.get(record.serial)
        if record.serial > self._last:
            self._last = record.serial
        elif before is None:
            self._is_in_order = False
        self._records[record.serial] = record
        for name, index in self._indexes.items():
            value = getattr(record, name)
            if before is not None:
                old = getattr(before, name)
                if old == value:
                    continue
                _remove(index, old, record.serial)
            index.setdefault(value, {})[record.serial] = None

    def drop(self, serial: int) -> None:
        """Keep a record no more."""
        record = self._records.pop(serial)
        for name, index in self._indexes.items():
            _remove(index, getattr(record, name), serial)

    def matching(self, where: Mapping[str, Any] | None) -> Iterable[Any]:
        """
        Give the records that have these values, in no order.

        Raises:
            LookupError: The records have no such field.
        """
        if not where:
            return self._records.values()
        # A wrong field name fails here as it would in a database, so that no test passes by a typo.
        conditions = [(self._checked(name), _choices(value)) for name, value in where.items()]
        found, decided = self._candidates(conditions)
        for name, choices in conditions:
            if name != decided:
                found = [record for record in found if getattr(record, name) in choices]
        return found

    def _candidates(self, conditions: list[tuple[str, tuple[Any, ...]]]) -> tuple[list[Any], str | None]:
        """Give the records that fulfil the condition that leaves the fewest, and the field that it is about."""
        records = self._records
        decided: str | None = None
        fewest: list[Collection[int]] | None = None
        many = len(records)
        for name, choices in conditions:
            if name == "serial":
                return [records[serial] for serial in dict.fromkeys(choices) if serial in records], name
            found = self._by_index(name, choices)
            if found is not None and (size := sum(map(len, found))) <= many:
                fewest, many, decided = found, size, name
                if size <= _FEW:
                    break
        if fewest is None:
            return list(records.values()), None
        return [records[serial] for serials in fewest for serial in serials], decided

    def _by_index(self, name: str, choices: tuple[Any, ...]) -> list[Collection[int]] | None:
        """Give the serials of the records that have one of these values, for each value by itself."""
        if len(self._records) <= _FEW or name not in self._indexable:
            return None
        index = self._indexes.get(name)
        if index is None:
            index = self._indexes[name] = {}
            for serial, record in self._records.items():
                index.setdefault(getattr(record, name), {})[serial] = None
        if len(choices) == 1:
            return [index.get(choices[0], ())]
        return [index.get(value, ()) for value in dict.fromkeys(choices)]

    def _checked(self, name: str) -> str:
        if name not in field_names(self._kind):
            raise LookupError(f"{self._kind.__name__} has no field {name!r}")
        return name


def _remove(index: dict[Any, dict[int, None]], value: Any, serial: int) -> None:
    serials = index[value]
    del serials[serial]
    if not serials:
        del index[value]


def field_names(kind: type[Record]) -> tuple[str, ...]:
    """Give the names of a kind's fields, in their order."""
    hashable: Any = kind
    return _field_names(hashable)


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind))


@cache
def _indexable(kind: Any) -> frozenset[str]:
    return frozenset(field.name for field in attrs.fields(kind) if not _is_compound(field.type))


def _is_compound(annotation: Any) -> bool:
    return "dict[" in str(annotation) or "list[" in str(annotation)


def _choices(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
