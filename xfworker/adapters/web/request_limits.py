"""How long a request's body may pause, and how many requests one address may have open."""

import asyncio
from collections import Counter
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from xfworker.adapters.wire.problem import PROBLEM_TYPE, problem_body, problem_headers
from xfworker.domain.errors import RequestTimeout, TooManyRequests, XFWorkerError

BODY_SECONDS = 60.0
"""How long the next piece of a body may take."""

LOGIN_SECONDS = 10.0
"""How long the next piece of a login may take: it comes from anybody, and is small."""

REQUESTS_PER_ADDRESS = 512
"""How many requests of one address are open at once; a reverse proxy is one address."""


class RequestLimits:
    """ASGI middleware: refuses what is too much, and ends what does not go on."""

    def __init__(
        self, app: ASGIApp, *, body_seconds: float = BODY_SECONDS, requests_per_address: int = REQUESTS_PER_ADDRESS
    ) -> None:
        self._app = app
        self._body_seconds = body_seconds
        self._requests_per_address = requests_per_address
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        address = str((scope.get("client") or ("",))[0])
        if self._open[address] >= self._requests_per_address:
            await _refuse(
                send, TooManyRequests(f"{address} has too many requests open at once", retry_after_seconds=1.0)
            )
            return
        self._open[address] += 1
        try:
            seconds = min(LOGIN_SECONDS, self._body_seconds) if scope["path"] == "/xf/v1/login" else self._body_seconds
            await self._limited(scope, receive, send, seconds)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    async def _limited(self, scope: Scope, receive: Receive, send: Send, seconds: float) -> None:
        body_ended = answered = refused = False

        async def in_time() -> Any:
            nonlocal body_ended, refused
            if body_ended or answered:
                return await receive()  # it waits for the end of the connection, which may take long
            try:
                async with asyncio.timeout(seconds):
                    message = await receive()
            except TimeoutError:
                refused = True
                await _refuse(send, RequestTimeout(f"the body of the request did not go on for {seconds:g} s"))
                return {"type": "http.disconnect"}
            body_ended = not message.get("more_body", False)
            return message

        async def unless_refused(message: Message) -> None:
            nonlocal answered
            answered = True
            if not refused:
                await send(message)

        await self._app(scope, in_time, unless_refused)


async def _refuse(send: Send, error: XFWorkerError) -> None:
    fields = {"content-type": PROBLEM_TYPE, "connection": "close", **problem_headers(error, "GET")}
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": problem_body(error), "more_body": False})
