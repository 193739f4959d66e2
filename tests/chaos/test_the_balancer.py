"""nginx as the documentation sets it up: what may be repeated goes to the other server, and nothing else does."""

import http.client
import shutil
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.chaos.servers import Nginx
from tests.free_ports import free_port

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


class Upstream(ThreadingHTTPServer):
    """A server that answers with its number, or cuts the connection behind the request."""

    def __init__(self, number, *, cuts):
        self.asked = asked = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                asked.append(self.command)
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                if cuts:
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Content-Length", "1")
                self.end_headers()
                self.wfile.write(str(number).encode())

            do_GET = do_POST = do_PATCH = answer  # noqa: N815  the base class chose the names

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        Thread(target=self.serve_forever, daemon=True).start()


def asked(port, method, body=None):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, "/xf/v1/jobs", body=body)
        answer = connection.getresponse()
        answer.read()
        return answer.status


def until_it_answers(port):
    while True:
        try:
            return asked(port, "GET")
        except OSError:
            time.sleep(0.02)


@pytest.mark.parametrize(("method", "passed_on"), [("GET", True), ("POST", False), ("PATCH", False)])
def test_only_what_is_safe_to_repeat_is_asked_of_the_other_server(tmp_path, method, passed_on):
    with Upstream(1, cuts=True) as broken, Upstream(2, cuts=False) as well:
        port = free_port()
        with Nginx(tmp_path / "nginx", port, [broken.server_port, well.server_port]):
            until_it_answers(port)
            statuses = []
            while broken.asked.count(method) < (2 if method == "GET" else 1):
                statuses.append(asked(port, method, None if method == "GET" else b"{}"))
        broken.shutdown()
        well.shutdown()
    assert ({200} == set(statuses)) is passed_on
    assert passed_on or statuses[-1] == 502
    assert passed_on or well.asked.count(method) == len(statuses) - 1
