"""
One server over HTTP: kept-alive connections, time limits, repeats that are safe, and failures as our errors.

The token travels in the ``Authorization`` header only; no message, log event or ``repr`` shows it.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import urllib3

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.http.answer_stream import AnswerStream, require_uncompressed
from xfworker.adapters.http.connection import NETWORK_ERRORS, network_error, speaks_tls, was_sent
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.network_options import ProxyOptions, TlsOptions
from xfworker.adapters.http.pool import open_pool
from xfworker.adapters.wire.authorization import authorization
from xfworker.adapters.wire.digits import read_digits
from xfworker.domain.address import Address
from xfworker.domain.errors import (
    ConfigurationError,
    InvalidRecord,
    ProtocolViolation,
    ServerBusy,
    ServerError,
    ServerUnreachable,
    XFWorkerError,
)
from xfworker.domain.json_value import json_violations
from xfworker.ports.clock import Clock
from xfworker.services.retry_policy import RetryPolicy

BLOCK_BYTES = 1 << 20
"""How much is read and sent at a time; urllib3's own 16 KiB cost half the speed."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_TOO_MANY = 429
_SLOW_DOWN = (_TOO_MANY, 503)
_PASSING = (500, 502, 503, 504)
_FIRST_ERROR = 300
_NOT_MODIFIED = 304
_NO_RETRIES = urllib3.Retry(total=False, redirect=False)
"""urllib3 would make one for each request."""
_PROBLEM_BYTES = 256 * 1024
_DIGITS_OF_SECONDS = 7
_LONGEST_WAIT_SECONDS = 5.0
_LONGEST_ANSWER_SECONDS = 3600.0
"""How long an answer may go on arriving; each piece of it has its own limit besides."""


