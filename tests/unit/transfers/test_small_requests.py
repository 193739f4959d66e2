"""What small files cost: heads of answers read quickly but as Python reads them, requests sent at once, memory kept."""

import asyncio
import http.client
import io
import socket
import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xfworker.adapters.http.answer_head import WholeHeadAnswer
from xfworker.adapters.http.connection import PlainConnection
from xfworker.adapters.transfer.kept_buffers import BUFFER_BYTES, KeptBuffers
from xfworker.adapters.web.fss.requests import Request

LINES = st.lists(
    st.one_of(
        st.builds(
            "{}: {}\r\n".format, st.sampled_from(["ETag", "etag", "X-A", "Date"]), st.text("ab: \t;=\"'", max_size=8)
        ),
        st.sampled_from(
            [" folded\r\n", "\tfolded\n", "no colon\r\n", "two words: x\r\n", "X: \xe9\r\n", "X:\r\n", ": x\r\n"]
        ),
    ),
    max_size=5,
)


class Peer:
    """Stands for a connection of which an answer is read."""

    def __init__(self, content):
        self.content = content

    def makefile(self, _):
        return io.BytesIO(self.content)


def read_head(kind, lines, status="200 OK"):
    answer = kind(Peer(f"HTTP/1.1 {status}\r\n{''.join(lines)}\r\n".encode("latin-1")), method="GET")
    answer.begin()
    return answer


@given(lines=LINES)
@example(lines=["Content-Length: 5\r\n", "ETag: a\r\n", "ETag: b\r\n"])
@example(lines=["Transfer-Encoding: Chunked\r\n", "Content-Length: 5\r\n"])
@example(lines=["Content-Length: -5\r\n"])
@example(lines=["Connection: close\r\n"])
@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304", "404 Not here"])
def test_the_head_of_an_answer_is_read_as_python_reads_it(status, lines):
    ours, theirs = (read_head(kind, lines, status) for kind in (WholeHeadAnswer, http.client.HTTPResponse))
    for name in ("version", "status", "reason", "chunked", "length", "will_close"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.headers.items() == theirs.headers.items()


def test_an_answer_that_only_says_to_go_on_is_followed_by_the_one_that_counts():
    answer = read_head(WholeHeadAnswer, ["X: 1\r\n", "\r\nHTTP/1.1 201 Created\r\n", "X: 2\r\n"], "100 Continue")
    assert (answer.status, answer.headers["X"]) == (201, "2")


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX: 1\r\n", b"HTTP/1.1 200 OK\r\nX: 1", b"HTTP/1.1 200"])
def test_a_head_that_breaks_off_is_an_error(head):
    with pytest.raises(ConnectionResetError):
        WholeHeadAnswer(Peer(head)).begin()


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (b"HTTP/2.0 200 OK\r\n\r\n", http.client.UnknownProtocol),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", http.client.LineTooLong),
        (b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 101 + b"\r\n", http.client.HTTPException),
    ],
)
def test_a_head_that_is_none_is_an_error(head, error):
    with pytest.raises(error):
        WholeHeadAnswer(Peer(head)).begin()


@pytest.mark.parametrize(
    ("body", "sent"), [(b"abc", b"\r\n\r\nabc"), (None, b"\r\n\r\n"), ([b"ab", b"c"], b"\r\n\r\nab")]
)
def test_the_head_of_a_request_arrives_with_the_first_of_its_body(body, sent):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = PlainConnection("127.0.0.1", listener.getsockname()[1])
        connection.connect()
        peer, _ = listener.accept()
        with peer:
            connection.request("PUT", "/x", body=body, headers={"Content-Length": "3"})
            assert peer.recv(65536).partition(b"\r\n\r\n")[2].startswith(sent.removeprefix(b"\r\n\r\n"))
        connection.close()


def test_a_large_body_arrives_whole_behind_its_head():
    content = bytes(range(256)) * (1 << 14)
    received = bytearray()

    def take(peer):
        while block := peer.recv(1 << 16):
            received.extend(block)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = PlainConnection("127.0.0.1", listener.getsockname()[1])
        connection.connect()
        peer, _ = listener.accept()
        with peer:
            taking = threading.Thread(target=take, args=(peer,))
            taking.start()
            connection.request("PUT", "/x", body=[memoryview(content)], headers={"Content-Length": str(len(content))})
            connection.close()
            taking.join()
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /x HTTP/1.1\r\n")
    assert body == content


def test_the_server_does_not_wait_for_word_of_an_end_that_it_sees():
    messages = iter(
        [
            {"type": "http.request", "body": b"ab", "more_body": True},
            {"type": "http.request", "body": b"c", "more_body": True},
        ]
    )

    async def receive():
        return next(messages)  # a third would raise

    request = Request("PUT", ("files",), {}, {"content-length": "3"}, pathsend=False, receive=receive, send=receive)
    assert asyncio.run(request.body(3)) == b"abc"


def test_memory_of_small_files_is_used_again_and_larger_ones_have_their_own():
    buffers = KeptBuffers()
    with buffers.of_size(3) as first:
        first[:] = b"abc"
        with buffers.of_size(3) as second:
            assert second.obj is not first.obj
    with buffers.of_size(4) as third, buffers.of_size(BUFFER_BYTES + 1) as own:
        assert third.obj in (first.obj, second.obj)
        assert len(own) == BUFFER_BYTES + 1
