"""A workflow's board, complete or what changed about it."""

from typing import Any

from litestar import Response, Router, get
from litestar.params import FromPath

from xfworker.adapters.web.exchange import AnyRequest, answer, caller, in_thread, serial_in_range
from xfworker.adapters.wire.boards import board_body, changes_body
from xfworker.domain.conversion import parse_time
from xfworker.domain.errors import UsageError
from xfworker.services.platform.platform import Platform


def board_router(platform: Platform) -> Router:

    @get("/workflows/{serial:int}/board")
    async def board(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        since = request.query_params.get("since")

        def read() -> dict[str, Any]:
            server = platform.server_for(caller(request))
            if since is None:
                return board_body(server.board(serial_in_range(serial)))
            try:
                moment = parse_time(since)
            except ValueError:
                raise UsageError("since: expected a time, such as the read_at of the board before") from None
            return changes_body(server.board_changes(serial_in_range(serial), moment))

        return answer(await in_thread(read))

    return Router(path="/", route_handlers=[board])
