"""What operators rely on: health, figures, marks on requests, logins, the log."""

import json
import socket
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest

from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.errors import AuthenticationFailed, PermissionDenied, ProtocolViolation, RecordNotFound
from xfworker.domain.files import Scope, parse_resource
from xfworker.domain.records import Project


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with EmbeddedServer(tmp_path_factory.mktemp("served")) as embedded:
        yield embedded


@pytest.fixture
def admin(served):
    transport = HttpTransport(served.url, token=served.admin_token)
    yield transport
    transport.close()


@pytest.fixture
def nobody(served):
    transport = HttpTransport(served.url)
    yield transport
    transport.close()


def test_health_and_figures_need_no_token(nobody, admin):
    HttpXFServer(admin).find(Project)
    assert nobody.request("GET", "/health", doing="ask").json()["status"] == "ok"
    text = nobody.request("GET", "/metrics", doing="ask").body.decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(line.rpartition(" ")[2].replace(".", "").replace("e-", "").isdigit() for line in lines)
    assert 'xfworker_requests_total{method="GET",area="xf/v1/projects",status="200"}' in text
    assert 'xfworker_jobs{state="Ready"} 0' in text
    assert '_bucket{area="xf/v1/projects",le="+Inf"}' in text


def test_addresses_that_nobody_knows_make_no_series_of_their_own(nobody, admin):
    for number in range(3):
        with pytest.raises(ProtocolViolation):
            admin.request("GET", f"/made/up/{number}", doing="ask")
        with pytest.raises(RecordNotFound):
            admin.request("GET", f"/xf/v1/jobs/{number + 900}", doing="ask")
    text = nobody.request("GET", "/metrics", doing="ask").body.decode()
    assert 'area="other",status="404"} 3' in text
    assert 'area="xf/v1/jobs",status="404"} 3' in text
    assert "made" not in text


def test_the_mark_of_a_request_is_in_the_error_and_in_the_log(served, admin):
    with pytest.raises(RecordNotFound) as caught:
        admin.request("GET", "/xf/v1/jobs/4711", doing="get job 4711", headers={"X-Request-Id": "my-mark"})
    assert "[request my-mark]" in str(caught.value)
    lines = [json.loads(line) for line in (served.data / "server.log").read_text("utf-8").splitlines() if "{" in line]
    [line] = [line for line in lines if line.get("request_id") == "my-mark"]
    assert (line["status"], line["caller"], line["path"]) == (404, "admin", "/xf/v1/jobs/4711")
    assert served.admin_token not in (served.data / "server.log").read_text("utf-8")


def sent(served, head, body=b""):
    """Send bytes as they are to a server, and give all that comes back until it closes the connection."""
    address = urlsplit(served.url)
    lines = [head, b"Host: localhost", b"Connection: close", f"Authorization: Bearer {served.admin_token}".encode()]
    with socket.create_connection((address.hostname, address.port), 60) as connection:
        connection.sendall(b"\r\n".join(lines) + body)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"Content-Length: 14\r\nContent-Length: 5\r\n\r\n{'name': 'two'}",
        b"Content-Length : 15\r\n\r\n{'name': 'two'}",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_request_whose_end_can_be_read_in_two_ways_does_nothing_and_no_second_one_hides_in_it(served, admin, fields):
    before = HttpXFServer(admin).find(Project)
    answer = sent(served, b"POST /xf/v1/projects HTTP/1.1", b"\r\nContent-Type: application/json\r\n" + fields)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.split()[1] in {b"400", b"422"}
    assert HttpXFServer(admin).find(Project) == before


@pytest.mark.parametrize("path", [b"/xf/v1/projects", b"/fss/v1/files/userdata/a", b"/health"])
def test_no_request_is_sent_back_and_no_other_site_reads_an_answer(served, path):
    origin = b"\r\nOrigin: https://elsewhere.example\r\nAccess-Control-Request-Method: POST\r\nX-Word: echo\r\n\r\n"
    for method in (b"TRACE", b"OPTIONS", b"GET"):
        answer = sent(served, method + b" " + path + b" HTTP/1.1", origin)
        assert b"access-control-allow" not in answer.lower()
        assert b"echo" not in answer
        assert method != b"TRACE" or answer.split()[1] in {b"401", b"405"}


