"""
A reverse proxy on loopback that records the requests, and breaks or slows it down where a test wants that.

It stands between scripts and a real server, so that scripts which are processes of their own meet real faults on a real
wire: connections that end in the middle of a body, answers that say that the server is busy, slow links.
"""

import http.client
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import define

from xfworker.adapters.wire.problem import PROBLEM_TYPE, problem_body
from xfworker.domain.errors import ServerTimeout, ServerUnreachable, TransferInterrupted, XFWorkerError
from xfworker.domain.records import RECORD_KINDS, Record
from xfworker.ports.clock import Clock
from xfworker.testing.faults import Faults
from xfworker.testing.requests import Request, RequestLog

_BLOCK = 64 * 1024
_CUT_OFF = (TransferInterrupted, ServerUnreachable, ServerTimeout)
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade"}
)
_RECORD_PATH = re.compile(r"/xf/v1/(?P<collection>[a-z-]+)(/(?P<serial>\d+))?/?$")
_ASKED = {
    "output-values": "output_values",
    "combined-query": "combined_query",
    "fss-tokens": "file_token",
    "config": "global_config",
}
_FILE_METHODS = {"HEAD": "stat", "GET": "download", "DELETE": "delete"}
_FIRST_ERROR = 400
_NO_BODY = (204, 304)
_GATEWAY_SECONDS = 300


@define(frozen=True, kw_only=True)
class Upstream:
    """
    What the proxy stands before.

    Attributes:
        host: The server's host.
        port: The server's port.
        faults: What goes wrong.
        requests: Where requests are recorded.
        clock: Is waited on where the link is slow.
        get_ahead: Changes a record as another client would.
    """

    host: str
    port: int
    faults: Faults
    requests: RequestLog
    clock: Clock
    get_ahead: Callable[[type[Record], int], None]


