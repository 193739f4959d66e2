"""Requests that an object store carries out when nobody waits for them any more, twice, or without their condition."""

import http.client
import os
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from tests.contract.suites.object_server import ACCESS_KEY, SECRET_KEY, make_bucket, object_server
from xfworker.domain.errors import FileChanged, FileNotInStore, ServerBusy, ServerTimeout
from xfworker.domain.files import parse_resource
from xfworker.testing.contracts.served_files import token_for

pytest.importorskip("obstore")
FILE = parse_resource("userdata/a file.txt")
SIZES = {"in one request": 5000, "copied from one piece": 8 << 20, "put together from pieces": (8 << 20) + 5}
CONDITIONS = {"if-match", "if-none-match"}


class Link:
    """
    What lies between the server and its object store; it lets everything pass at first.

    Attributes:
        before_change: Called before each change.
        holds: Changes are kept back, and it is said that they took too long.
        loses_answers: So many answers to changes that were carried out do not arrive.
        knows_conditions: Otherwise requests with conditions are refused as by a store that has none.
        passed: The methods and paths of the requests that reached the store, oldest first.
        says: What completions are answered with, by 200, instead of reaching the store.
        held: The requests that were kept back, oldest first.
    """

    def __init__(self, url):
        self.holds, self.loses_answers, self.knows_conditions = False, 0, True
        self.held, self.passed, self.says = [], [], None
        self.before_change = lambda: None
        self._store = urlsplit(url).netloc
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"link": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def ask(self, request):
        method, path, headers, body = request
        self.passed.append((method, path))
        connection = http.client.HTTPConnection(self._store, timeout=60)
        try:
            # The signature is of the host that was asked, which is this link.
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def store_carries_out_what_it_held(self):
        """Give the answers that nobody waits for."""
        return [self.ask(request)[0] for request in self.held]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = (self.command, self.path, dict(self.headers.items()), body)
        changes = bool(CONDITIONS & {name.lower() for name in self.headers} and self.command != "GET")
        if changes:
            self.link.before_change()
        if changes and not self.link.knows_conditions:
            self._answer(HTTPStatus.NOT_IMPLEMENTED, [], b"<Error><Code>NotImplemented</Code></Error>")
        elif changes and self.link.holds:
            self.link.held.append(request)
            self._answer(HTTPStatus.REQUEST_TIMEOUT, [], b"")
        elif self.link.says and self.command == "POST" and "uploadId=" in self.path:
            self._answer(HTTPStatus.OK, [], self.link.says)
        else:
            answer = self.link.ask(request)
            if changes and self.link.loses_answers:
                self.link.loses_answers -= 1
                self.close_connection = True
            else:
                self._answer(*answer)

    def _answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"transfer-encoding", "connection"}:
                self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815  named by the standard library

    def log_message(self, *_):
        """Nobody reads it."""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with object_server(tmp_path_factory.mktemp("weed")) as url:
        make_bucket(url)
        yield url


@pytest.fixture
def link(endpoint):
    link = Link(endpoint)
    yield link
    link.close()


