"""Programs of other people at the other end: tuspy, curl, nginx and @tus/server."""

import base64
import hashlib
import io
import os
import shutil
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import xxhash
from attrs import evolve

from tests.free_ports import free_port
from tests.integration.transfers.conftest import LIMITS, MIB, TRANSFERS
from tests.integration.transfers.faulty_link import Fault, faulty_link
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.tus_client import upload_to_tus_server
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, parse_resource


@pytest.fixture
def stored(served):
    def read(place):
        return b"".join(HttpFileStore().open_read(served.token(), place))

    return read


@pytest.fixture
def opened(source):
    # tuspy does not close what it opens itself.
    with source.open("rb") as file:
        yield file


class TestTuspy:
    @pytest.fixture
    def client(self, served):
        tusclient = pytest.importorskip("tusclient.client", reason="tuspy is not installed")
        headers = {"Authorization": f"Bearer {served.token().token}"}
        return tusclient.TusClient(f"{served.url}/fss/v1/uploads", headers=headers)

    def test_it_uploads(self, client, opened, content, folder, stored):
        place = folder.child("scan.raw")
        client.uploader(file_stream=opened, chunk_size=5 * MIB, metadata={"resource": str(place)}).upload()
        assert stored(place) == content

    def test_it_uploads_with_checksums(self, client, opened, content, folder, stored):
        place = folder.child("scan.raw")
        uploader = client.uploader(
            file_stream=opened, chunk_size=5 * MIB, metadata={"resource": str(place)}, upload_checksum=True
        )
        uploader.upload()
        assert stored(place) == content

    def test_it_resumes_what_it_left(self, client, opened, content, folder, stored):
        place = folder.child("scan.raw")
        first = client.uploader(file_stream=opened, chunk_size=5 * MIB, metadata={"resource": str(place)})
        first.upload(stop_at=10 * MIB)
        second = client.uploader(file_stream=opened, chunk_size=5 * MIB, url=first.url)
        assert second.offset == 10 * MIB
        second.upload()
        assert stored(place) == content

    def test_it_needs_only_a_name_where_the_token_says_the_folder(self, served, opened, content, folder, stored):
        tusclient = pytest.importorskip("tusclient.client", reason="tuspy is not installed")
        token = served.token(Scope("write", folder))
        client = tusclient.TusClient(
            f"{served.url}/fss/v1/uploads/", headers={"Authorization": f"Bearer {token.token}"}
        )
        client.uploader(file_stream=opened, metadata={"filename": "by-name.raw"}).upload()
        assert stored(folder.child("by-name.raw")) == content

    def test_an_empty_file_is_complete_at_once(self, client, folder, stored):
        place = folder.child("empty")
        client.uploader(file_stream=io.BytesIO(), metadata={"resource": str(place)}).upload()
        assert stored(place) == b""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