def test_refusals_are_logged_and_every_line_says_when_in_utc_and_is_not_made_by_a_caller(served, nobody):
    forged = "/xf/v1/jobs/%0A%7B%22event%22:%22forged%22%7D"
    for path, mark in (("/xf/v1/jobs", "refused"), (forged, "forging")):
        with pytest.raises((AuthenticationFailed, ProtocolViolation)):
            nobody.request("GET", path, doing="ask", headers={"X-Request-Id": mark})
    lines = (served.data / "server.log").read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines if not line.startswith("xfworker serves")]
    assert {event["request_id"]: event["status"] for event in events if "request_id" in event}.items() >= {
        ("refused", 401),
        ("forging", 404),
    }
    assert "forged" not in {event["event"] for event in events}
    assert all(datetime.fromisoformat(event["timestamp"]).utcoffset() == timedelta(0) for event in events)


def test_what_no_route_takes_is_marked_as_well(admin):
    with pytest.raises(ProtocolViolation, match="request "):
        admin.request("GET", "/nowhere", doing="ask")


def test_a_person_logs_in_and_sees_their_own(served, admin, nobody):
    body = {"name": "anna", "password": "correct horse"}
    account = admin.request("POST", "/xf/v1/accounts", doing="add", json_body=body).json()
    assert "password" not in json.dumps(account)
    with pytest.raises(AuthenticationFailed):
        nobody.request("POST", "/xf/v1/login", doing="log in", json_body={**body, "password": "wrong"})
    answer = nobody.request("POST", "/xf/v1/login", doing="log in", json_body=body)
    assert answer.headers["cache-control"] == "no-store"
    hers = HttpTransport(served.url, token=answer.json()["token"])
    HttpXFServer(admin).create(Project(name="not hers"))
    own = HttpXFServer(hers).create(Project(name="hers"))
    assert HttpXFServer(hers).find(Project) == [own]
    with pytest.raises(PermissionDenied):
        hers.request("POST", "/xf/v1/worker-tokens", doing="ask", json_body={"name": "w"})
    listed = hers.request("GET", "/xf/v1/tokens", doing="ask").json()["items"]
    assert [token["name"] for token in listed] == ["login"]
    hers.request("DELETE", f"/xf/v1/tokens/{listed[0]['serial']}", doing="log out")
    with pytest.raises(AuthenticationFailed):
        HttpXFServer(hers).find(Project)
    hers.close()


def test_no_token_and_a_wrong_one_are_told_apart_from_faults(nobody, served):
    with pytest.raises(AuthenticationFailed, match="needs a token"):
        HttpXFServer(nobody).find(Project)
    forged = HttpTransport(served.url, token=served.admin_token[:-4] + "AAAA")
    with pytest.raises(AuthenticationFailed):
        HttpXFServer(forged).find(Project)
    forged.close()


@pytest.mark.parametrize("path", ["/xf/v1/projects", "/fss/v1/folders/userdata", "/images/v1/userdata/absent"])
def test_of_several_tokens_none_is_taken(served, admin, path):
    # A proxy that checks tokens may have looked at another one of them.
    place = parse_resource("userdata")
    token = HttpXFServer(admin).file_token([Scope("list", place)]).token if "/fss/" in path else served.admin_token
    address, own, other = urlsplit(served.url), f"Authorization: Bearer {token}", "authorization: Bearer other"

    def status(*fields):
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *fields, "", ""]
        with socket.create_connection((address.hostname, address.port), 60) as connection:
            connection.sendall("\r\n".join(lines).encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).split()[1]

    assert status(own) in {b"200", b"404"}
    for fields in ((own, other), (other, own), (own, own)):
        assert status(*fields) == b"401"
