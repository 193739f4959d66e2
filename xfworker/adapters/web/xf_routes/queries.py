"""Questions that are more than one record: sequences, combined queries, file tokens, configuration."""

import msgspec
from litestar import Response, Router, get, post

from xfworker.adapters.web.exchange import AnyRequest, answer, answer_message, caller, in_thread, message
from xfworker.adapters.wire.digits import read_digits
from xfworker.adapters.wire.queries import CombinedQueryBody, FileToken, FileTokenRequest
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import InvalidParameter
from xfworker.domain.files import scopes_from_json
from xfworker.domain.queries import Sequence
from xfworker.services.platform.platform import Platform


def question_router(platform: Platform) -> Router:

    @get("/output-values")
    async def output_values(request: AnyRequest) -> Response[bytes]:
        sequence = _sequence(request.query_params.get("task_serial"), request.query_params.get("key"))

        def ask() -> bytes:
            # As a message of Items[SequenceValue] is written, whose fields these values have: there may be very many.
            return msgspec.json.encode({"items": platform.server_for(caller(request)).output_values(sequence)})

        return Response(content=await in_thread(ask), media_type="application/json")

    @post("/combined-query", status_code=200)
    async def combined_query(request: AnyRequest) -> Response[bytes]:
        query = (await message(request, CombinedQueryBody, "the combined query")).query()

        def ask() -> bytes:
            result = platform.server_for(caller(request)).combined_query(query)
            return msgspec.json.encode({part: list(map(to_json, records)) for part, records in result.items()})

        return Response(content=await in_thread(ask), media_type="application/json")

    @post("/fss-tokens")
    async def file_token(request: AnyRequest) -> Response[bytes]:
        scopes = scopes_from_json((await message(request, FileTokenRequest, "the request")).scopes)
        token = await in_thread(lambda: platform.server_for(caller(request)).file_token(scopes))
        return answer_message(FileToken.of_token(token), 201, {"Cache-Control": "no-store"})

    @get("/config")
    async def global_config(request: AnyRequest) -> Response[bytes]:
        return answer(await in_thread(lambda: platform.server_for(caller(request)).global_config()))

    return Router(path="/", route_handlers=[output_values, combined_query, file_token, global_config])


def _sequence(task_serial: str | None, key: str | None) -> Sequence:
    serial = read_digits(task_serial, most=18)
    if serial is None:
        raise InvalidParameter("task_serial: expected the serial of a task")
    if key is None or "\x00" in key:
        raise InvalidParameter("key: expected the key of an output")
    return Sequence(task_serial=serial, key=key)
