"""A stand-in for Girder's server, in a process of its own."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _GirderStub(BaseHTTPRequestHandler):
    """
    As much of Girder as its client needs.

    Chunks are written to a file and hashed as Girder's own file system store does it: SHA-512, 64 KiB at a time.
    """

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        digest = hashlib.sha512()
        with Path(f"{os.environ['GIRDER_FILE']}.girder").open("ab") as file:
            while left:
                block = self.rfile.read(min(left, 64 * 1024))
                left -= len(block)
                file.write(block)
                digest.update(block)
        self._answer(b'{"_modelType": "file", "_id": "upload", "received": 0}')

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if not self.path.endswith("/download"):
            size = Path(os.environ["GIRDER_FILE"]).stat().st_size
            described = {"_modelType": "file", "_id": "file", "name": "source", "size": size}
            self._answer(json.dumps(described | {"created": "2024-01-01T00:00:00"}).encode())
            return
        path = Path(os.environ["GIRDER_FILE"])
        self.send_response(200)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.end_headers()
        with path.open("rb") as file:
            self.connection.sendfile(file)

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def girder_stub(source: Path) -> Iterator[tuple[str, int]]:
    """Start it; gives its address and its process."""
    code = "from benchmarks.girder_stub import serve_girder; serve_girder()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "GIRDER_FILE": str(source)}
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    try:
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.kill()
        process.wait()


def serve_girder() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _GirderStub)
    print(server.server_address[1], flush=True)
    server.serve_forever()