class FaultProxy:
    """
    The proxy, running in threads of this process until it is closed.

    Attributes:
        host: Where it listens.
        port: The port that the system gave it.
    """

    def __init__(self, upstream: Upstream) -> None:
        """Start it."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"upstream": upstream}))
        self._server.daemon_threads = True
        self.host, self.port = "127.0.0.1", self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="fault proxy", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop it; connections that are open end."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def operation_of(method: str, path: str) -> str:
    """Name an HTTP request as :class:`~xfworker.testing.faults.Faults` does; the method itself where it has no name."""
    if path.startswith("/fss/v1/"):
        kind = path.removeprefix("/fss/v1/").partition("/")[0]
        if kind in {"folders", "registrations"}:
            return "list" if kind == "folders" else "register"
        return "upload" if kind == "uploads" and method != "DELETE" else _FILE_METHODS.get(method, "upload")
    match = _RECORD_PATH.match(path)
    if match is None:
        return method
    if match["collection"] in _ASKED:
        return _ASKED[match["collection"]]
    by_method = {"GET": "get", "PATCH": "update"} if match["serial"] else {"GET": "find", "POST": "create"}
    return by_method.get(method, method)


class _CutOffError(Exception):
    """The connection to the client was ended on purpose."""


class _Handler(BaseHTTPRequestHandler):
    upstream: Upstream
    protocol_version = "HTTP/1.1"
    # Small answers must not wait for each other (Nagle), as a real server's do not.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._connection = http.client.HTTPConnection(
            self.upstream.host, self.upstream.port, timeout=_GATEWAY_SECONDS, blocksize=_BLOCK
        )

    def finish(self) -> None:
        self._connection.close()
        super().finish()

    def _pass_on(self) -> None:
        path = unquote(urlsplit(self.path).path)
        operation = operation_of(self.command, path)
        size = int(self.headers.get("Content-Length") or 0)
        error, moved = "", 0
        try:
            fault = self._fault(operation, path)
            if isinstance(fault, _CUT_OFF) and not (operation == "download" and self.command == "GET"):
                self._cut_off(size)
            if fault is not None and not isinstance(fault, _CUT_OFF):
                self._refuse(fault, size)
                error = str(fault.status)
            else:
                status, moved = self._forward(operation, path, size, cut=fault is not None)
                error = str(status) if status >= _FIRST_ERROR else ""
        except _CutOffError:
            error = "cut off"
        except (OSError, http.client.HTTPException):
            # The client went away, or the server did; either shows at the other end.
            error, self.close_connection = "broken off", True
        self.upstream.requests.add(Request(operation=operation, target=path, error=error, bytes=moved))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _pass_on  # noqa: N815  named by the standard library

    def _fault(self, operation: str, path: str) -> XFWorkerError | None:
        seconds = self.upstream.faults.seconds(operation)
        if seconds:
            self.upstream.clock.sleep(seconds)
        try:
            self.upstream.faults.meet(operation, path)
        except XFWorkerError as fault:
            return fault
        return None

    def _forward(self, operation: str, path: str, size: int, *, cut: bool) -> tuple[int, int]:
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            self.send_error(411, "the proxy of the testing kit needs a Content-Length")
            return 411, 0
        body: Any = _Body(self.rfile, size, self._pacer(operation))
        if operation == "update":
            content = b"".join(iter(body.read, b""))
            self._lose_race(path, content)
            body = content
        self._connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self._connection.putheader(name, value)
        self._connection.endheaders()
        pieces = (body,) if isinstance(body, bytes) else iter(body.read, b"")
        for piece in pieces:
            self._connection.send(piece)
        answer = self._connection.getresponse()
        moved = self._answer(answer, operation, cut=cut)
        return answer.status, moved if operation == "download" else size if operation == "upload" else 0

    def _answer(self, answer: http.client.HTTPResponse, operation: str, *, cut: bool) -> int:
        has_body = self.command != "HEAD" and answer.status not in _NO_BODY
        length = answer.getheader("Content-Length")
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        chunked = has_body and length is None
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        moved = 0
        pace = self._pacer(operation)
        limit = int(length or 0) // 2 if cut else None
        while has_body and (piece := answer.read(_BLOCK)):
            if limit is not None and moved + len(piece) > limit:
                self.wfile.write(piece[: limit - moved])
                self._cut_off(0)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            moved += len(piece)
            pace(len(piece))
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        answer.read()
        return moved

    def _refuse(self, fault: XFWorkerError, size: int) -> None:
        for _ in iter(_Body(self.rfile, size, lambda _: None).read, b""):
            pass
        content = problem_body(fault)
        self.send_response_only(fault.status, "Fault")
        self.send_header("Content-Type", PROBLEM_TYPE)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _cut_off(self, size: int) -> None:
        """Take half of the body, then end the connection as a crash does: without an answer."""
        for _ in iter(_Body(self.rfile, size // 2, lambda _: None).read, b""):
            pass
        self.wfile.flush()
        self.close_connection = True
        raise _CutOffError

    def _lose_race(self, path: str, content: bytes) -> None:
        match = _RECORD_PATH.match(path)
        try:
            guarded = json.loads(content).get("expected_occ_lock_version") is not None
        except (ValueError, AttributeError):
            return
        if guarded and match is not None and self.upstream.faults.take_conflict():
            self.upstream.get_ahead(RECORD_KINDS[match["collection"]], int(match["serial"]))

    def _pacer(self, operation: str) -> Callable[[int], None]:
        pace = self.upstream.faults.pace.get(operation)
        if pace is None:
            return lambda _: None
        return lambda size: self.upstream.clock.sleep(size / pace)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the standard library
        """Write nothing: requests are recorded."""


class _Body:
    """The rest of a request's body, read in pieces and at a pace."""

    def __init__(self, source: Any, size: int, pace: Callable[[int], None]) -> None:
        self._source = source
        self._left = size
        self._pace = pace

    def read(self) -> bytes:
        piece: bytes = self._source.read1(min(self._left, _BLOCK)) if self._left else b""
        if self._left and not piece:
            raise ConnectionResetError("the client went away in the middle of a body")
        self._left -= len(piece)
        if piece:
            self._pace(len(piece))
        return piece