@pytest.fixture
def opened(request):
    from xfworker.adapters.s3.location import BucketLocation
    from xfworker.adapters.s3.served_bucket import open_served_bucket

    # The name of a test has characters in it that a bucket's prefix should not.
    prefix = f"late-{abs(hash(request.node.name))}"

    def files(url):
        return open_served_bucket(
            BucketLocation(url=f"s3://test/{prefix}", endpoint=url, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
        )

    return files


def received(files, content):
    incoming = files.receive(FILE, size=len(content))
    for at in range(0, len(content), 1 << 20):  # as from a connection: a single write makes a single piece
        incoming.write(content[at : at + (1 << 20)])
    return incoming


def store(files, content):
    return received(files, content).publish(NoRules)


class NoRules:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def stored(files):
    stat, file = files.open_file(token_for(FILE), FILE)
    return b"".join(file.blocks(offset=0, length=stat.size))


@pytest.mark.parametrize("there_before", [False, True])
@pytest.mark.parametrize("way", SIZES)
def test_a_request_that_is_carried_out_late_replaces_nothing_newer(opened, endpoint, link, way, there_before):
    behind_link, directly = opened(link.url), opened(endpoint)
    if there_before:
        store(directly, b"before")
    link.holds = True
    with pytest.raises(ServerTimeout):
        store(behind_link, os.urandom(SIZES[way]))
    newer = os.urandom(SIZES[way])
    store(directly, newer)
    assert set(link.store_carries_out_what_it_held()) <= {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.NOT_FOUND}
    assert link.held
    assert stored(directly) == newer


def test_a_deletion_that_is_carried_out_late_deletes_nothing_newer(opened, endpoint, link):
    behind_link, directly = opened(link.url), opened(endpoint)
    store(directly, b"older")
    link.holds = True
    with pytest.raises(ServerTimeout):
        behind_link.delete(token_for(FILE), FILE)
    store(directly, b"newer")
    assert set(link.store_carries_out_what_it_held()) == {HTTPStatus.PRECONDITION_FAILED}
    assert stored(directly) == b"newer"


@pytest.mark.parametrize("way", SIZES)
def test_an_answer_that_is_lost_costs_nothing(opened, link, way):
    files, content = opened(link.url), os.urandom(SIZES[way])
    store(files, b"before")
    link.loses_answers = 1
    stat = store(files, content)
    assert link.loses_answers == 0
    assert stat.etag == files.stat(token_for(FILE), FILE).etag
    assert stored(files) == content
    link.loses_answers = 1
    files.delete(token_for(FILE), FILE)
    with pytest.raises(FileNotInStore):
        files.stat(token_for(FILE), FILE)


@pytest.mark.parametrize("way", SIZES)
def test_a_store_that_has_no_conditions_is_asked_without(opened, link, way):
    link.knows_conditions = False
    files, content = opened(link.url), os.urandom(SIZES[way])
    store(files, b"before")
    store(files, content)
    assert stored(files) == content
    files.delete(token_for(FILE), FILE)


@pytest.mark.parametrize("way", SIZES)
def test_of_two_who_store_one_file_at_once_the_later_one_stays(opened, endpoint, way):
    files, others, content = opened(endpoint), opened(endpoint), os.urandom(SIZES[way])

    class Overtaken(NoRules):
        def __enter__(self):
            store(others, b"by others")

    stat = received(files, content).publish(Overtaken)
    assert stored(files) == content
    assert stat.etag == files.stat(token_for(FILE), FILE).etag


def test_a_file_that_others_replace_again_and_again_is_neither_stored_nor_deleted(opened, endpoint, link):
    files, others = opened(link.url), opened(endpoint)
    link.before_change = lambda: store(others, os.urandom(9))
    with pytest.raises(FileChanged, match=r"cannot store userdata/a file\.txt: another one took its place"):
        store(files, b"never there")
    with pytest.raises(FileChanged, match=r"cannot delete userdata/a file\.txt: another one took its place"):
        files.delete(token_for(FILE), FILE)
    assert len(stored(others)) == 9


def test_an_object_that_is_not_put_together_is_ended_in_the_store_too(opened, endpoint, link):
    files, others = opened(link.url), opened(endpoint)
    link.before_change = lambda: store(others, os.urandom(9))
    with pytest.raises(FileChanged):
        store(files, os.urandom(SIZES["put together from pieces"]))
    (begun,) = [path for method, path in link.passed if method == "POST" and path.endswith("?uploads=")]
    ended = [path for method, path in link.passed if method == "DELETE" and "uploadId=" in path]
    assert [path.partition("?")[0] for path in ended] == [begun.partition("?")[0]]


def test_an_error_that_comes_after_the_store_said_that_all_was_well_is_one(opened, link):
    link.says = b"<Error><Code>SlowDown</Code><Message>wait</Message></Error>"
    files = opened(link.url)
    with pytest.raises(ServerBusy, match=r"asks to slow down \(SlowDown: wait\)"):
        store(files, os.urandom(SIZES["put together from pieces"]))
    with pytest.raises(FileNotInStore):
        stored(files)
