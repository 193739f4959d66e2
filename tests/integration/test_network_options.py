"""TLS, proxies and path prefixes, each with the real part."""

import http.server
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from contextlib import contextmanager

import pytest
import trustme

from tests.free_ports import free_port
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.network_options import ProxyOptions, TlsOptions
from xfworker.adapters.http.transport import HttpTransport
from xfworker.api.composition.client import ServerAddress, connected
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.composition.session import session
from xfworker.api.settings.model import Settings
from xfworker.domain.errors import ConfigurationError, ServerCertificateError, ServerUnreachable
from xfworker.domain.job_arguments import JobArguments
from xfworker.domain.records import Job, Worker
from xfworker.services.jobs.staging import StagedFile, StagePlan, stage_job

ONCE = HttpLimits(connect_seconds=5, read_seconds=5, attempts=1)


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b'{"ok": true}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass


@contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("authority")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    mine = authority.issue_cert("me@lab.example")
    mine.private_key_and_cert_chain_pem.write_to_path(folder / "mine.pem")
    return authority, folder


@contextmanager
def tls_server(authority, *, client_certificate=False, maximum=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    if client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    if maximum:
        context.maximum_version = maximum
    server = QuietServer(("127.0.0.1", 0), Echo)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server) as port:
        yield port


def ask(port, *, proxy=None, no_proxy=(), **tls):
    transport = HttpTransport(
        f"https://localhost:{port}",
        limits=ONCE,
        tls=TlsOptions(**tls),
        proxy=ProxyOptions(proxy=proxy, no_proxy=list(no_proxy)),
    )
    try:
        return transport.request("GET", "/", doing="ask").json()
    finally:
        transport.close()


def test_a_company_authority_is_trusted_when_it_is_named(authority):
    ca, folder = authority
    with tls_server(ca) as port:
        assert ask(port, ca_file=folder / "ca.pem") == {"ok": True}
        with pytest.raises(ServerCertificateError, match=r"tls\.ca_file"):
            ask(port)


def test_a_client_certificate_is_shown_where_it_is_asked_for(authority):
    ca, folder = authority
    with tls_server(ca, client_certificate=True) as port:
        assert ask(port, ca_file=folder / "ca.pem", client_certificate=folder / "mine.pem") == {"ok": True}
        with pytest.raises((ServerCertificateError, ServerUnreachable)):
            ask(port, ca_file=folder / "ca.pem")


def test_an_old_version_of_tls_is_refused_where_a_newer_is_demanded(authority):
    ca, folder = authority
    with tls_server(ca, maximum=ssl.TLSVersion.TLSv1_2) as port:
        assert ask(port, ca_file=folder / "ca.pem") == {"ok": True}
        with pytest.raises(ServerCertificateError):
            ask(port, ca_file=folder / "ca.pem", minimum_version="1.3")


def test_a_file_that_is_no_certificate_is_one_sentence(tmp_path):
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"bad\.pem"):
        HttpTransport("https://lab.example", tls=TlsOptions(client_certificate=tmp_path / "bad.pem"))


