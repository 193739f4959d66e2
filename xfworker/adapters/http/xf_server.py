"""The XF Server over HTTP."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urljoin

from xfworker.adapters.http.transport import HttpTransport, new_idempotency_key
from xfworker.domain.change import Change
from xfworker.domain.conversion import format_time, from_json, parse_time, to_json
from xfworker.domain.errors import FileError, InvalidRecord, ProtocolViolation, RecordNotFound
from xfworker.domain.json_value import json_faults
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
        """Give one record."""
        doing = f"get {kind.noun} {serial}"
        return self._record(kind, self._transport.request("GET", _path(kind, serial), doing=doing).json(), doing)

    def find(self, kind: type[RecordT], where: Mapping[str, Any] | None = None) -> list[RecordT]:
        """List records by field values; pages are fetched one after the other."""
        found: list[RecordT] = []
        for conditions in _portions(where or {}):
            found += self._find(kind, conditions)
        return found

    def create(self, record: RecordT, *, idempotency_key: str | None = None) -> RecordT:
        """Store a new record and give it as the server made it."""
        doing = f"create {record.a_noun()}"
        answer = self._transport.request(
            "POST",
            f"{BASE}/{record.collection}",
            doing=doing,
            json_body=_checked(to_json(record), doing),
            headers={"Idempotency-Key": idempotency_key or new_idempotency_key()},
        )
        return self._record(type(record), answer.json(), doing)

    def update(self, kind: type[RecordT], serial: int, change: Change) -> RecordT:
        """Apply a change by compare-and-set and give the record as it is then."""
        doing = f"change {kind.noun} {serial}"
        body = {
            "expected_occ_lock_version": change.expected_version,
            "bump_occ_lock_version": change.bump,
            "values": _checked(_plain(change.values), doing),
            "removals": list(change.removals),
        }
        # Without an expected version the same values may be set again; with one, a repeat would meet its own success.
        counts = change.expected_version is not None or "/state" in change.values
        headers = {"Idempotency-Key": new_idempotency_key()} if counts else {}
        answer = self._transport.request(
            "PATCH", _path(kind, serial), doing=doing, json_body=body, headers=headers, repeat=True
        )
        return self._record(kind, answer.json(), doing)

    def output_values(self, sequence: "ParameterSequence") -> "list[OutputValue]":
        """Give the values of a sequence in sort order, by one request."""
        from xfworker.domain.queries import OutputValue

        doing = f"get the values of output {sequence.key!r} of task {sequence.task_serial}"
        query = urlencode({"task_serial": sequence.task_serial, "key": sequence.key})
        items = _items(self._transport.request("GET", f"{BASE}/output-values?{query}", doing=doing).json(), doing)
        try:
            return [
                OutputValue(job_serial=item["job_serial"], run_serial=item["run_serial"], value=item["value"])
                for item in items
            ]
        except (KeyError, TypeError):
            raise _unexpected(doing) from None

    def combined_query(self, query: "CombinedQuery") -> dict[str, list[Record]]:
        """Answer several questions at once."""
        from xfworker.domain.queries import QUERY_PARTS

        doing = "ask a combined query"
        body = {
            "parts": dict(query.parts),
            "project_serial": query.project_serial,
            "job_serial": query.job_serial,
            "task_type_serial": query.task_type_serial,
            "dependency_package_serial": query.dependency_package_serial,
        }
        answer = self._transport.request("POST", f"{BASE}/combined-query", doing=doing, json_body=body, repeat=True)
        found = answer.json()
        if not isinstance(found, Mapping) or set(found) - set(QUERY_PARTS):
            raise _unexpected(doing)
        return {
            part: [self._record(QUERY_PARTS[part], item, doing) for item in _listed(items, doing)]
            for part, items in found.items()
        }

    def entity_by_uuid(self, uuid: str) -> "Entity":
        """Give the entity's record."""
        from xfworker.domain.records import Entity

        found = self.find(Entity, {"uuid": uuid})
        if not found:
            raise RecordNotFound(f"there is no entity with UUID {uuid[:80]!a}")
        return found[0]

    def file_token(self, scopes: "Sequence[Scope]") -> "AuthorizationToken":
        """Ask for the right to touch files."""
        from xfworker.domain.files import AuthorizationToken, scopes_from_json, scopes_to_json

        doing = "ask for a file token"
        answer = self._transport.request(
            "POST", f"{BASE}/fss-tokens", doing=doing, json_body={"scopes": scopes_to_json(scopes)}, repeat=True
        )
        value = answer.json()
        try:
            return AuthorizationToken(
                # An address without a host is below the server's own, so a server need not know what it is called.
                url=urljoin(self._transport.url + "/", str(value["url"]).lstrip("/"))
                if str(value["url"]).startswith("/")
                else str(value["url"]),
                token=value["token"],
                expires_at=None if value["expires_at"] is None else parse_time(value["expires_at"]),
                scopes=scopes_from_json(value["scopes"]),
            )
        except (KeyError, TypeError, ValueError, FileError):
            raise _unexpected(doing) from None

    def global_config(self) -> dict[str, Any]:
        """Give the server's configuration as far as scripts may see it."""
        doing = "get the server's configuration"
        value = self._transport.request("GET", f"{BASE}/config", doing=doing).json()
        if not isinstance(value, dict):
            raise _unexpected(doing)
        return value

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _find(self, kind: type[RecordT], where: Mapping[str, Any]) -> list[RecordT]:
        doing = f"list {kind.nouns()}"
        parameters = [
            ("null", name) if value is None else (name, _text(value))
            for name, values in where.items()
            for value in (values if isinstance(values, tuple) else (values,))
        ]
        found: list[RecordT] = []
        cursor: str | None = None
        while True:
            query = urlencode([*parameters, *([("cursor", cursor)] if cursor else [])])
            answer = self._transport.request("GET", f"{BASE}/{kind.collection}?{query}", doing=doing).json()
            found += [self._record(kind, item, doing) for item in _items(answer, doing)]
            following = answer.get("next")
            if following is None:
                return found
            if not isinstance(following, str) or following == cursor:
                raise _unexpected(doing)
            cursor = following

    @staticmethod
    def _record(kind: type[RecordT], value: Any, doing: str) -> RecordT:
        try:
            return from_json(kind, value)
        except InvalidRecord as error:
            raise ProtocolViolation(f"could not {doing}: the server's answer is not as documented: {error}") from None


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


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return format_time(value)
    return str(value.value if isinstance(value, Enum) else value)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}


def _checked(value: dict[str, Any], doing: str) -> dict[str, Any]:
    faults = tuple(json_faults(value))
    if faults:
        raise InvalidRecord(f"could not {doing}: " + "; ".join(faults), faults)
    return value


def _items(answer: Any, doing: str) -> list[Any]:
    if not isinstance(answer, Mapping):
        raise _unexpected(doing)
    return _listed(answer.get("items"), doing)


def _listed(items: Any, doing: str) -> list[Any]:
    if not isinstance(items, list):
        raise _unexpected(doing)
    return items


def _unexpected(doing: str) -> ProtocolViolation:
    return ProtocolViolation(
        f"could not {doing}: the answer is not as documented; is this the address of an XF Server?"
    )