class HttpAnswer:
    """
    A whole answer.

    Attributes:
        status: HTTP status, below 300.
        headers: Header fields; names are compared without case.
        body: The whole body.
    """

    def __init__(self, *, status: int, headers: Mapping[str, str], body: bytes, doing: str) -> None:
        """Take an answer to what was being done."""
        self.status = status
        self.headers = headers
        self.body = body
        self.doing = doing

    def json(self) -> Any:
        """
        Give the body as JSON.

        Raises:
            ProtocolViolation: It is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise ProtocolViolation(
                f"could not {self.doing}: the answer is not JSON ({self.headers.get('content-type', 'no type')}); "
                "is this the address of an XF Server?"
            ) from None


class HttpTransport:
    """
    One server and one token over kept-alive connections.

    Safe to share between threads, and with processes that are forked: each makes connections of its own.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        limits: HttpLimits | None = None,
        tls: TlsOptions | None = None,
        proxy: ProxyOptions | None = None,
        allow_plain_http: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """
        Prepare; nothing is connected yet.

        Args:
            url: ``https://host:port``, with a path before all others where the server sits behind one.
            token: The bearer token.
            limits: Time limits and repeats.
            tls: How the server is trusted.
            proxy: By which proxy it is reached.
            allow_plain_http: Whether ``http`` may go further than this computer.
            clock: Waits between repeats.

        Raises:
            ConfigurationError: The address is malformed, or plain HTTP would leave this computer.
        """
        address = Address.read(url)
        if address.scheme == "http" and not allow_plain_http and not address.is_loopback:
            raise ConfigurationError(
                f"http://{address.host} would send the token unprotected over the network; use https, or allow "
                "plain HTTP in the settings (allow_plain_http)"
            )
        self._limits = limits or HttpLimits()
        self._clock: Clock = clock or SystemClock()
        # Which of the errors may pass depends on the request, so that is decided there.
        self._retry_policy = RetryPolicy(
            on=(XFWorkerError,),
            attempts=self._limits.attempts,
            first_wait_seconds=self._limits.backoff_seconds,
            longest_wait_seconds=_LONGEST_WAIT_SECONDS,
            throttled_seconds=self._limits.patience_seconds,
        )
        self._token = token
        self._address = address
        self._tls, self._proxy = tls or TlsOptions(), proxy or ProxyOptions()
        self._own_pool = self._opened()
        self._process = os.getpid()
        self._has_answered = False
        self.at = address.at
        self.url = str(address)

    def __repr__(self) -> str:
        return f"HttpTransport({self.url!r})"

    def _opened(self) -> urllib3.HTTPConnectionPool:
        return open_pool(
            self._address,
            self._tls,
            self._proxy,
            connections=self._limits.connections,
            block_bytes=BLOCK_BYTES,
            write_seconds=self._limits.write_seconds,
        )

    @property
    def _pool(self) -> urllib3.HTTPConnectionPool:
        # A forked process inherits the sockets; two that wrote to one would read each other's answers.
        if self._process != os.getpid():
            self._own_pool = self._opened()
            self._process = os.getpid()
        return self._own_pool

    def request(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        json_body: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool | None = None,
        read_seconds: float | None = None,
    ) -> HttpAnswer:
        """
        Send a request and give the whole answer.

        Args:
            method: The HTTP method.
            path: Path and query, below the transport's address.
            doing: What is being done, for messages: ``get job 17``.
            json_body: What to send as JSON.
            body: What to send as it is.
            headers: Header fields to send besides.
            repeat: Whether the request may be sent again when its fate is unknown; by default where the method is safe
                or idempotent, or an ``Idempotency-Key`` is among the headers.
            read_seconds: How long to wait for the answer where it takes the server longer than usual.

        Raises:
            ServerError: The server could not be asked, or failed.
            XFWorkerError: What the server refused, as the class that it named.
        """
        fields = self._fields(headers)
        if json_body is not None:
            body = _encoded(json_body, doing)
            fields["Content-Type"] = "application/json"
        if repeat is None:
            repeat = method in _SAFE or any(name.lower() == "idempotency-key" for name in fields)
        retries = self._retry_policy.begin(self._clock, f"{doing} at {self.at}")
        while True:
            error: XFWorkerError
            try:
                response = self._send(method, path, body, fields, read_seconds)
                content = self._whole_body(response, doing)
            except NETWORK_ERRORS as caught:
                error, may_pass = self._network_error(caught, doing), repeat or not was_sent(caught)
            else:
                answer = HttpAnswer(status=response.status, headers=response.headers, body=content, doing=doing)
                if answer.status < _FIRST_ERROR or answer.status == _NOT_MODIFIED:
                    return answer
                error = self._refusal(answer)
                may_pass = answer.status == _TOO_MANY or (repeat and answer.status in _PASSING)
            if not may_pass:
                raise error
            retries.wait(error)

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        accept: frozenset[int] = frozenset(),
        read_seconds: float | None = None,
    ) -> Iterator[AnswerStream]:
        """
        Send a request once and give its answer while it arrives. Repeating is the caller's business.

        Args:
            method: The HTTP method.
            path: Path and query, below the transport's address.
            doing: What is being done, for messages.
            headers: Header fields to send besides; a body other than bytes needs its ``Content-Length`` here.
            body: Bytes, a file, or something to iterate over.
            accept: Statuses from 300 on that are answers here rather than errors.
            read_seconds: How long to wait for the answer where it takes the server longer than usual.

        Raises:
            ServerError: The server could not be asked, failed, or broke off.
            XFWorkerError: What the server refused, as the class that it named.
        """
        fields = self._fields(headers)
        try:
            response = self._send(method, path, body, fields, read_seconds)
        except NETWORK_ERRORS as error:
            raise self._network_error(error, doing) from error
        answer = AnswerStream(response, method=method, doing=doing, at=self.at)
        try:
            if answer.status >= _FIRST_ERROR and answer.status not in accept:
                raise self._refusal(
                    HttpAnswer(
                        status=answer.status, headers=answer.headers, body=answer.read(_PROBLEM_BYTES), doing=doing
                    )
                )
            yield answer
        finally:
            answer.close()

    def _network_error(self, error: BaseException, doing: str) -> ServerError:
        if self._address.scheme == "http" and not self._has_answered and speaks_tls(error):
            return ServerUnreachable(
                f"could not {doing} at {self.at}: the connection was ended without an answer; if the server "
                f"speaks https, its address is https://{self.at}"
            )
        return network_error(error, doing=doing, at=self.at)

    def _fields(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        fields = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "xfworker",
            **(headers or {}),
        }
        if self._token is not None:
            fields = authorization(self._token) | fields
        return fields

    def _send(
        self, method: str, path: str, body: Any, fields: dict[str, str], read_seconds: float | None
    ) -> urllib3.BaseHTTPResponse:
        response = self._pool.urlopen(
            method,
            self._address.path + path,
            body=body,
            headers=fields,
            retries=_NO_RETRIES,
            redirect=False,
            preload_content=False,
            timeout=urllib3.Timeout(
                connect=self._limits.connect_seconds, read=read_seconds or self._limits.read_seconds
            ),
        )
        self._has_answered = True
        return response

    def _whole_body(self, response: urllib3.BaseHTTPResponse, doing: str) -> bytes:
        """
        Read a body as it was sent, neither longer nor for longer than an answer may be.

        Raises:
            ProtocolViolation: It is, or it is compressed.
        """
        require_uncompressed(response, doing=doing, at=self.at)
        content = response.read1(BLOCK_BYTES, decode_content=False)
        if not content:
            return content
        pieces, most = [content], self._limits.answer_mib << 20
        left, until = most - len(content), self._clock.monotonic() + _LONGEST_ANSWER_SECONDS
        while piece := response.read1(BLOCK_BYTES, decode_content=False):
            left -= len(piece)
            if left < 0 or self._clock.monotonic() > until:
                response.close()
                reason = f"is longer than {self._limits.answer_mib} MiB (answer_mib in the settings, [http])"
                if left >= 0:
                    reason = f"did not end within {_LONGEST_ANSWER_SECONDS:.0f} s"
                raise ProtocolViolation(f"could not {doing} at {self.at}: the answer {reason}")
            pieces.append(piece)
        return b"".join(pieces)

    def _refusal(self, answer: HttpAnswer) -> XFWorkerError:
        from xfworker.adapters.wire.problem import error_from_answer, problem_in_headers

        error = error_from_answer(
            answer.status,
            answer.headers.get("content-type", ""),
            answer.body or problem_in_headers(answer.headers) or b"",
            doing=f"{answer.doing} at {self.at}",
            request_id=answer.headers.get("x-request-id"),
        )
        if answer.status in _SLOW_DOWN:
            wait = _retry_after(answer.headers)
            return ServerBusy(str(error), retry_after_seconds=wait)
        return error

    def close(self) -> None:
        self._pool.close()


def new_idempotency_key() -> str:
    """Give a key that names one request, however often it is sent."""
    import uuid

    return str(uuid.uuid4())


def _encoded(value: Any, doing: str) -> bytes:
    try:
        encoded = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        encoded = None
    # Half of a surrogate pair is nothing that a server could read, so it could not say where it is. The rest it can.
    violations = json_violations(value) if encoded is None or "\\ud" in encoded else []
    if encoded is None or violations:
        raise InvalidRecord(f"could not {doing}: " + ("; ".join(violations) or "the value is not JSON"), violations)
    return encoded.encode()


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "").strip()
    seconds = read_digits(value, most=_DIGITS_OF_SECONDS)
    if seconds is not None:
        return float(seconds)
    from xfworker.adapters.wire.http_date import read_http_date

    moment = read_http_date(value)
    return None if moment is None else max((moment - datetime.now(UTC)).total_seconds(), 0.0)
