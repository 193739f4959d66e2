"""The server over TLS: certificates are checked, and each fault is its own clear error."""

import os
import socket
import ssl
import subprocess
import sys
import warnings
from contextlib import nullcontext

import pytest
import trustme

from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.network_options import TlsOptions
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.memory.clock import ManualClock
from xfworker.api.composition.endpoint_file import read_endpoint
from xfworker.domain.errors import ConfigurationError, ServerCertificateError, ServerError
from xfworker.domain.files import AuthorizationToken, Scope, parse_resource
from xfworker.domain.records import Project

QUICK = HttpLimits(attempts=1)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def served(authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for part in certificate.cert_chain_pems:
        part.write_to_path(folder / "cert.pem", append=True)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    command = [sys.executable, "-m", "xfworker", "serve", "--data", str(folder), "--port", "0", "--end-with-input"]
    command += ["--database", "memory:", "--announce", str(folder / "announced.json")]
    command += ["--tls-certificate", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stderr:
        if b"serves" in line:
            break
    endpoint = read_endpoint(folder / "announced.json")
    assert endpoint is not None
    yield endpoint, folder
    process.stdin.close()
    assert process.wait(120) == 0
    process.stderr.close()


def test_records_travel_over_tls(served):
    endpoint, folder = served
    url = f"https://localhost:{endpoint.port}"
    server = HttpXFServer(HttpTransport(url, token=endpoint.admin_token, tls=TlsOptions(ca_file=folder / "ca.pem")))
    assert server.create(Project(name="secret")).name == "secret"
    server.close()


def test_no_version_of_tls_before_1_2_is_spoken(served):
    endpoint, folder = served
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.set_ciphers("ALL:@SECLEVEL=0")  # so that it is the server that refuses
    versions = ssl.TLSVersion
    for version, is_old in ((versions.TLSv1_3, False), (versions.TLSv1_1, True), (versions.TLSv1, True)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
        refused = pytest.raises(ssl.SSLError, match=r"(?i)alert|version") if is_old else nullcontext()
        with socket.create_connection(("localhost", endpoint.port), 60) as connection, refused:
            context.wrap_socket(connection, server_hostname="localhost").close()


def test_an_unknown_authority_is_refused(served):
    endpoint, _ = served
    transport = HttpTransport(f"https://localhost:{endpoint.port}", token=endpoint.admin_token, limits=QUICK)
    with pytest.raises(ServerCertificateError, match="certificate"):
        HttpXFServer(transport).find(Project)


def test_a_certificate_for_another_name_is_refused(served):
    endpoint, folder = served
    url = f"https://127.0.0.1:{endpoint.port}"
    transport = HttpTransport(url, token=endpoint.admin_token, tls=TlsOptions(ca_file=folder / "ca.pem"), limits=QUICK)
    with pytest.raises(ServerCertificateError, match="127"):
        HttpXFServer(transport).find(Project)


def test_plain_http_to_a_tls_port_is_an_error_of_the_server(served):
    endpoint, _ = served
    transport = HttpTransport(f"http://127.0.0.1:{endpoint.port}", token="t", limits=QUICK)
    with pytest.raises(ServerError):
        HttpXFServer(transport).find(Project)


def test_plain_http_never_leaves_this_computer_unasked():
    with pytest.raises(ConfigurationError, match="https"):
        HttpTransport("http://xf.example.org:80", token="t")


def test_what_is_secret_is_readable_by_its_owner_only(served):
    _, folder = served
    if os.name == "posix":
        for name in ("secret", "server.json", "announced.json"):
            assert (folder / name).stat().st_mode & 0o077 == 0


def test_plain_http_to_a_server_that_speaks_https_says_so(served):
    endpoint, _ = served
    transport = HttpTransport(f"http://localhost:{endpoint.port}", token=endpoint.admin_token, limits=QUICK)
    with pytest.raises(ServerError, match=f"its address is https://localhost:{endpoint.port}"):
        transport.request("GET", "/health", doing="ask for health")


def test_a_wrong_certificate_is_not_tried_again(served, tmp_path):
    endpoint, _ = served

    class Unwaiting(ManualClock):
        def sleep(self, seconds):
            raise AssertionError("it was waited for another attempt")

    url = f"https://localhost:{endpoint.port}"
    with pytest.raises(ServerCertificateError):
        HttpTransport(url, token="t", clock=Unwaiting()).request("GET", "/health", doing="ask for health")
    store, source = HttpFileStore(clock=Unwaiting()), tmp_path / "a.bin"
    place = parse_resource("userdata/a.bin")
    token = AuthorizationToken(url=f"{url}/fss/v1", token="t", scopes=(Scope("write", place),))
    for size in (3, 3 << 20):
        source.write_bytes(b"x" * size)
        with pytest.raises(ServerCertificateError):
            store.upload(token, source, place)
    with pytest.raises(ServerCertificateError):
        store.download(token, place, tmp_path / "b.bin")
