"""Records: lists in pages, one record, a new one, a change."""

from collections.abc import Sequence

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.params import FromPath

from xfworker.adapters.web.exchange import (
    AnyRequest,
    answer,
    caller,
    idempotency_key,
    in_thread,
    json_object,
    message,
    serial_in_range,
)
from xfworker.adapters.web.xf_routes.search import conditions, cursor_after, page_limit, read_cursor
from xfworker.adapters.wire.records import RecordChange
from xfworker.domain.conversion import from_json, to_json
from xfworker.domain.records import RECORD_KINDS, Record
from xfworker.ports.record_store import EncodedRecord
from xfworker.services.platform.platform import Platform

_MOST_BYTES = 32 << 20
"""A page ends with the record with which it has so many bytes: records may be large, and a thousand of them huge."""


def record_routers(platform: Platform) -> list[Router]:
    return [_router(platform, kind) for kind in RECORD_KINDS.values()]


def _router(platform: Platform, kind: type[Record]) -> Router:
    @get("/")
    async def list_records(request: AnyRequest) -> Response[bytes]:
        parameters = request.query_params
        where = conditions(kind, parameters.multi_items())
        limit = page_limit(parameters.get("limit"))
        after = read_cursor(parameters.get("cursor"))

        def page() -> bytes:
            server = platform.server_for(caller(request))
            found = server.encoded_page(kind, where, after=after, limit=limit + 1, most_bytes=_MOST_BYTES)
            return _page(found, limit)

        return Response(content=await in_thread(page), media_type="application/json")

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
        change = await message(request, RecordChange, "the change")
        key = idempotency_key(request)

        def work() -> Record:
            server = platform.server_for(caller(request))
            return server.update(kind, serial_in_range(serial), change.change(), idempotency_key=key)

        return answer(to_json(await in_thread(work)))

    return Router(path=f"/{kind.collection}", route_handlers=[list_records, create_record, get_record, change_record])


def _page(records: Sequence[EncodedRecord], limit: int) -> bytes:
    """
    Write a :class:`~xfworker.adapters.wire.records.Page`.

    One more record than fits says that there is another; where they are as many bytes as a page holds, there may be.
    """
    bodies = [record.body for record in records[:limit]]
    has_more = len(records) > limit or sum(map(len, bodies)) >= _MOST_BYTES
    cursor = cursor_after(records[len(bodies) - 1].position) if has_more else None
    items = b",".join(bodies)
    return b"".join((b'{"items":[', items, b'],"next":', msgspec.json.encode(cursor), b"}"))
