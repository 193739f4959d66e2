"""Cookies, HSTS and addresses where the browser speaks TLS, with the server or with a proxy before it."""

from contextlib import closing

import pytest
from litestar.testing import TestClient

from xfworker.adapters.web.transport import TransportOptions, checked_proxies
from xfworker.api.composition.platform import PlatformStorage, file_store, opened_platform, web_app
from xfworker.domain.errors import ConfigurationError
from xfworker.services.platform.principal import ADMIN

PASSWORD = "otter basalt quince"
OF_A_PROXY = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7, 10.0.0.5"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    storage = PlatformStorage(data=tmp_path_factory.mktemp("data"), database="memory:")
    with closing(file_store(storage)) as files, opened_platform(storage, files=files) as platform:
        platform.accounts_for(ADMIN).add("anna", PASSWORD)
        yield platform, files


def signed_in(served, url, headers=None, **options):
    """Sign in by a browser that came to an address, and give the answer."""
    app, _ = web_app(*served, transport=TransportOptions(**options))
    with TestClient(app, base_url=url) as client:
        form = {"name": "anna", "password": PASSWORD, "next": "/"}
        answer = client.post("/sign-in", data=form, headers=headers or {}, follow_redirects=False)
        assert answer.status_code == 303
        return answer


def addresses(served):
    platform, _ = served
    accounts = platform.accounts_for(ADMIN)
    return accounts.sign_ins(accounts.by_name("anna").serial)[0].address


def test_over_tls_the_cookie_is_of_this_host_alone_and_secure(served):
    cookie = signed_in(served, "https://lab.example:8443").headers["Set-Cookie"]
    assert cookie.startswith("__Host-xfworker-8443=")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_the_session_of_a_cookie_over_tls_is_found_again(served):
    app, _ = web_app(*served)
    with TestClient(app, base_url="https://lab.example") as client:
        cookie = signed_in(served, "https://lab.example").headers["Set-Cookie"].partition(";")[0]
        page = client.get("/people", headers={"Cookie": cookie, "Accept": "text/html"}, follow_redirects=False)
        assert page.status_code == 200
        assert "this session" in page.text
        plain = cookie.removeprefix("__Host-")
        shut = client.get("/people", headers={"Cookie": plain, "Accept": "text/html"}, follow_redirects=False)
        assert shut.status_code == 303


def test_without_tls_on_loopback_the_plain_name_stays(served):
    answer = signed_in(served, "http://127.0.0.1:8080")
    assert answer.headers["Set-Cookie"].startswith("xfworker-8080=")
    assert "Secure" not in answer.headers["Set-Cookie"]
    assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize(
    ("scheme", "host", "options", "expected"),
    [
        ("https", "lab.example", {}, "max-age=31536000; includeSubDomains"),
        ("https", "lab.example", {"hsts_days": 2}, "max-age=172800; includeSubDomains"),
        ("https", "lab.example", {"hsts_days": 0}, None),
        ("https", "127.0.0.1:8443", {}, None),
        ("https", "[::1]:8443", {}, None),
        ("http", "lab.example", {}, None),
    ],
)
def test_browsers_come_back_over_tls_only_where_they_came_by_it(served, scheme, host, options, expected):
    app, _ = web_app(*served, transport=TransportOptions(**options))
    with TestClient(app, base_url=f"{scheme}://lab.example") as client:
        answers = [client.get(path, headers={"Host": host}) for path in ("/health", "/xf/v1/config", "/sign-in")]
    assert {answer.headers.get("Strict-Transport-Security") for answer in answers} == {expected}


def test_header_fields_of_a_proxy_that_is_not_known_change_nothing(served):
    answer = signed_in(served, "http://lab.example", OF_A_PROXY)
    assert answer.headers["Set-Cookie"].startswith("xfworker=")
    assert "Strict-Transport-Security" not in answer.headers
    assert addresses(served) == "testclient"
    signed_in(served, "http://lab.example", OF_A_PROXY, trusted_proxies=("10.0.0.0/8",))
    assert addresses(served) == "testclient"


def test_a_proxy_that_is_known_says_who_came_and_how(served):
    answer = signed_in(served, "http://lab.example", OF_A_PROXY, trusted_proxies=("testclient", "10.0.0.0/24"))
    assert answer.headers["Set-Cookie"].startswith("__Host-xfworker=")
    assert "Strict-Transport-Security" in answer.headers
    assert addresses(served) == "198.51.100.7"


def test_what_a_caller_wrote_before_the_proxy_did_is_not_believed(served):
    forged = {"X-Forwarded-For": "203.0.113.1, 198.51.100.7"}
    signed_in(served, "http://lab.example", forged, trusted_proxies=("testclient",))
    assert addresses(served) == "198.51.100.7"


@pytest.mark.parametrize("address", ["proxy.lab", "10.0.0.1/8", "*", ""])
def test_what_is_not_an_address_of_a_proxy_is_refused(address):
    with pytest.raises(ConfigurationError, match="not the address or network of a proxy"):
        checked_proxies([address])
    assert checked_proxies(["10.0.0.7", "10.0.0.0/24", "::1"]) == ("10.0.0.7", "10.0.0.0/24", "::1")
