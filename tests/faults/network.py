"""A network that fails at the n-th operation: real sockets to a real server, whose calls fail as the system's would."""

import errno
import os
import socket
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum
from unittest.mock import patch

import urllib3.util.connection
from urllib3.connection import HTTPConnection

_BLOCK = 1 << 16
_END_OF_HEAD = b"\r\n\r\n"
_BUSY = b"HTTP/1.1 503 Made Up\r\nRetry-After: 30\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Misfortune(Enum):
    """What becomes of an operation, which is a request with its answer; where it is refused, a connection."""

    REFUSED = "connection refused"
    RESET = "reset before the request is sent"
    LOST = "reset when the request is carried out, before the answer arrives"
    CUT = "the answer ends in its middle"
    TIMEOUT = "the request is carried out, and the answer does not come in time"
    BUSY = "503 with Retry-After"


@contextmanager
def failing_network(countdown, misfortune):
    """Let requests of this process's HTTP client fail; what serves them in this process does not notice."""
    connect = urllib3.util.connection.create_connection

    def create_connection(*arguments, **options):
        if misfortune is Misfortune.REFUSED and countdown.strikes("a connection"):
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        return _Socket.of(connect(*arguments, **options), countdown, misfortune)

    with ExitStack() as stack:
        stack.callback(countdown.heal)  # connections that are kept know it still
        stack.enter_context(patch.object(urllib3.util.connection, "create_connection", create_connection))
        if misfortune is Misfortune.REFUSED:
            # A server that went away has ended the connections that were kept, so each request makes one.
            stack.enter_context(patch.object(HTTPConnection, "is_connected", property(lambda _: False)))
        yield


class _Socket(socket.socket):
    @classmethod
    def of(cls, connected, countdown, misfortune):
        timeout = connected.gettimeout()
        made = cls(connected.family, connected.type, connected.proto, fileno=connected.detach())
        made.settimeout(timeout)
        made.countdown, made.misfortune = countdown, misfortune
        made.is_struck, made.answer = False, None
        return made

    def sendall(self, data, *flags):
        line, _, rest = bytes(data[:200]).partition(b"\r\n")
        if line.endswith(b" HTTP/1.1") and rest and self.misfortune is not Misfortune.REFUSED:
            self.method = line.partition(b" ")[0]
            self.is_struck = self.countdown.strikes(line.decode())
        if self.is_struck and self.misfortune is Misfortune.RESET:
            self._break(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
        if self.is_struck and self.misfortune is Misfortune.BUSY:
            self.answer = _BUSY
            return
        super().sendall(data, *flags)

    def recv_into(self, buffer, *arguments):
        if not self.is_struck:
            return super().recv_into(buffer, *arguments)
        if self.misfortune is Misfortune.RESET:
            self._break(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
        if self.answer is None:
            # An answer that begins says that the request was carried out.
            self.answer = self._half_of_answer()
            if self.misfortune is Misfortune.LOST:
                self._break(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
            if self.misfortune is Misfortune.TIMEOUT:
                self._break(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
        count = min(len(self.answer), len(buffer))
        buffer[:count], self.answer = self.answer[:count], self.answer[count:]
        return count

    def _half_of_answer(self):
        """Read an answer, and give half of its body; half of its head where it has none."""
        received = b""
        while _END_OF_HEAD not in received and (block := self.recv(_BLOCK)):
            received += block
        head = received.partition(_END_OF_HEAD)[0] + _END_OF_HEAD
        fields = dict(line.lower().split(b": ", 1) for line in head.splitlines()[1:] if line)
        length = 0 if self.method == b"HEAD" else int(fields.get(b"content-length", 0))
        while len(received) < len(head) + length and (block := self.recv(_BLOCK)):
            received += block
        return received[: len(head) + length // 2] if length else head[: len(head) // 2]

    def _break(self, error):
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        raise error
