"""Rows as the JSON objects of their records: what is stored as JSON is passed on as it is."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec

from xfworker.adapters.sql.rows import read_json
from xfworker.adapters.sql.tables import KINDS, field_forms
from xfworker.domain.records import Job, Record
from xfworker.ports.record_store import EncodedRecord

_EXTRA = "extra"
_NOTHING = (None, "{}")


def encoded_record(kind: type[Record], values: Sequence[Any]) -> EncodedRecord:
    """Encode a row whose columns come in the order of the fields; what is behind them is passed over."""
    fields = {
        name: value if write is None or value is None else write(value)
        for (name, write), value in zip(_writers(kind.collection), values, strict=False)
    }
    extra = fields.pop(_EXTRA)
    if extra not in _NOTHING:
        fields = {**read_json(extra), **fields}
    position = (fields["sort_order"] if kind is Job else "", fields["serial"])
    return EncodedRecord(msgspec.json.encode(fields), position)


@cache
def _writers(collection: str) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    """Give for each field what turns its column into what travels; times and choices are stored as they travel."""
    forms = {"json": msgspec.Raw, "bool": bool}
    fields = field_forms(KINDS[collection]).items()
    return tuple((name, None if name == _EXTRA else forms.get(form)) for name, (form, _) in fields)
