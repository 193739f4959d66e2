"""How long a body may pause, how many of one address are on their way at once, and how much is held in memory."""

import asyncio
from collections import Counter
from typing import Any

from attrs import define, field
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from xfworker.adapters.wire.problem import PROBLEM_TYPE, problem_body, problem_headers
from xfworker.domain.errors import (
    InvalidRecord,
    RequestTimeout,
    ServerBusy,
    TooManyRequests,
    UsageError,
    XFWorkerError,
)

BODY_SECONDS = 60.0
"""How long the next piece of a body may take."""

LOGIN_SECONDS = 10.0
"""How long the next piece of a login may take: it comes from anybody, and is small."""

BODIES_PER_ADDRESS = 512
"""How many bodies of one address are on their way at once; a reverse proxy is one address."""

HELD_BYTES = 1 << 30
"""
How much all bodies that are held whole, until they are answered, may take in memory beside the start of each, as they
are and as what is read out of them. A field of 4 MiB fits into it whatever it holds.
"""

_START_BYTES = 64 << 10
"""So much of each body is not counted: what workers and scripts need to go on is smaller, and never refused."""
_VALUE_BYTES = 200
_CONTAINER_BYTES = 512
"""What a value, and an array or object with its copies, takes beside its bytes, which may be two of them."""
_NOT_HELD = "/fss/v1/"
"""Bodies of files are written as they come."""
_LOGINS = frozenset({"/xf/v1/login", "/sign-in"})
_BUSY_SECONDS = 1.0
_PROMPT_SECONDS = 0.5
"""A body that is there by then is not on its way: requests without one, or with a small one, are never too many."""


