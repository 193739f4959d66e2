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
        status = 500
        written = False

        def write() -> None:
            nonlocal written
            written = True
            milliseconds = (time.perf_counter() - started) * 1000
            self._metrics.count(scope["method"], _area(scope["path"]), status, milliseconds / 1000)
            state: dict[str, Any] = scope.get("state") or {}
            self._log.info(
                "xfworker.request_answered",
                method=scope["method"],
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
        finally:
            if not written:
                write()


def _request_id(scope: Any) -> bytes:
    for name, value in scope["headers"]:
        if name == HEADER and _FIT.fullmatch(value):
            return bytes(value)
    return os.urandom(8).hex().encode()


def _area(path: str) -> str:
    # A label of few values: serials and file names would make one time series each.
    if path.startswith("/images/v1/"):
        return "images/v1"
    parts = [part for part in path.split("/") if part][:3]
    known = "/".join(part for part in parts if not part.isdigit() and len(part) <= 24)  # noqa: PLR2004  longest collection
    return known if path.startswith(("/xf/v1", "/fss/v1", "/sns/v1", "/health", "/metrics")) else "other"
