"""An id for every request, in its answer and in the log event about it."""

import os
import re
import time
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from xfworker.adapters.web.metrics import RequestMetrics

HEADER = b"x-request-id"
"""The header field that carries the id; a client may choose it."""

_LINK_TOKEN = re.compile(r"^(/images/v1/link/)[^/]+")
"""A token in a path, for viewers that cannot send one elsewhere; logs are read by others."""

_CLIENT_GONE = 499
"""What nginx writes where there was nobody left to be answered."""

_FIT = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """ASGI middleware: gives each request an id, counts it, and writes one event when it is answered."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics
        # Bound here: a logger of a module is put together anew for each event, and this one has one per request.
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.web").bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.WEBSOCKET:
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        started = time.perf_counter()
        status = _CLIENT_GONE
        written = False

        def write() -> None:
            nonlocal written
            written = True
            milliseconds = (time.perf_counter() - started) * 1000
            self._metrics.count(scope["method"], scope["path"], status, milliseconds / 1000)
            state: dict[str, Any] = scope.get("state") or {}
            self._log.info(
                "xfworker.request_answered",
                method=scope["method"][:16],
                path=_LINK_TOKEN.sub(r"\1...", scope["path"])[:300],
                status=status,
                milliseconds=round(milliseconds, 2),
                caller=state.get("xfworker_caller"),
                request_id=request_id.decode(),
            )

        async def with_request_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER, request_id)]
            elif message["type"] == "http.response.body" and not message.get("more_body"):
                # Before the last bytes: whoever has the whole answer finds its event and sees it counted.
                write()
            await send(message)

        try:
            with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
                await self._app(scope, receive, with_request_id)
        except Exception:
            if status == _CLIENT_GONE:
                status = 500
            raise
        finally:
            if not written:
                write()


def _request_id(scope: Any) -> bytes:
    for name, value in scope["headers"]:
        if name == HEADER and _FIT.fullmatch(value):
            return bytes(value)
    return os.urandom(8).hex().encode()