class RequestLimits:
    """ASGI middleware: refuses bodies that are too many, and ends those that do not go on."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_seconds: float = BODY_SECONDS,
        bodies_per_address: int = BODIES_PER_ADDRESS,
        prompt_seconds: float = _PROMPT_SECONDS,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self._app = app
        self._body_seconds = body_seconds
        self._prompt_seconds = prompt_seconds
        self._arriving = _Arriving(bodies_per_address)
        self._held = _Held(held_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        address = str((scope.get("client") or ("",))[0])
        seconds = min(LOGIN_SECONDS, self._body_seconds) if scope["path"] in _LOGINS else self._body_seconds
        held = None if scope["path"].startswith(_NOT_HELD) else self._held
        body = _Body(receive, send, address, self._arriving, held, seconds, min(self._prompt_seconds, seconds))
        try:
            await self._app(scope, body.receive, body.send)
        finally:
            body.close()


@define
class _Arriving:
    """Counts the bodies that are on their way, by address."""

    _most: int
    _counts: Counter[str] = field(factory=Counter)

    def add(self, address: str) -> None:
        if self._counts[address] >= self._most:
            raise TooManyRequests(f"{address} has too many requests open at once", retry_after_seconds=1.0)
        self._counts[address] += 1

    def remove(self, address: str) -> None:
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]


@define
class _Held:
    """Counts the bytes of bodies that are in memory."""

    _most: int
    _bytes: int = 0

    def add(self, count: int, *, of: int) -> None:
        if of > self._most:
            raise InvalidRecord("the request's body holds too many values; store them as a file")
        if self._bytes + count > self._most:
            raise ServerBusy("the server holds too many large requests at once", retry_after_seconds=_BUSY_SECONDS)
        self._bytes += count

    def remove(self, count: int) -> None:
        self._bytes -= count


@define
class _Body:
    """The body of one request on its way to the application."""

    _receive: Receive
    _send: Send
    _address: str
    _arriving: _Arriving
    _held: _Held | None
    _seconds: float
    _prompt_seconds: float
    _prompt_until: float | None = None
    _is_counted: bool = False
    _has_ended: bool = False
    _is_answered: bool = False
    _is_refused: bool = False
    _watch: asyncio.TimerHandle | None = None
    _waiter: "asyncio.Task[Any] | None" = None
    _waits_since: float = 0.0
    _is_late: bool = False
    _weight: int = 0
    _held_bytes: int = 0

    async def receive(self) -> Any:
        """Give the next message, as the server does."""
        if self._has_ended or self._is_answered:
            return await self._receive()
        try:
            message = await (self._next() if self._is_counted else self._first())
            if message["type"] == "http.disconnect":
                # Whoever is still there sent something that is not framed as HTTP asks.
                raise UsageError("the body of the request broke off, or is malformed")
            self._hold(message.get("body", b""))
            self._has_ended = not message.get("more_body", False)
            if not self._has_ended and not self._is_counted:
                self._count()
        except XFWorkerError as error:
            self._is_refused = True
            await _refuse(self._send, error)
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        """Send an answer, unless the request was refused already."""
        self._is_answered = True
        if not self._is_refused:
            await self._send(message)

    def close(self) -> None:
        """Count and watch the body no longer."""
        if self._watch is not None:
            self._watch.cancel()
        if self._is_counted:
            self._arriving.remove(self._address)
            self._is_counted = False
        if self._held is not None:
            self._held.remove(self._held_bytes)

    def _hold(self, piece: bytes) -> None:
        """Count what came of a body that is held whole, and what will be read out of it."""
        if self._held is None:
            return
        self._weight += memory_of(piece)
        more = max(self._weight - _START_BYTES, 0) - self._held_bytes
        if more:
            self._held.add(more, of=self._weight)
            self._held_bytes += more

    def _count(self) -> None:
        """Count a body that goes on; where there are too many, it may still be whole in a moment."""
        try:
            self._arriving.add(self._address)
        except TooManyRequests:
            if not self._prompt_seconds_left():
                raise
        else:
            self._is_counted = True

    def _prompt_seconds_left(self) -> float:
        """Give how long the rest of the body may take until it is on its way, counted from when it was asked for."""
        now = asyncio.get_running_loop().time()
        if self._prompt_until is None:
            self._prompt_until = now + self._prompt_seconds
        return max(self._prompt_until - now, 0.0)

    async def _first(self) -> Any:
        # A task, because what it waits for must not be lost when it is late.
        coming: asyncio.Future[Any] = asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait({coming}, timeout=self._prompt_seconds_left())
            if not coming.done():
                self._arriving.add(self._address)
                self._is_counted = True
                await asyncio.wait({coming}, timeout=self._seconds - self._prompt_seconds)
            if not coming.done():
                raise self._late()
            return coming.result()
        finally:
            coming.cancel()

    async def _next(self) -> Any:
        # One timer for the whole body: a timeout for each of a large file's thousands of pieces costs the server more
        # than to write them.
        loop = asyncio.get_running_loop()
        if self._watch is None:
            self._watch = loop.call_later(self._seconds, self._look)
        self._waits_since = loop.time()
        task = self._waiter = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if self._is_late and task.uncancel() <= cancelling:
                raise self._late() from None
            raise
        finally:
            self._waiter = None

    def _look(self) -> None:
        """End the wait for a piece that takes too long, or look again when it might."""
        loop = asyncio.get_running_loop()
        left = self._seconds if self._waiter is None else self._waits_since + self._seconds - loop.time()
        if self._waiter is not None and left <= 0:
            self._watch, self._is_late = None, True
            self._waiter.cancel()
        else:
            self._watch = loop.call_later(left, self._look)

    def _late(self) -> RequestTimeout:
        return RequestTimeout(f"the body of the request did not go on for {self._seconds:g} s")


def memory_of(piece: bytes) -> int:
    """Give the most that a piece of JSON takes in memory, as it is and read as a record."""
    containers = piece.count(b"[") + piece.count(b"{")
    return len(piece) + piece.count(b",") * _VALUE_BYTES + containers * _CONTAINER_BYTES


async def _refuse(send: Send, error: XFWorkerError) -> None:
    fields = {"content-type": PROBLEM_TYPE, "connection": "close", **problem_headers(error, "GET")}
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": problem_body(error), "more_body": False})
