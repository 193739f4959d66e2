"""Servers that mean harm to their clients: every answer ends in a documented error, and no token goes elsewhere."""

import gc
import gzip
import json
import socket
import threading
from contextlib import contextmanager, suppress

import pytest
from attrs import define, field

from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.adapters.wire.file_headers import DIGEST_FIELDS
from xfworker.domain.digest_field import SHA256, XXH3, write_digest
from xfworker.domain.errors import ProtocolViolation, ServerBusy, XFWorkerError
from xfworker.domain.files import AuthorizationToken, Scope, parse_resource
from xfworker.domain.records import Project

FILE = parse_resource("job_result/1/a.bin")
FOLDER = parse_resource("job_result/1")
LIMITS = HttpLimits(
    connect_seconds=5.0, read_seconds=5.0, attempts=1, backoff_seconds=0.001, patience_seconds=0.001, answer_mib=1
)
PIECES = TransferLimits(single_put_bytes=4, request_bytes=1 << 16, attempts=1)
TOKENS = ("the-servers-token", "the-files-token")


@define
class Hostile:
    """A server that answers each request with the same bytes, as long as somebody listens."""

    pieces: list = field(factory=list)
    heads: list = field(factory=list)
    endless: bytes = b""
    sent: int = 0
    url: str = ""

    def handle(self, connection):
        with connection, suppress(OSError):
            connection.settimeout(10)
            while b"\r\n\r\n" not in (head := self._head(connection)):
                if not head:
                    return
            self.heads.append(head)
            for piece in self.pieces:
                connection.sendall(piece)
            while self.endless:
                connection.sendall(self.endless)
                self.sent += len(self.endless)
            # What the client still sends is read, so that the answer is not lost with it.
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass

    def _head(self, connection):
        head = b""
        while b"\r\n\r\n" not in head and (piece := connection.recv(1 << 16)):
            head += piece
        return head


@contextmanager
def listening(hostile):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hostile.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=hostile.handle, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield hostile
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def answer(status, *fields, body=b"", length=True):
    lines = [f"HTTP/1.1 {status}", *fields, *([f"Content-Length: {len(body)}"] if length else [])]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