class Proxy(socketserver.BaseRequestHandler):
    """An HTTP proxy that knows CONNECT and nothing else."""

    seen: list[bytes]

    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(4096)
        self.seen.append(head)
        if b"Proxy-Authorization: Basic " not in head and b"proxy-authorization: Basic " not in head:
            self.request.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            return
        host, port = head.split()[1].decode().split(":")
        with socket.create_connection((host, int(port))) as other:
            self.request.sendall(b"HTTP/1.1 200 Go on\r\n\r\n")
            threads = [
                threading.Thread(target=self.pour, args=pair, daemon=True)
                for pair in ((self.request, other), (other, self.request))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    @staticmethod
    def pour(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class ProxyServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *_):
        pass


@pytest.fixture
def proxy():
    Proxy.seen = []
    with serving(ProxyServer(("127.0.0.1", 0), Proxy)) as port:
        yield port


def test_https_goes_by_the_proxy_with_its_login(authority, proxy):
    ca, folder = authority
    with tls_server(ca) as port:
        address = f"http://ada:s3cret%21@127.0.0.1:{proxy}"
        assert ask(port, ca_file=folder / "ca.pem", proxy=address) == {"ok": True}
    assert Proxy.seen[0].startswith(f"CONNECT localhost:{port}".encode())


def test_hosts_that_need_no_proxy_are_reached_directly(authority, proxy):
    ca, folder = authority
    with tls_server(ca) as port:
        network = {"proxy": f"http://127.0.0.1:{proxy}", "no_proxy": ("localhost",)}
        assert ask(port, ca_file=folder / "ca.pem", **network) == {"ok": True}
    assert Proxy.seen == []


def test_a_proxy_that_refuses_is_said_and_its_password_is_not(authority, proxy):
    ca, folder = authority
    with tls_server(ca) as port, pytest.raises(ServerUnreachable) as caught:
        ask(port, ca_file=folder / "ca.pem", proxy=f"http://127.0.0.1:{proxy}")
    assert "network.proxy" in str(caught.value)
    options = ProxyOptions(proxy="http://ada:s3cret@proxy:3128")
    assert "s3cret" not in repr(options)


@pytest.mark.parametrize(
    ("host", "by_proxy"),
    [("xf.lab.example", False), ("lab.example", False), ("notlab.example", True), ("deep.xf.lab.example", False)],
)
def test_domains_with_a_dot_before_them_cover_all_names_below(host, by_proxy):
    options = ProxyOptions(proxy="http://p:1", no_proxy=[".lab.example"])
    assert (options.proxy_for(host) is not None) is by_proxy


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_a_reverse_proxy_with_a_path_prefix(tmp_path, authority):
    ca, folder = authority
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    port = free_port()
    with EmbeddedServer(tmp_path / "lab") as embedded:
        config = f"""
            daemon off; error_log {tmp_path}/error.log; pid {tmp_path}/pid;
            events {{}}
            http {{
                access_log off; client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;
                fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
                server {{
                    listen 127.0.0.1:{port} ssl;
                    ssl_certificate {tmp_path}/server.pem; ssl_certificate_key {tmp_path}/server.pem;
                    client_max_body_size 0;
                    location /xamflow/ {{
                        proxy_pass {embedded.url}/; proxy_request_buffering off; proxy_http_version 1.1;
                    }}
                }}
            }}
        """
        (tmp_path / "nginx.conf").write_text(config)
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        with subprocess.Popen(
            ["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), *user], stderr=subprocess.DEVNULL
        ) as nginx:
            try:
                _wait_for_port(port, nginx)
                _run_job_by_prefix(port, embedded.admin_token, folder / "ca.pem", tmp_path)
            finally:
                nginx.terminate()


def _wait_for_port(port, process):
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            continue
        return
    pytest.fail("nginx did not start")


def _run_job_by_prefix(port, admin_token, ca_file, folder):
    from attrs import evolve

    settings = Settings()
    settings = evolve(settings, tls=evolve(settings.tls, ca_file=ca_file))
    address = ServerAddress(f"https://localhost:{port}/xamflow", admin_token)
    (folder / "in.txt").write_text("hello")
    with connected(address, settings) as client:
        staged = StagedFile(type="ForeignFile", paths=(folder / "in.txt",))
        job = stage_job(client.server, client.files, StagePlan(name="t", task_type="T", files={"file": staged}))
        worker = client.queue.register(Worker(name="tests"))
        lease = client.queue.claim(worker.serial, job_serial=job.serial)
        arguments = JobArguments(
            job_serial=job.serial,
            server_host=address.script_host,
            server_port=address.script_port,
            server_auth=lease.server_auth,
        )
        import xfworkerutil

        script = xfworkerutil.XFWorkerJob(session=session(settings, arguments=arguments))
        text = script.download_input_file(script.job["inputs"]["file"]).read_text()
        script.finish({"text": text})
        assert client.server.get(Job, job.serial).outputs == {"text": "hello"}
