"""
Built-in servers on Linux for tests that run under wine, where the server itself does not start.

Each connection brings one request as a line of JSON and gets one line of JSON back.
"""

import json
import secrets
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.errors import XFWorkerError

VARIABLE = "XFWORKER_TEST_SERVERS"
"""The environment variable with the port and the key by which tests find this."""


class _Servers(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.key = secrets.token_hex(16)
        self.servers: dict[int, EmbeddedServer] = {}
        self.numbers = count(1)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "start":
            number = next(self.numbers)
            options = {key: Path(value) if key == "sns" else value for key, value in request["options"].items()}
            words = options.pop("words", [])
            server = self.servers[number] = EmbeddedServer(Path(request["data"]), **options)
            server._command += words  # noqa: SLF001  what only these tests want of it
            server.start()
            endpoint = server.endpoint
            return {
                "number": number,
                "host": endpoint.host,
                "port": endpoint.port,
                "admin_token": endpoint.admin_token,
                "pid": endpoint.pid,
            }
        server = self.servers[request["number"]]
        return {"answer": getattr(server, {"stop": "stop", "kill": "kill", "ended": "ended"}[request["do"]])()}


class _Request(socketserver.StreamRequestHandler):
    server: _Servers

    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        if not secrets.compare_digest(request.pop("key"), self.server.key):
            return
        try:
            answer = self.server.answer(request)
        except XFWorkerError as error:
            answer = {"error": str(error)}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


@contextmanager
def offered_servers() -> Iterator[dict[str, str]]:
    """Answer requests until the block ends; give the environment in which tests find this."""
    with _Servers() as offered:
        threading.Thread(target=offered.serve_forever, name="servers", daemon=True).start()
        try:
            yield {VARIABLE: f"{offered.server_address[1]}:{offered.key}"}
        finally:
            offered.shutdown()
            for server in offered.servers.values():
                server.stop()


def linux_path(path: Path) -> str:
    """Give the path of this system that wine shows under a name of Windows."""
    return str(path.absolute()).removeprefix("Z:").replace("\\", "/")
