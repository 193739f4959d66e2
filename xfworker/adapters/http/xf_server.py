"""The XF Server over HTTP."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from attrs import evolve

from xfworker.adapters.http.transport import HttpTransport, new_idempotency_key
from xfworker.adapters.wire.codec import read_answer, unexpected_answer, write
from xfworker.domain.change import Change
from xfworker.domain.conversion import format_time, to_json
from xfworker.domain.errors import FileError, RecordNotFound
from xfworker.domain.record import Record

if TYPE_CHECKING:
    # What a script does not ask for is imported by the method that answers it: making classes takes time.
    from xfworker.domain.files import AuthorizationToken, Scope
    from xfworker.domain.queries import CombinedQuery, OutputValue
    from xfworker.domain.queries import Sequence as ParameterSequence
    from xfworker.domain.records import Entity

RecordT = TypeVar("RecordT", bound=Record)

BASE = "/xf/v1"
"""The base path of the protocol's first version."""

_LONGEST_QUERY = 6000


class HttpXFServer:
    """The XF Server over HTTP, as the caller whose token the transport carries."""

    def __init__(self, transport: HttpTransport) -> None:
        """Take the transport, which is closed with this object."""
        self._transport = transport

    def __repr__(self) -> str:
        return f"HttpXFServer({self._transport.url!r})"

    def get(self, kind: type[RecordT], serial: int) -> RecordT:
        doing = f"get {kind.noun} {serial}"
        return read_answer(kind, self._transport.request("GET", _path(kind, serial), doing=doing).json(), doing)

    def find(self, kind: type[RecordT], where: Mapping[str, Any] | None = None) -> list[RecordT]:
        """List records by field values; pages are fetched one after the other."""
        records: list[RecordT] = []
        for conditions in _portions(where or {}):
            records += self._find(kind, conditions)
        return records

    def create(self, record: RecordT, *, idempotency_key: str | None = None) -> RecordT:
        doing = f"create {record.a_noun()}"
        answer = self._transport.request(
            "POST",
            f"{BASE}/{record.collection}",
            doing=doing,
            json_body=to_json(record),
            headers={"Idempotency-Key": idempotency_key or new_idempotency_key()},
        )
        return read_answer(type(record), answer.json(), doing)

    def update(self, kind: type[RecordT], serial: int, change: Change) -> RecordT:
        doing = f"change {kind.noun} {serial}"
        from xfworker.adapters.wire.records import RecordChange

        body = write(RecordChange.of_change(change, _plain(change.values)))
        # Without an expected version the same values may be set again; with one, a repeat would meet its own success.
        counts = change.expected_version is not None or "/state" in change.values
        headers = {"Idempotency-Key": new_idempotency_key()} if counts else {}
        answer = self._transport.request(
            "PATCH", _path(kind, serial), doing=doing, json_body=body, headers=headers, repeat=True
        )
        return read_answer(kind, answer.json(), doing)

    def output_values(self, sequence: "ParameterSequence") -> "list[OutputValue]":
        """Give the values of a sequence in sort order, by one request."""
        from xfworker.adapters.wire.records import Items
        from xfworker.domain.queries import OutputValue

        doing = f"get the values of output {sequence.key!r} of task {sequence.task_serial}"
        query = urlencode({"task_serial": sequence.task_serial, "key": sequence.key})
        answer = self._transport.request("GET", f"{BASE}/output-values?{query}", doing=doing).json()
        return read_answer(Items[OutputValue], answer, doing).items

    def combined_query(self, query: "CombinedQuery") -> dict[str, list[Record]]:
        from xfworker.adapters.wire.queries import CombinedQueryBody
        from xfworker.domain.queries import QUERY_PARTS

        doing = "ask a combined query"
        body = write(CombinedQueryBody.of(query))
        answer = self._transport.request("POST", f"{BASE}/combined-query", doing=doing, json_body=body, repeat=True)
        parts = read_answer(dict[str, Any], answer.json(), doing)
        if unknown := set(parts) - set(QUERY_PARTS):
            raise unexpected_answer(doing, f"unknown parts: {', '.join(sorted(unknown))}")
        return {
            part: [read_answer(QUERY_PARTS[part], item, doing) for item in read_answer(list[Any], items, doing)]
            for part, items in parts.items()
        }

    def entity_by_uuid(self, uuid: str) -> "Entity":
        from xfworker.domain.records import Entity

        entities = self.find(Entity, {"uuid": uuid})
        if not entities:
            raise RecordNotFound(f"there is no entity with UUID {uuid[:80]!a}")
        return entities[0]

    def file_token(self, scopes: "Sequence[Scope]") -> "AuthorizationToken":
        from xfworker.adapters.wire.queries import FileToken, FileTokenRequest

        doing = "ask for a file token"
        answer = self._transport.request(
            "POST", f"{BASE}/fss-tokens", doing=doing, json_body=write(FileTokenRequest.of_scopes(scopes)), repeat=True
        )
        try:
            token = read_answer(FileToken, answer.json(), doing).authorization(self._transport.url)
        except FileError as error:
            raise unexpected_answer(doing, error) from None
        return evolve(token, renew=lambda: self.file_token(scopes))

    def global_config(self) -> dict[str, Any]:
        doing = "get the server's configuration"
        return read_answer(dict[str, Any], self._transport.request("GET", f"{BASE}/config", doing=doing).json(), doing)

    def close(self) -> None:
        self._transport.close()

    def _find(self, kind: type[RecordT], where: Mapping[str, Any]) -> list[RecordT]:
        from xfworker.adapters.wire.records import Page

        doing = f"list {kind.nouns()}"
        parameters = [
            ("null", name) if value is None else (name, _parameter(value))
            for name, values in where.items()
            for value in (values if isinstance(values, tuple) else (values,))
        ]
        records: list[RecordT] = []
        cursor: str | None = None
        while True:
            query = urlencode([*parameters, *([("cursor", cursor)] if cursor else [])])
            answer = self._transport.request("GET", f"{BASE}/{kind.collection}?{query}", doing=doing).json()
            page = read_answer(Page[kind], answer, doing)  # type: ignore[valid-type]  # a class of records
            records += page.items
            if page.next is None:
                return records
            if page.next == cursor:
                raise unexpected_answer(doing, "the next page is the same page")
            cursor = page.next


def _path(kind: type[Record], serial: int) -> str:
    return f"{BASE}/{kind.collection}/{serial}"


def _portions(where: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Split a condition with very many allowed values, because addresses have a limited length."""
    if any(value == () for value in where.values()):
        return []
    long = next(
        (name for name, value in where.items() if isinstance(value, tuple) and len(value) * 24 > _LONGEST_QUERY), None
    )
    if long is None:
        return [where]
    values = tuple(dict.fromkeys(where[long]))
    size = _LONGEST_QUERY // 24
    return [{**where, long: values[start : start + size]} for start in range(0, len(values), size)]


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return format_time(value)
    return str(value.value if isinstance(value, Enum) else value)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}