JSON = "Content-Type: application/json"
OK = "200 OK"
ANSWERS = {
    "nothing": [b""],
    "no HTTP": [b"SSH-2.0-OpenSSH_9.2\r\n"],
    "a status that is not a number": [b"HTTP/1.1 yes OK\r\n\r\n"],
    "a status that is too large": [answer("99999 OK")],
    "less than was said": [answer(OK, JSON, "Content-Length: 100", body=b"{}", length=False)],
    "a head that breaks off": [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"],
    "a length below nothing": [answer(OK, JSON, "Content-Length: -5", body=b"{}", length=False)],
    "two lengths": [answer(OK, JSON, "Content-Length: 2, 3", body=b"{}", length=False)],
    "a length of more digits than a number has": [answer(OK, JSON, f"Content-Length: {'9' * 5000}", length=False)],
    "a length that no disk has": [answer(OK, JSON, f"Content-Length: {2**62}", body=b"{}", length=False)],
    "chunks of no size": [answer(OK, JSON, "Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n", length=False)],
    "a chunk below nothing": [answer(OK, JSON, "Transfer-Encoding: chunked", body=b"-5\r\n{}\r\n", length=False)],
    "a header line without end": [b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20)],
    "too many header lines": [b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n"],
    "deep JSON": [answer(OK, JSON, body=b"[" * 100_000)],
    "deep JSON that ends": [answer(OK, JSON, body=b'{"a":' * 50_000 + b"1" + b"}" * 50_000)],
    "a number of a million digits": [answer(OK, JSON, body=b'{"serial": ' + b"1" * 1_000_000 + b"}")],
    "what is not text": [answer(OK, JSON, body=b'{"name": "\xff\xfe"}')],
    "a page for people": [answer(OK, "Content-Type: text/html", body=b"<html>Welcome</html>")],
    "a bomb": [answer(OK, JSON, "Content-Encoding: gzip", body=gzip.compress(bytes(30 << 20)))],
    "a list in place of an object": [answer(OK, JSON, body=b"[1, 2, 3]")],
    "an object in place of a list": [answer(OK, JSON, body=b'{"items": {"a": 1}, "next": {"b": 2}}')],
    "an error that is deep": [answer("400 No", "Content-Type: application/problem+json", body=b"[" * 100_000)],
    "an error of other types": [answer("409 No", "Content-Type: application/problem+json",
                                       body=b'{"type": 7, "detail": ["x"], "title": {}, "current": 1}')],
    "slow down until a day that there is not": [
        answer("429 Slow", "Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 +0000"),
    ],
    "slow down for ever": [answer("503 Slow", f"Retry-After: {'9' * 400}")],
    "dates and digests of nonsense": [
        answer(OK, JSON, "Last-Modified: Mon, 01 Jan 2024 00:00:00 +999999999999999999", 'ETag: "', "Repr-Digest: x",
               "XF-Quick-Digest: xxh3-128=:AAAAAAAAAAAAAAAAAAAAAA==:", "Upload-Offset: -1",
               "Accept-Ranges: bytes", "Location: http://[/", body=b"{}"),
    ],
}  # fmt: skip


def transport(url):
    return HttpTransport(url, token=TOKENS[0], limits=LIMITS)


def store_of(url):
    scopes = tuple(Scope(verb, FOLDER) for verb in ("read", "write", "list"))
    token = AuthorizationToken(url=f"{url}/fss", token=TOKENS[1], scopes=scopes)
    return HttpFileStore(limits=LIMITS, transfers=PIECES), token


def with_server(call):
    def run(url, _):
        own = transport(url)
        try:
            call(own)
        finally:
            own.close()

    return run


def with_files(call):
    def run(url, folder):
        store, token = store_of(url)
        try:
            call(store, token, folder)
        finally:
            store.close()

    return run


def source(folder, content):
    path = folder / "source"
    path.write_bytes(content)
    return path


REQUESTS = {
    "get": with_server(lambda own: HttpXFServer(own).get(Project, 1)),
    "find": with_server(lambda own: HttpXFServer(own).find(Project)),
    "create": with_server(lambda own: HttpXFServer(own).create(Project(name="p"))),
    "file token": with_server(lambda own: HttpXFServer(own).file_token([Scope("read", FOLDER)])),
    "claim": with_server(lambda own: HttpJobQueue(own).claim(1)),
    "list": with_files(lambda store, token, _: store.list(token, FOLDER)),
    "download": with_files(lambda store, token, folder: store.download(token, FILE, folder / "target")),
    "upload": with_files(lambda store, token, folder: store.upload(token, source(folder, b"x" * 3), FILE)),
    "upload in pieces": with_files(lambda store, token, folder: store.upload(token, source(folder, b"x" * 9), FILE)),
}
HARMLESS = {
    # The bytes are what was asked for, whatever they are.
    ("download", kind)
    for kind in (
        "deep JSON", "deep JSON that ends", "a number of a million digits", "what is not text", "a page for people",
        "a list in place of an object", "an object in place of a list",
    )
} | {
    # What was sent has arrived, by the status; the body says nothing more.
    ("upload", kind)
    for kind in ANSWERS
    if kind.startswith(("deep JSON", "a number", "what is not text", "a page", "a list", "an object", "a length"))
    and kind != "a length that no disk has"
} | {
    # Records may have keys that nobody knows, and lack those that have a default.
    (verb, kind)
    for verb in ("get", "create")
    for kind in ("an object in place of a list", "a length below nothing", "dates and digests of nonsense")
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("request_of", REQUESTS)
def test_an_answer_of_a_hostile_server_ends_in_a_documented_error(tmp_path, kind, request_of):
    with listening(Hostile(pieces=ANSWERS[kind])) as hostile:
        if (request_of, kind) in HARMLESS:
            REQUESTS[request_of](hostile.url, tmp_path)
        else:
            with pytest.raises(XFWorkerError) as refusal:
                REQUESTS[request_of](hostile.url, tmp_path)
            assert not any(token in str(refusal.value) for token in TOKENS)
            assert not (tmp_path / "target").exists()
            del refusal
    if kind == "two lengths":
        gc.collect()  # urllib3 leaves the connection of an answer that it refuses by its header to the collector


@pytest.mark.parametrize("request_of", ["get", "find", "file token", "claim", "list"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_without_end_is_given_up_at_the_limit(tmp_path, request_of, chunked):
    block = b" " * (1 << 16)
    encoding = ["Transfer-Encoding: chunked"] if chunked else []
    endless = f"{len(block):x}\r\n".encode() + block + b"\r\n" if chunked else block
    with listening(Hostile(pieces=[answer(OK, JSON, *encoding, length=False)], endless=endless)) as hostile:
        with pytest.raises(ProtocolViolation, match="longer than 1 MiB"):
            REQUESTS[request_of](hostile.url, tmp_path)
        # What the sockets hold comes on top of what was read.
        assert hostile.sent < 64 << 20


class _HurryingClock(ManualClock):
    """A clock on which an hour passes whenever somebody looks at it."""

    def monotonic(self):
        self.advance(3600)
        return super().monotonic()


def test_a_body_that_drips_without_end_is_given_up():
    with listening(Hostile(pieces=[answer(OK, JSON, length=False)], endless=b" ")) as hostile:
        own = HttpTransport(hostile.url, limits=LIMITS, clock=_HurryingClock())
        with pytest.raises(ProtocolViolation, match="did not end within 3600 s"):
            own.request("GET", "/", doing="look")
        own.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("request_of", REQUESTS)
def test_no_token_follows_a_redirect_to_another_server(tmp_path, status, request_of):
    with listening(Hostile(pieces=[answer(OK, JSON, body=b"{}")])) as other:
        redirect = answer(f"{status} Over there", f"Location: {other.url}/taken?a=b")
        with listening(Hostile(pieces=[redirect])) as hostile, suppress(XFWorkerError):
            REQUESTS[request_of](hostile.url, tmp_path)
        assert hostile.heads
        assert request_of == "download" or not other.heads
        assert not any(token.encode() in head for head in other.heads for token in TOKENS)
        assert not any(b"authorization" in head.lower() for head in other.heads)


@pytest.mark.parametrize("location", ["{other}/u/1", "//{netloc}/u/1", "http://[", "http://u:p@{netloc}/", "a b\tc"])
def test_an_upload_goes_to_no_address_on_another_server(tmp_path, location):
    with listening(Hostile(pieces=[answer("204 Yes", "Upload-Offset: 9")])) as other:
        netloc = other.url.removeprefix("http://")
        created = answer("201 Created", f"Location: {location.format(other=other.url, netloc=netloc)}")
        with listening(Hostile(pieces=[created])) as hostile, pytest.raises(XFWorkerError):
            REQUESTS["upload in pieces"](hostile.url, tmp_path)
        assert not other.heads


@pytest.mark.parametrize("algorithm", [SHA256, XXH3])
@pytest.mark.parametrize("way", ["upload", "upload in pieces"])
def test_a_server_that_says_it_has_something_else_has_not_stored_the_file(tmp_path, way, algorithm):
    digest = f"{DIGEST_FIELDS[algorithm]}: {write_digest('0' * {SHA256: 64, XXH3: 32}[algorithm], algorithm)}"
    pieces = ("Location: u/1", "Upload-Offset: 9", f"XF-Prefix-Digest: {algorithm}")
    with listening(Hostile(pieces=[answer("201 Created", JSON, digest, *pieces, body=b"{}")])) as hostile:
        with pytest.raises(XFWorkerError):
            REQUESTS[way](hostile.url, tmp_path)
        assert hostile.heads


def test_the_servers_token_is_not_sent_to_the_file_service_that_the_server_names(tmp_path):
    with listening(Hostile(pieces=[answer("404 No", JSON, body=b"{}")])) as other:
        named = {"url": f"{other.url}/fss", "token": "another", "scopes": [["list", "job_result/1"]]}
        body = json.dumps({**named, "expires_at": "2030-01-01T00:00:00Z"}).encode()
        with listening(Hostile(pieces=[answer(OK, JSON, body=body)])) as hostile:
            own = transport(hostile.url)
            token = HttpXFServer(own).file_token([Scope("list", FOLDER)])
            own.close()
            store = HttpFileStore(limits=LIMITS)
            with pytest.raises(XFWorkerError):
                store.list(token, FOLDER)
            store.close()
        (head,) = other.heads
    assert TOKENS[0].encode() not in head
    assert b"Bearer another" in head


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "a/b", "..", "C:\\x", "a\u0000b", "CON", ""])
@pytest.mark.parametrize("what", ["files", "folders"])
def test_a_listing_whose_names_climb_is_refused(tmp_path, name, what):
    entry = {"files": {"size": 1, "resource": f"job_result/1/{name}"}, "folders": name}[what]
    body = json.dumps({"files": [], "folders": [], what: [entry]}).encode()
    with listening(Hostile(pieces=[answer(OK, JSON, body=body)])) as hostile, pytest.raises(ProtocolViolation):
        REQUESTS["list"](hostile.url, tmp_path)


def test_a_server_that_asks_to_wait_for_ever_is_left_after_a_time(tmp_path):
    with listening(Hostile(pieces=[answer("503 Slow", "Retry-After: 9999999")])) as hostile, pytest.raises(ServerBusy):
        REQUESTS["get"](hostile.url, tmp_path)
