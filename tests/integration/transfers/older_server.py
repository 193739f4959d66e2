"""A reverse proxy that hides what servers before the quick digest did not have."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

_HIDDEN = frozenset({"xf-quick-digest", "transfer-encoding", "connection", "date", "server"})


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    origin = ""
    damage = False

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        answer = urllib3.request(
            self.command, self.origin + self.path, body=body, headers=headers, retries=False, redirect=False
        )
        found = bytearray(answer.data)
        if self.damage and found:
            found[len(found) // 2] ^= 1
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HIDDEN:
                self.send_header(name, "sha-256" if name.lower() == "xf-prefix-digest" else value)
        self.end_headers()
        self.wfile.write(found)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_OPTIONS = _pass_on  # noqa: N815  as http.server names them

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def older_server(origin: str, *, damage: bool = False) -> Iterator[str]:
    """Put the proxy in front of a server; ``damage`` turns a bit of each body that it answers with."""
    handler = type("Handler", (_Proxy,), {"origin": origin, "damage": damage})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
