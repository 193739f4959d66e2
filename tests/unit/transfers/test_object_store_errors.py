"""What object stores answer: told apart by status and code, and said in one sentence with what to do."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from xfworker.domain.errors import (
    AuthenticationFailed,
    ConfigurationError,
    FileNotInStore,
    NotEnoughSpace,
    PermissionDenied,
    ProtocolViolation,
    ServerBusy,
    ServerCertificateError,
    ServerFault,
    ServerUnreachable,
)
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, parse_resource

pytest.importorskip("obstore")

from obstore.store import S3Store

from xfworker.adapters.s3.file_store import S3FileStore
from xfworker.adapters.transfer.limits import TransferLimits

PLACE = parse_resource("userdata/a.bin")
FOLDER = parse_resource("userdata")
TOKEN = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, FOLDER) for verb in VERBS))


class Answering(ThreadingHTTPServer):
    """An object store that answers everything with one status and code."""

    answer = (200, "")


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self):
        status, code = self.server.answer
        self.rfile.read(int(self.headers.get("content-length") or 0))
        body = f"<Error><Code>{code}</Code><Message>about {code}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815  names of the base class


@pytest.fixture(scope="module")
def server():
    with Answering(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def store_at(endpoint):
    config = {"endpoint": endpoint, "access_key_id": "key", "secret_access_key": "secret", "region": "us-east-1"}
    options = {"allow_http": True}
    bucket = S3Store("bucket", config=config, client_options=options, retry_config={"max_retries": 0})
    return S3FileStore(bucket, prefix="", transfers=TransferLimits(attempts=1))


@pytest.mark.parametrize(
    ("status", "code", "kind", "says"),
    [
        (403, "InvalidAccessKeyId", AuthenticationFailed, "credentials"),
        (403, "SignatureDoesNotMatch", AuthenticationFailed, "credentials"),
        (403, "RequestTimeTooSkewed", AuthenticationFailed, "clock"),
        (403, "AccessDenied", PermissionDenied, "do not allow"),
        (404, "NoSuchBucket", ConfigurationError, "no such bucket"),
        (400, "AuthorizationHeaderMalformed", ConfigurationError, "files.region"),
        (507, "InsufficientStorage", NotEnoughSpace, "no room"),
        (503, "SlowDown", ServerBusy, "slow down"),
        (500, "InternalError", ServerFault, "status 500"),
        (400, "MalformedXML", ProtocolViolation, "MalformedXML"),
    ],
)
def test_answers_become_different_errors_whatever_was_asked(server, tmp_path, status, code, kind, says):
    server.answer = (status, code)
    store = store_at(f"http://127.0.0.1:{server.server_port}")
    source = tmp_path / "a.bin"
    source.write_bytes(b"a")
    for ask in (lambda: store.upload(TOKEN, source, PLACE), lambda: store.list(TOKEN, FOLDER)):
        with pytest.raises(kind, match=says) as caught:
            ask()
        assert type(caught.value) is kind
        assert "Generic" not in str(caught.value)
        assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_that(server):
    server.answer = (404, "NoSuchKey")
    with pytest.raises(FileNotInStore):
        list(store_at(f"http://127.0.0.1:{server.server_port}").open_read(TOKEN, PLACE))


def test_a_store_that_cannot_be_reached_says_why(server):
    for endpoint, kind, says in (
        ("http://127.0.0.1:1", ServerUnreachable, "connection refused"),
        ("http://no-such-host.invalid:1", ServerUnreachable, "name is not known"),
        (f"https://127.0.0.1:{server.server_port}", ServerCertificateError, "does it speak https"),
    ):
        with pytest.raises(kind, match=says):
            list(store_at(endpoint).open_read(TOKEN, PLACE))
