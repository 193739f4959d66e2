"""Records: lists in pages, one record, a new one, a change."""

from typing import Any

from litestar import Response, Router, get, patch, post
from litestar.params import FromPath

from xfworker.adapters.web.exchange import (
    AnyRequest,
    answer,
    caller,
    idempotency_key,
    in_thread,
    json_object,
    serial_in_range,
    whole,
)
from xfworker.adapters.web.xf_routes.search import conditions, cursor_after, page_limit, read_cursor
from xfworker.domain.change import Change
from xfworker.domain.conversion import from_json, to_json
from xfworker.domain.errors import InvalidRecord
from xfworker.domain.records import RECORD_KINDS, Record
from xfworker.services.platform.platform import Platform

_CHANGE_KEYS = frozenset({"expected_occ_lock_version", "bump_occ_lock_version", "values", "removals"})


def record_routers(platform: Platform) -> list[Router]:
    """Give the routes of every kind of record."""
    return [_router(platform, kind) for kind in RECORD_KINDS.values()]


def _router(platform: Platform, kind: type[Record]) -> Router:
    @get("/")
    async def list_records(request: AnyRequest) -> Response[bytes]:
        parameters = request.query_params
        where = conditions(kind, parameters.multi_items())
        limit = page_limit(parameters.get("limit"))
        after = read_cursor(parameters.get("cursor"))

        def page() -> dict[str, Any]:
            server = platform.server_for(caller(request))
            found = server.page(kind, where, after=after, limit=limit + 1)
            last = found[limit - 1] if len(found) > limit else None
            items = [to_json(record) for record in found[:limit]]
            return {"items": items, "next": None if last is None else cursor_after(last)}

        return answer(await in_thread(page))

    @post("/")
    async def create_record(request: AnyRequest) -> Response[bytes]:
        body = await json_object(request)
        key = idempotency_key(request)

        def create() -> Record:
            server = platform.server_for(caller(request))
            return server.create(from_json(kind, body), idempotency_key=key)

        record = await in_thread(create)
        return answer(to_json(record), 201, {"Location": f"/xf/v1/{kind.collection}/{record.serial}"})

    @get("/{serial:int}")
    async def get_record(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def read() -> Record:
            return platform.server_for(caller(request)).get(kind, serial_in_range(serial))

        return answer(to_json(await in_thread(read)))

    @patch("/{serial:int}")
    async def change_record(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        body = await json_object(request)
        key = idempotency_key(request)

        def change() -> Record:
            server = platform.server_for(caller(request))
            return server.update(kind, serial_in_range(serial), read_change(body), idempotency_key=key)

        return answer(to_json(await in_thread(change)))

    return Router(path=f"/{kind.collection}", route_handlers=[list_records, create_record, get_record, change_record])


def read_change(body: dict[str, Any]) -> Change:
    """
    Read the body of a PATCH.

    Raises:
        InvalidRecord: A key is unknown or of the wrong type.
    """
    faults = [f"{key}: is no part of a change" for key in sorted(set(body) - _CHANGE_KEYS)]
    values = body.get("values", {})
    removals = body.get("removals", [])
    bump = body.get("bump_occ_lock_version", True)
    expected = body.get("expected_occ_lock_version")
    if not isinstance(values, dict):
        faults.append("values: expected an object of JSON pointers and values")
    if not isinstance(removals, list) or not all(isinstance(item, str) for item in removals):
        faults.append("removals: expected an array of JSON pointers")
    if not isinstance(bump, bool):
        faults.append("bump_occ_lock_version: expected bool")
    if faults:
        raise InvalidRecord("the change is malformed: " + "; ".join(faults), faults)
    return Change(
        values=values,
        removals=tuple(removals),
        bump=bump,
        expected_version=None if expected is None else whole(expected, "expected_occ_lock_version"),
    )
