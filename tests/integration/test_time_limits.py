"""Nobody waits for ever: a client for a server that is silent, a server for a client that is."""

import socket
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.transport import HttpTransport
from xfworker.domain.errors import ServerTimeout, ServerUnreachable

GIVEN_UP = 20.0
"""So long a test waits for a limit that does not hold; less than what the system and Granian have for limits."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@pytest.fixture
def silent():
    """Listen, and say nothing to anybody who connects, until the test gives up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        giving_up = threading.Timer(GIVEN_UP, listener.shutdown, [socket.SHUT_RDWR])
        giving_up.start()
        yield listener
        giving_up.cancel()


def transport_to(listener, **limits):
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    return HttpTransport(url, limits=HttpLimits(attempts=1, **limits))


def whole(transport):
    transport.request("GET", "/x", doing="ask")


def piece_by_piece(transport):
    with transport.stream("GET", "/x", doing="ask") as answer:
        answer.read(10)


@pytest.mark.skipif(sys.platform != "linux", reason="how many connections a listener keeps is the system's")
@pytest.mark.parametrize("asked", [whole, piece_by_piece])
def test_a_connection_that_is_not_made_is_given_up(silent, asked):
    silent.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for one in waiting:
        one.setblocking(False)
        with suppress(BlockingIOError):
            one.connect(silent.getsockname())
    transport = transport_to(silent, connect_seconds=0.2, read_seconds=2 * GIVEN_UP)
    with pytest.raises(ServerUnreachable, match="nothing answered in time"):
        asked(transport)
    for one in waiting:
        one.close()
    transport.close()


@pytest.mark.parametrize("asked", [whole, piece_by_piece])
@pytest.mark.parametrize("sent", [b"", HEAD[:20], HEAD, HEAD + b"12345"])
def test_an_answer_that_does_not_go_on_is_given_up(silent, asked, sent):
    def say():
        with suppress(OSError):  # of the listener that the test gave up
            connection, _ = silent.accept()
            with connection:
                connection.sendall(sent)
                connection.settimeout(GIVEN_UP)
                while connection.recv(65536):
                    pass

    saying = threading.Thread(target=say)
    saying.start()
    transport = transport_to(silent, connect_seconds=2 * GIVEN_UP, read_seconds=0.2)
    with pytest.raises(ServerTimeout, match=r"took too long|fell silent"):
        asked(transport)
    transport.close()
    saying.join()


SERVER = """
from xfworker.adapters.web import serving

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

serving._HEADER_MILLISECONDS = 200
serving.serve(app, serving.ServeOptions(port=0), announce=lambda port: print(port, flush=True))
"""


@pytest.fixture(scope="module")
def serving_port():
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as server:
        yield int(server.stdout.readline())
        server.kill()


@pytest.mark.parametrize(
    "sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: local", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
def test_a_server_ends_connections_on_which_nobody_says_what_they_want(serving_port, sent):
    with socket.create_connection(("127.0.0.1", serving_port), GIVEN_UP) as connection:
        connection.sendall(sent)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split()[1:2] == ([b"204"] if sent.endswith(b"\r\n\r\n") else [])