class TestCurl:
    @pytest.fixture
    def curl(self, served):
        def call(*arguments, place):
            url = f"{served.url}/fss/v1/files/{place}"
            command = ["curl", "-sS", "-H", f"Authorization: Bearer {served.token().token}", *map(str, arguments), url]
            return subprocess.run(command, capture_output=True, check=False, timeout=60)

        return call

    def test_it_stores_and_fetches(self, curl, source, content, folder, tmp_path):
        place = folder.child("scan.raw")
        assert b'"xxh3"' in curl("--fail-with-body", "-T", source, place=place).stdout
        assert curl("-f", "-o", tmp_path / "got", place=place).returncode == 0
        assert (tmp_path / "got").read_bytes() == content

    def test_it_resumes_a_download(self, curl, source, content, folder, tmp_path):
        place = folder.child("scan.raw")
        curl("-T", source, place=place)
        (tmp_path / "got").write_bytes(content[: 9 * MIB])
        assert curl("-f", "-C", "-", "-o", tmp_path / "got", place=place).returncode == 0
        assert (tmp_path / "got").read_bytes() == content

    def test_it_stores_without_telling_the_size(self, curl, source, content, folder, stored):
        place = folder.child("scan.raw")
        curl("-f", "-H", "Transfer-Encoding: chunked", "-T", source, place=place)
        assert stored(place) == content

    def test_a_wrong_digest_is_refused(self, curl, source, folder):
        wrong = base64.b64encode(bytes(32)).decode()
        answer = curl("-i", "-T", source, "-H", f"Repr-Digest: sha-256=:{wrong}:", place=folder.child("a"))
        assert b"checksum-mismatch" in answer.stdout
        assert b"404" in curl("-I", place=folder.child("a")).stdout

    @pytest.mark.parametrize(
        ("ranges", "expected"),
        [("0-0", slice(0, 1)), ("5-9", slice(5, 10)), ("-7", slice(-7, None)), ("1048576-", slice(MIB, None))],
    )
    def test_ranges(self, curl, source, content, folder, ranges, expected):
        place = folder.child("scan.raw")
        curl("-T", source, place=place)
        assert curl("-f", "-r", ranges, place=place).stdout == content[expected]
        assert b"206" in curl("-I", "-r", ranges, place=place).stdout

    def test_a_range_behind_the_end_is_unsatisfiable(self, curl, source, content, folder):
        place = folder.child("scan.raw")
        curl("-T", source, place=place)
        answer = curl("-i", "-r", "99999999-", place=place).stdout
        assert b"416" in answer
        assert f"bytes */{len(content)}".encode() in answer


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
class TestNginx:
    @pytest.fixture
    def nginx(self, tmp_path):
        port = free_port()
        root = tmp_path / "www"
        (root / "files" / "userdata").mkdir(parents=True)
        config = tmp_path / "nginx.conf"
        config.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}}\n"
            f"http {{ access_log off; client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p;\n"
            f"fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;\n"
            f"server {{ listen 127.0.0.1:{port}; root {root}; sendfile on; }} }}\n"
        )
        config.parent.chmod(0o755)
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        process = subprocess.Popen(["nginx", "-p", str(tmp_path), "-c", str(config), *user], stderr=subprocess.DEVNULL)
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}", root / "files"
        process.terminate()
        process.wait(timeout=10)

    def test_it_is_a_source_to_download_from(self, nginx, content, tmp_path):
        url, files = nginx
        (files / "userdata" / "Ümläut 100%.raw").write_bytes(content)
        token = AuthorizationToken(url=url, token="")
        place = parse_resource("userdata/Ümläut 100%.raw")
        stat = HttpFileStore().download(token, place, tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == content
        assert stat.xxh3 == xxhash.xxh3_128(content).hexdigest()

    def test_a_cut_download_from_it_is_resumed(self, nginx, content, tmp_path):
        url, files = nginx
        (files / "userdata" / "a.raw").write_bytes(content)
        with faulty_link(url) as link:
            link.faults.append(Fault(cut_down_after=15 * MIB))
            token = AuthorizationToken(url=link.url, token="")
            store = HttpFileStore(limits=LIMITS, transfers=TRANSFERS)
            store.download(token, parse_resource("userdata/a.raw"), tmp_path / "got")
            assert (tmp_path / "got").read_bytes() == content
            assert link.down < len(content) + 8 * MIB


@pytest.fixture(scope="module")
def tus_server(tmp_path_factory):
    """A folder where the tus project's own server is installed."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm, for the tus project's own server, are not installed")
    folder = tmp_path_factory.mktemp("tus-server")
    command = [npm, "install", "--silent", "--prefix", str(folder), "@tus/server", "@tus/file-store"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not install @tus/server within a minute")
    if done.returncode:
        pytest.skip(f"npm cannot install @tus/server: {done.stderr.strip()[-200:]}")
    return folder


class TestTusServer:
    @pytest.fixture
    def server(self, tmp_path, tus_server):
        port = free_port()
        data = tmp_path / "tus"
        data.mkdir()
        script = tus_server / f"server-{port}.mjs"
        script.write_text(
            'import {Server} from "@tus/server"; import {FileStore} from "@tus/file-store";\n'
            f'new Server({{path: "/files", datastore: new FileStore({{directory: "{data}"}})}})'
            f'.listen({{host: "127.0.0.1", port: {port}}});\n'
        )
        process = subprocess.Popen(["node", str(script)], cwd=tus_server)
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}", data
        finally:
            process.terminate()
            process.wait(timeout=10)
            script.unlink()

    @pytest.mark.parametrize("cut", [None, 9 * MIB])
    def test_it_takes_our_uploads(self, server, source, content, cut):
        url, data = server
        with faulty_link(url) as link:
            link.faults.append(Fault(cut_up_after=cut))
            result = upload_to_tus_server(
                f"{link.url}/files", source, limits=LIMITS, transfers=evolve(TRANSFERS, attempts=8)
            )
        assert result.sha256 == hashlib.sha256(content).hexdigest()
        assert [path.read_bytes() == content for path in data.iterdir() if path.suffix != ".json"] == [True]


class Sparing(BaseHTTPRequestHandler):
    """A tus server that takes half of what two requests bring, says so truthfully, and knows no digests."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self._answer(201, Location="/files/1")

    def do_OPTIONS(self):
        self._answer(204)

    def do_HEAD(self):
        self._answer(200, **{"Upload-Offset": str(len(self.server.received))})

    def do_PATCH(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if int(self.headers["Upload-Offset"]) != len(self.server.received):
            self._answer(409)
            return
        self.server.halved -= 1
        self.server.received += data[: len(data) // 2] if self.server.halved >= 0 else data
        self._answer(204, **{"Upload-Offset": str(len(self.server.received))})

    def _answer(self, status, **fields):
        self.send_response(status)
        for name, value in {**fields, "Tus-Resumable": "1.0.0", "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        """Nothing is said."""


def test_a_server_that_takes_less_than_it_is_sent_gets_the_rest(source, content):
    with ThreadingHTTPServer(("127.0.0.1", 0), Sparing) as server:
        server.received, server.halved = bytearray(), 2
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/files"
        whole = evolve(TRANSFERS, request_bytes=64 * MIB, block_bytes=32 * MIB)
        result = upload_to_tus_server(url, source, limits=LIMITS, transfers=whole)
        server.shutdown()
    assert bytes(server.received) == content
    assert result.sha256 == hashlib.sha256(content).hexdigest()


def _wait_for(port, process):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        assert process.poll() is None, "the peer ended"
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("the peer did not listen within 20 seconds")


def test_a_token_of_a_tus_client_can_be_limited(served, folder, opened):
    tusclient = pytest.importorskip("tusclient.client", reason="tuspy is not installed")
    exceptions = pytest.importorskip("tusclient.exceptions")
    reader = served.token(*(Scope(verb, folder) for verb in VERBS if verb != "write"))
    client = tusclient.TusClient(f"{served.url}/fss/v1/uploads", headers={"Authorization": f"Bearer {reader.token}"})
    with pytest.raises(exceptions.TusCommunicationError):
        client.uploader(file_stream=opened, metadata={"resource": f"{folder}/a"}).upload()
