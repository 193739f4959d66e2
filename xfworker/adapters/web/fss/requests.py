"""One request to the file storage service: its parts checked, its answers sent, straight on ASGI."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote_to_bytes

from attrs import define, field

from xfworker.adapters.web.fss.file_threads import in_file_thread
from xfworker.adapters.wire.authorization import bearer_token
from xfworker.adapters.wire.digits import read_digits
from xfworker.adapters.wire.problem import PROBLEM_TYPE, problem_body, problem_headers
from xfworker.domain.errors import InvalidFilename, UsageError, XFWorkerError
from xfworker.domain.files import Resource, parse_resource

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ResultT = TypeVar("ResultT")

_BATCH_BYTES = 1 << 20
_BATCH_SECONDS = 1.0
"""What a slow client sends is handed over so often: who reconnects while this end still waits goes on behind it."""
_READER_SECONDS = 600.0
"""How long a client may take nothing of an answer; until then some ten blocks of it are kept for it."""


class ClientGone(Exception):
    """The client closed the connection before it had sent everything."""


@define
class Request:
    """
    One request.

    Attributes:
        method: HTTP method.
        segments: The path below the service, percent-decoded segment by segment.
        query: Query parameters, the last value of each.
        headers: Header fields by lower-case name, the last value of each.
        pathsend: Whether the server sends files by itself (ASGI extension ``http.response.pathsend``).
    """

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    pathsend: bool
    _receive: Receive = field(repr=False)
    _send: Send = field(repr=False)
    _fields: Iterable[tuple[bytes, bytes]] = field(default=(), repr=False)
    _answered: bool = False
    _received: bool = False
    _ended: bool = False

    @property
    def token(self) -> str:
        """
        The bearer token.

        Raises:
            AuthenticationFailed: There is none, or more than one.
        """
        return bearer_token(self._fields)

    def resource(self) -> Resource:
        """
        Give the resource that the path names behind its first segment.

        Raises:
            InvalidFilename: It is not a resource of the store.
        """
        # A separator inside a segment (%2F) must not turn into one between segments.
        for segment in self.segments[1:]:
            if "/" in segment:
                raise InvalidFilename(f"path segment {segment[:80]!a} holds a slash")
        return parse_resource("/".join(self.segments[1:]))

    def integer(self, name: str) -> int | None:
        """
        Give a header field that is an integer, 0 or more.

        Raises:
            UsageError: It is something else.
        """
        value = self.headers.get(name)
        if value is None:
            return None
        number = read_digits(value)
        if number is None:
            raise UsageError(f"{name} must be an integer, not {value[:40]!a}")
        return number

    async def body(self, limit: int) -> bytes:
        """
        Read a small body whole.

        Raises:
            UsageError: It is larger than ``limit`` bytes.
        """
        received: list[bytes] = []
        size = 0
        async for blocks in self.blocks():
            received += blocks
            size += sum(map(len, blocks))
            if size > limit:
                raise UsageError(f"the body of this request may have {limit} bytes at most")
        return b"".join(received)

    async def blocks(self, batch_bytes: Callable[[], int] = lambda: _BATCH_BYTES) -> Any:
        """
        Give the body in lists of blocks; where it comes slowly, each list is about a second of it.

        Args:
            batch_bytes: Gives how many bytes a list is to have by now; it has them, and up to a block more.

        Raises:
            ClientGone: The connection closed before the end.
        """
        now = asyncio.get_running_loop().time
        batch: list[bytes] = []
        size, begun = 0, now()
        missing = read_digits(self.headers.get("content-length"))
        while True:
            message = await self._receive()
            self._received = True
            if message["type"] != "http.request":
                self._ended = True
                if batch:
                    yield batch
                raise ClientGone
            block = message.get("body", b"")
            if block:
                batch.append(block)
                size += len(block)
                missing = None if missing is None else missing - len(block)
            # Where all that was announced is there, the server's word for it would only take time.
            more = missing != 0 and message.get("more_body", False)
            self._ended = not more
            if batch and (not more or size >= batch_bytes() or now() >= begun + _BATCH_SECONDS):
                yield batch
                batch, size, begun = [], 0, now()
            if not more:
                return

    async def drain(self, limit: int) -> None:
        """Take what is still coming of the body, up to ``limit`` bytes, and discard it."""
        if self.method not in {"PUT", "PATCH", "POST"} or self._ended:
            return
        if "expect" in self.headers and not self._received:
            return  # the client waits for our consent before it sends anything
        with suppress(ClientGone):
            async for blocks in self.blocks():
                limit -= sum(map(len, blocks))
                if limit < 0:
                    return

    async def answer(
        self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"", *, length: int | None = None
    ) -> None:
        """Send a whole answer. ``length`` is stated instead of the body's own where the body is left out (HEAD)."""
        fields = {**(headers or {})}
        if status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            fields["Content-Length"] = str(len(body) if length is None else length)
        await self._start(status, fields)
        await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    async def answer_json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        """Send a JSON document."""
        body = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
        await self.answer(status, {"Content-Type": "application/json", **(headers or {})}, body)

    async def answer_error(
        self, error: XFWorkerError, headers: Mapping[str, str] | None = None, *, status: int | None = None
    ) -> None:
        """Send an error as an RFC 9457 problem document."""
        if self._answered:
            return  # the answer is on its way; breaking it off shows the client that it is not complete
        fields = {"Content-Type": PROBLEM_TYPE, **(headers or {}), **problem_headers(error, self.method)}
        await self.answer(status or error.status, fields, problem_body(error, status))

    async def answer_file(self, status: int, headers: Mapping[str, str], path: str) -> None:
        """Send a file by the server's own means."""
        await self._start(status, headers)
        await self._send({"type": "http.response.pathsend", "path": path})

    async def answer_blocks(self, status: int, headers: Mapping[str, str], blocks: Iterable[bytes]) -> None:
        """Send a body block by block; each is read in another thread."""
        await self._start(status, headers)
        pending = iter(blocks)
        while (block := await in_file_thread(next, pending, None)) is not None:
            try:
                async with asyncio.timeout(_READER_SECONDS):
                    await self._send({"type": "http.response.body", "body": block, "more_body": True})
            except TimeoutError:
                raise ClientGone from None
        await self._send({"type": "http.response.body", "body": b""})

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        self._answered = True
        fields = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": int(status), "headers": fields})


def read_request(scope: Scope, receive: Receive, send: Send, *, mount: str) -> Request:
    """
    Read the head of a request.

    Args:
        scope: The ASGI scope.
        receive: The ASGI receive callable.
        send: The ASGI send callable.
        mount: The service's own base path, ``/fss/v1``.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    raw = raw.partition(b"?")[0]
    _, _, below = raw.partition(mount.encode() + b"/")
    segments = tuple(unquote_to_bytes(part).decode("utf-8", "surrogateescape") for part in below.split(b"/"))
    query = parse_qs(scope.get("query_string", b"").decode("ascii", "replace"), keep_blank_values=True)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(
        method=scope["method"],
        segments=segments,
        query={name: values[-1] for name, values in query.items()},
        headers=headers,
        pathsend="http.response.pathsend" in (scope.get("extensions") or {}),
        receive=receive,
        send=send,
        fields=scope["headers"],
    )
