"""Connections that have a limit of their own for sending and send a small request at once; network errors by kind."""

import http.client
import socket
import ssl
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from xfworker.adapters.http.answer_head import WholeHeadAnswer
from xfworker.domain.errors import (
    ServerCertificateError,
    ServerError,
    ServerTimeout,
    ServerUnreachable,
)

NETWORK_ERRORS = (HTTPError, OSError, http.client.HTTPException)
"""What sending a request and reading its answer can raise."""

_SENT_WITH_HEAD = 256 << 10
"""Up to so much is copied behind the head of its request where a system, or TLS, takes but one piece of memory."""


class _OwnSending:
    """
    Gives sending its own limit, and sends the head of a request with the first of its body.

    urllib3 leaves the connect limit on the socket while the body goes out (urllib3#857), so a short connect limit would
    end a long upload to a slow disk. It sends the head by itself, which wakes the server once more and before there is
    anything to do.
    """

    response_class = WholeHeadAnswer
    write_seconds: float | None = 60.0
    sock: socket.socket | None
    timeout: Any
    _head: bytes | None = None
    _holds_head = False

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]  # the connection class that this is mixed into has it
        # urllib3 puts this on the socket for the body; it sets it anew, to the connect limit, for each request.
        self.timeout = self.write_seconds
        self._head, self._holds_head = None, True
        try:
            super().request(method, url, body=body, headers=headers, **options)  # type: ignore[misc]  # as above
        finally:
            self._holds_head = False
        if self._head is not None:
            self.send(b"")

    def send(self, data: Any) -> None:
        """Send bytes; the first of a request are its head, which waits for what follows."""
        if self._holds_head:
            self._head, self._holds_head = data, False
            return
        if self._head is not None:
            head, self._head = self._head, None
            data = self._sent_with_head(head, data)
        if data:
            super().send(data)  # type: ignore[misc]  # as above

    def _sent_with_head(self, head: bytes, data: bytes | memoryview) -> bytes | memoryview:
        """Send the head and as much of the data as goes with it; give what is left to be sent."""
        if sys.platform != "win32" and type(self.sock) is socket.socket:
            count = self.sock.sendmsg([head, data])
            if count >= len(head):
                return memoryview(data)[count - len(head) :]
            head = head[count:]
        if len(data) <= _SENT_WITH_HEAD:
            return b"".join((head, data))
        super().send(head)  # type: ignore[misc]  # as above
        return data


class PlainConnection(_OwnSending, HTTPConnection):  # type: ignore[misc]  # options pass through
    """A plain connection with its own limit for sending."""


class TlsConnection(_OwnSending, HTTPSConnection):  # type: ignore[misc]  # options pass through
    """A TLS connection with its own limit for sending."""


def with_write_limit(kind: type, seconds: float) -> type:
    """Give a connection class whose sends may take so long each."""
    return type(kind.__name__, (kind,), {"write_seconds": seconds})


def was_sent(error: BaseException) -> bool:
    """Whether the request may have reached the server, so that repeating it could do things twice."""
    return not any(isinstance(cause, NewConnectionError | ConnectTimeoutError) for cause in _causes(error))


def network_error(error: BaseException, *, doing: str, at: str) -> ServerError:
    """
    Give our error for one of the network.

    Args:
        error: What urllib3 or the socket raised.
        doing: What was being done: ``get job 17``.
        at: Host and port.
    """
    causes = list(_causes(error))
    for kinds, error_class, sentence in _KINDS:
        for cause in causes:
            if isinstance(cause, kinds) and not (error_class is ServerCertificateError and _is_damage(cause)):
                return error_class(f"could not {doing} at {at}: {sentence.format(reason=_reason(cause))}")
    return ServerUnreachable(f"could not {doing} at {at}: {_reason(error)}")


def speaks_tls(error: BaseException) -> bool:
    """Return whether a server that was asked over plain HTTP answered as one does that expects https."""
    # A TLS alert begins with 0x15 0x03; some servers only hang up on what is not a TLS greeting.
    causes = list(_causes(error))
    alert = any(cause.args and str(cause.args[0]).startswith("\x15\x03") for cause in causes)
    return alert or any(isinstance(cause, http.client.RemoteDisconnected) for cause in causes)


def _is_damage(error: BaseException) -> bool:
    """Return whether bytes of an encrypted connection were damaged on their way; the next connection may do better."""
    return "MAC" in (getattr(error, "reason", None) or "") and not isinstance(error, ssl.SSLCertVerificationError)


# Tried in this order, because one error is often wrapped in several others.
_KINDS: tuple[tuple[tuple[type[BaseException], ...], type[ServerError], str], ...] = (
    (
        (ssl.SSLCertVerificationError,),
        ServerCertificateError,
        (
            "the server's certificate is not accepted ({reason}); check the host name, or name your own "
            "certificate authority in the settings (tls.ca_file)"
        ),
    ),
    (
        (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError),
        ServerUnreachable,
        "the encrypted connection broke ({reason})",
    ),
    ((ssl.SSLError, SSLError), ServerCertificateError, "TLS failed ({reason}); does the server speak https?"),
    ((ProxyError,), ServerUnreachable, "the proxy did not let it through ({reason}); check the setting network.proxy"),
    (
        (NameResolutionError, socket.gaierror),
        ServerUnreachable,
        "the name is not known; check the host name and the network",
    ),
    ((ConnectionRefusedError,), ServerUnreachable, "connection refused; is the server running there?"),
    ((NewConnectionError,), ServerUnreachable, "no connection could be made ({reason}); check host, port and firewall"),
    ((ConnectTimeoutError,), ServerUnreachable, "nothing answered in time; check host, port and firewall"),
    ((ReadTimeoutError,), ServerTimeout, "the server took too long to answer"),
    ((TimeoutError,), ServerTimeout, "the server took too long to take the data"),
    ((ConnectionError, ProtocolError), ServerUnreachable, "the connection broke ({reason})"),
)


def _causes(error: BaseException) -> Iterable[BaseException]:
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        cause = pending.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        pending += [item for item in cause.args if isinstance(item, BaseException)]
        pending += [item for item in (cause.__cause__, cause.__context__) if item is not None]
        reason = getattr(cause, "reason", None)
        if isinstance(reason, BaseException):
            pending.append(reason)


def _reason(error: BaseException) -> str:
    # urllib3's own messages name its objects and addresses in memory; the innermost cause says it plainly.
    *_, innermost = _causes(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(innermost, OSError) and innermost.strerror:
        return innermost.strerror
    return str(innermost) or type(innermost).__name__
