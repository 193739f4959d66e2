"""A wire between a client and a server that counts, remembers what was sent, and can cut every answer."""

import socket
import threading
from contextlib import suppress


class FaultyWire:
    """A forwarder on a loopback port; use it in a ``with`` block."""

    def __init__(self, target_port, *, cut_after=None, lose_answers_to=b"", lost=0):
        self._target = target_port
        self._cut_after = cut_after
        self._lose = lose_answers_to
        self._left_to_lose = lost
        self._doomed = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self._threads = []
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self.sent = b""

    @property
    def requests(self):
        return self.sent.count(b" HTTP/1.1\r\n")

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        for end in self._sockets:
            _hang_up(end)
        for thread in self._threads:
            thread.join()
        for end in self._sockets:
            end.close()

    def _start(self, work, *arguments):
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets.append(server)
                self.connections += 1
                self._start(self._up, client, server)
                self._start(self._down, server, client)

    def _up(self, client, server):
        with suppress(OSError):
            while block := client.recv(65536):
                self.sent += block
                if self._left_to_lose and block.startswith(self._lose):
                    self._left_to_lose -= 1
                    self._doomed.add(server)
                server.sendall(block)
        _hang_up(server)

    def _down(self, server, client):
        left = self._cut_after
        with suppress(OSError):
            while (block := server.recv(65536)) and server not in self._doomed:
                client.sendall(block if left is None else block[:left])
                if left is not None:
                    left -= len(block)
                    if left <= 0:
                        break
        _hang_up(client)
        _hang_up(server)


def _hang_up(end):
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
