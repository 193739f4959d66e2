"""Downloads that a server sends to an object store: read there where that works, else through the server."""

import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import xxhash

from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.limits import HttpLimits
from xfworker.domain.digest_field import XXH3, write_digest
from xfworker.domain.files import AuthorizationToken, Scope, parse_resource

PLACE = parse_resource("userdata/a.raw")
CONTENT = os.urandom(3 << 20)
LIMITS = HttpLimits(connect_seconds=2.0, attempts=2, backoff_seconds=0.01, patience_seconds=1.0)


@contextmanager
def answering(answer, cut_at=None):
    """
    Serve by a function of the request's path and headers; gives the address and what was asked.

    The first body that is longer than ``cut_at`` ends there.
    """
    cuts = [] if cut_at is None else [cut_at]
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            status, headers, body = answer(self.path, self.headers)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            most = cuts.pop() if cuts and len(body) > cuts[0] else None
            self.wfile.write(body[:most])
            self.close_connection |= most is not None

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(etag="e1"):
    digest = write_digest(xxhash.xxh3_128(CONTENT).hexdigest(), XXH3)
    return {"ETag": f'"{etag}"', "XF-Quick-Digest": digest, "Accept-Ranges": "bytes"}


def file_service(location):
    def answer(_, headers):
        if headers.get("XF-Takes-Redirects") == "?1":
            return 307, {**said(), "Location": location(), "XF-File-Size": str(len(CONTENT))}, b""
        return 200, said(), CONTENT

    return answer


def download(url, target):
    store = HttpFileStore(limits=LIMITS)
    token = AuthorizationToken(url=url, token="file-token", scopes=(Scope("read", PLACE),))
    try:
        return store.download(token, PLACE, target)
    finally:
        store.close()


def test_the_bytes_come_from_the_object_store_which_gets_no_token_and_the_server_says_what_they_must_be(tmp_path):
    with (
        answering(lambda *_: (200, {"ETag": '"e1"'}, CONTENT)) as (elsewhere, read),
        answering(file_service(lambda: f"{elsewhere}/bucket/a?X-Amz-Signature=s")) as (url, asked),
    ):
        stat = download(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert stat.xxh3 == xxhash.xxh3_128(CONTENT).hexdigest()
    ((path, headers),) = read
    assert path == "/bucket/a?X-Amz-Signature=s"
    assert headers["If-Match"] == '"e1"'
    assert "Authorization" not in headers
    assert len(asked) == 1


@pytest.mark.parametrize("status", [None, 403, 404, 500])
def test_an_object_store_that_the_client_cannot_use_is_passed_over(tmp_path, status):
    with answering(lambda *_: (status, {}, b"<Error><Code>X</Code></Error>")) as (elsewhere, read):
        location = "http://127.0.0.1:9/a?b" if status is None else f"{elsewhere}/a?b"
        with answering(file_service(lambda: location)) as (url, asked):
            download(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(asked) == 2
    assert len(read) == (status is not None)


def test_what_changed_before_it_was_read_is_fetched_anew(tmp_path):
    answers = [(412, {}, b""), (200, {"ETag": '"e1"'}, CONTENT)]
    with (
        answering(lambda *_: answers.pop(0)) as (elsewhere, _),
        answering(file_service(lambda: f"{elsewhere}/a?b")) as (url, asked),
    ):
        download(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(asked) == 2


def test_what_arrives_damaged_from_the_object_store_is_fetched_anew(tmp_path):
    answers = [(200, {}, bytes(len(CONTENT))), (200, {}, CONTENT)]
    with (
        answering(lambda *_: answers.pop(0)) as (elsewhere, _),
        answering(file_service(lambda: f"{elsewhere}/a?b")) as (url, _),
    ):
        download(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
