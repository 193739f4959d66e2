"""A link between a client and a real server that breaks, stalls, damages or slows down what passes, as a test wants."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from attrs import define, field

_CHUNK = 64 * 1024
_SEND_BUFFER = 128 * 1024
"""A reset throws away what waits in the system's send buffer; left alone that grows to mebibytes, as it pleases."""


@define
class Fault:
    """
    What happens to one connection.

    Attributes:
        cut_up_after: Reset it when so many bytes went to the server.
        cut_down_after: Reset it when so many bytes came from the server.
        end_down_after: End it politely there: the answer is truncated.
        stall_down_after: Let nothing more through from there on, and keep the connection open.
        damage_up_at: Turn a bit of this byte towards the server.
        damage_down_at: The same towards the client.
        damage_every: Do it again after so many bytes, and again.
        answer: Give this instead of asking the server.
        bytes_per_second: How fast it is, each way.
        only: The fault is for the first connection whose first bytes hold this; others pass it by.
    """

    cut_up_after: int | None = None
    cut_down_after: int | None = None
    end_down_after: int | None = None
    stall_down_after: int | None = None
    damage_up_at: int | None = None
    damage_down_at: int | None = None
    damage_every: int | None = None
    answer: bytes | None = None
    bytes_per_second: float | None = None
    only: bytes = b""


def refusal(status: int, *headers: str) -> Fault:
    """An answer that the server never gave."""
    lines = [f"HTTP/1.1 {status} Made Up", "Content-Length: 0", "Connection: close", *headers, "", ""]
    return Fault(answer="\r\n".join(lines).encode())


@define
class FaultyLink:
    """
    A TCP proxy.

    Attributes:
        url: Where clients connect.
        faults: What the next connections suffer, one each; then none.
        always: What every connection suffers that has no fault of its own.
        server: Where the server is; a test may set another while the link stands.
        up: Bytes that went towards the server.
        down: Bytes that came from it.
        connections: How many connections were made.
        on_bytes: Called after each chunk.
    """

    server: tuple[str, int]
    faults: list[Fault] = field(factory=list)
    always: Fault = field(factory=Fault)
    up: int = 0
    down: int = 0
    connections: int = 0
    on_bytes: Callable[["FaultyLink"], None] = lambda _: None
    url: str = ""
    _sockets: list[socket.socket] = field(factory=list, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        with self._lock:
            self.connections += 1
            self._sockets.append(client)
        try:
            first = client.recv(_CHUNK)
        except OSError:
            return
        fault = self._fault_for(first)
        if fault.answer is not None:
            with contextlib.suppress(OSError):
                client.sendall(fault.answer)
                client.shutdown(socket.SHUT_WR)
                while client.recv(_CHUNK):
                    pass
            client.close()
            return
        try:
            server = socket.create_connection(self.server)
        except OSError:
            _reset(client)
            return
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        with self._lock:
            self._sockets.append(server)
        up = threading.Thread(target=self._pump, args=(client, server, fault, True, first), daemon=True)
        up.start()
        self._pump(server, client, fault, False, b"")

    def _fault_for(self, first: bytes) -> Fault:
        with self._lock:
            for index, fault in enumerate(self.faults):
                if fault.only in first:
                    return self.faults.pop(index)
        return self.always

    def _pump(self, source: socket.socket, target: socket.socket, fault: Fault, upwards: bool, first: bytes) -> None:
        passed = 0
        cut = fault.cut_up_after if upwards else fault.cut_down_after
        damage = fault.damage_up_at if upwards else fault.damage_down_at
        ends = [limit for limit in (cut, None if upwards else fault.end_down_after) if limit is not None]
        try:
            while chunk := first or source.recv(_CHUNK):
                first = b""
                if ends:
                    chunk = chunk[: min(ends) - passed]
                if damage is not None and passed <= damage < passed + len(chunk):
                    spoiled = bytearray(chunk)
                    spoiled[damage - passed] ^= 1 << random.randrange(8)
                    chunk = bytes(spoiled)
                    damage = damage + fault.damage_every if fault.damage_every else None
                stall = fault.stall_down_after
                if not upwards and stall is not None and passed + len(chunk) > stall:
                    target.sendall(chunk[: max(stall - passed, 0)])
                    threading.Event().wait()
                target.sendall(chunk)
                passed += len(chunk)
                with self._lock:
                    if upwards:
                        self.up += len(chunk)
                    else:
                        self.down += len(chunk)
                self.on_bytes(self)
                if fault.bytes_per_second:
                    time.sleep(len(chunk) / fault.bytes_per_second)
                if cut is not None and passed >= cut:
                    _reset(source)
                    _reset(target)
                    return
                if ends and passed >= min(ends):
                    break
            target.shutdown(socket.SHUT_WR)
        except OSError:
            _reset(source)
            _reset(target)

    def cut_all(self) -> None:
        """Reset every connection that is open."""
        with self._lock:
            for connection in self._sockets:
                _reset(connection)
            self._sockets.clear()


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        connection.close()


@contextlib.contextmanager
def faulty_link(server_url: str) -> Iterator[FaultyLink]:
    """Put a link in front of a server."""
    parts = urlsplit(server_url)
    listener = socket.create_server(("127.0.0.1", 0))
    link = FaultyLink((parts.hostname, parts.port), url=f"http://127.0.0.1:{listener.getsockname()[1]}")
    threading.Thread(target=link.serve, args=(listener,), daemon=True).start()
    try:
        yield link
    finally:
        listener.close()
        link.cut_all()
