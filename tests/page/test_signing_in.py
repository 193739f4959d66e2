"""Who comes in, how, and what they see."""

import re
import urllib.parse
from http.client import HTTPConnection

import pytest
import urllib3

from tests.page.site_data import PASSWORD
from xfworker.adapters.page.session import Visitor
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.services.platform.principal import Principal, PrincipalKind

_POOL = urllib3.PoolManager(retries=False)


@pytest.fixture(autouse=True, scope="module")
def closed_connections():
    yield
    _POOL.clear()


def ask(url, *, cookie=None, data=None, **headers):
    sent = {"Accept": "text/html", **({"Cookie": cookie} if cookie else {}), **headers}
    if data is None:
        return _POOL.request("GET", url, headers=sent, redirect=False)
    body = urllib.parse.urlencode(data)
    sent = {"Content-Type": "application/x-www-form-urlencoded", **sent}
    return _POOL.request("POST", url, body=body, headers=sent, redirect=False)


def sign_in(site, name="anna", password=PASSWORD, **headers):
    return ask(f"{site.url}/sign-in", data={"name": name, "password": password, "next": "/"}, **headers)


def cookie_of(answer):
    return answer.headers["Set-Cookie"].partition(";")[0]


def csrf_of(site, cookie):
    return re.search(r'name="csrf-token" content="([^"]+)"', ask(f"{site.url}/", cookie=cookie).data.decode())[1]


def test_a_session_is_a_cookie_that_scripts_cannot_read(site):
    answer = sign_in(site)
    assert answer.status == 303
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(answer.headers["Set-Cookie"].split("; "))
    assert "Secure" not in answer.headers["Set-Cookie"]


def test_each_signing_in_begins_a_session_of_its_own_and_every_page_ends_it(site):
    first, second = cookie_of(sign_in(site)), cookie_of(sign_in(site))
    assert first != second
    for path in ("/", f"/jobs/{site.measured}", "/people"):
        assert 'action="/sign-out"' in ask(f"{site.url}{path}", cookie=first).data.decode()


def test_a_browser_masks_a_password_and_may_keep_it(site):
    [field] = re.findall(r'<input name="password"[^>]*>', ask(f"{site.url}/sign-in").data.decode())
    assert 'type="password"' in field
    assert 'autocomplete="current-password"' in field


def test_signing_out_ends_the_session_for_good(site):
    cookie = cookie_of(sign_in(site))
    assert ask(f"{site.url}/", cookie=cookie).status == 200
    token = csrf_of(site, cookie)
    assert ask(f"{site.url}/sign-out", cookie=cookie, data={"csrf_token": token}).status == 303
    assert ask(f"{site.url}/", cookie=cookie).headers["Location"] == "/sign-in"


def test_a_wrong_password_is_refused_and_many_are_slowed_down(site):
    assert sign_in(site, password="wrong horse").status == 401
    tries = (sign_in(site, name="nobody", password="wrong horse") for _ in range(40))
    refused = next(answer for answer in tries if answer.status == 429)
    assert "try again in" in refused.data.decode()


def test_a_link_works_once(site):
    link = site.link()
    assert ask(link).status == 303
    again = ask(link)
    assert again.status == 401
    assert "ask for a new one" in again.data.decode()


@pytest.mark.parametrize("target", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)"])
def test_signing_in_leads_to_no_other_site(site, target):
    answer = ask(f"{site.url}/sign-in", data={"name": "anna", "password": PASSWORD, "next": target})
    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}],
)
def test_what_another_site_sends_is_refused(site, headers):
    cookie = cookie_of(sign_in(site))
    data = {"csrf_token": csrf_of(site, cookie)}
    assert ask(f"{site.url}/jobs/{site.failed}/restart", cookie=cookie, data=data, **headers).status == 403


def test_a_form_without_the_sessions_token_is_refused(site):
    cookie, other = cookie_of(sign_in(site)), cookie_of(sign_in(site))
    for token in ("", "AAAA", csrf_of(site, other)):
        answer = ask(f"{site.url}/jobs/{site.failed}/restart", cookie=cookie, data={"csrf_token": token})
        assert answer.status == 403, token


def test_a_token_of_the_api_that_is_not_a_persons_is_no_session(site):
    name = cookie_of(sign_in(site)).partition("=")[0]
    assert ask(f"{site.url}/", cookie=f"{name}={site.lease.server_auth}").headers["Location"] == "/sign-in"


def test_who_does_not_see_a_project_sees_nothing_of_it(site):
    cookie = cookie_of(sign_in(site, name="bob"))
    paths = [
        f"/projects/{site.project}",
        f"/workflows/{site.workflow}",
        f"/workflows/{site.workflow}/board",
        f"/workflows/{site.workflow}/events",
        f"/workflows/{site.workflow}/new-run",
        f"/workflows/{site.workflow}/cell?run={site.run}&task={site.scan}",
        f"/jobs/{site.measured}",
        f"/jobs/{site.measured}/live",
        f"/jobs/{site.running}/log",
        f"/jobs/{site.running}/activity",
        f"/runs/{site.run}",
        f"/files/job_result/{site.measured}/slice.png",
        f"/reports/job_result/{site.measured}/report.html",
        f"/tables/job_result/{site.measured}/values.csv",
    ]
    refused = {path: ask(f"{site.url}{path}", cookie=cookie).status for path in paths}
    assert set(refused.values()) <= {403, 404}, refused
    assert "Bones" not in ask(f"{site.url}/", cookie=cookie).data.decode()
    data = {"csrf_token": csrf_of(site, cookie), "name": "x", "priority": "High", "version": "1", "obsolete": "true"}
    for action in (
        f"jobs/{site.failed}/restart",
        f"jobs/{site.running}/abort",
        f"jobs/{site.failed}/rename",
        f"jobs/{site.person}/work",
        f"jobs/{site.person}/finish",
        f"runs/{site.run}/rename",
        f"runs/{site.run}/priority",
        f"runs/{site.run}/obsolete",
        f"runs/{site.run}/copy",
        f"workflows/{site.workflow}/new-run",
    ):
        assert ask(f"{site.url}/{action}", cookie=cookie, data=data).status == 404, action


def test_nobody_sees_anything_without_signing_in(site):
    for path in ("/", f"/jobs/{site.measured}", f"/files/job_result/{site.measured}/slice.png"):
        answer = ask(f"{site.url}{path}")
        assert answer.status == 303
        assert answer.headers["Location"].startswith("/sign-in")
    assert ask(f"{site.url}/workflows/{site.workflow}/board", Accept="application/json").status == 401


def test_every_answer_forbids_frames_sniffing_and_what_is_inline(site):
    cookie = cookie_of(sign_in(site))
    for path in ("/sign-in", "/", f"/jobs/{site.measured}", "/jobs/999999"):
        headers = ask(f"{site.url}{path}", cookie=cookie).headers
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "default-src 'self'" in policy
        assert "http" not in policy  # nothing is fetched from, or sent to, anybody else
    job = Job(task_serial=site.measure, run_serial=site.run, state=JobState.DONE)
    drawn = site.platform.server.create(job).serial
    site.store("job_result", drawn, "drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>")
    for place in (f"{site.measured}/slice.png", f"{drawn}/drawing.svg"):
        headers = ask(f"{site.url}/files/job_result/{place}", cookie=cookie).headers
        policy = headers["Content-Security-Policy"].split("; ")
        assert {"sandbox", "default-src 'none'"} <= set(policy)
        assert not any("script" in part for part in policy)
    report = ask(f"{site.url}/reports/job_result/{site.measured}/report.html", cookie=cookie)
    assert "sandbox" in report.headers["Content-Security-Policy"]
    assert "connect-src 'none'" in report.headers["Content-Security-Policy"]
    html = ask(f"{site.url}/files/job_result/{site.measured}/report.html", cookie=cookie).headers
    assert html["Content-Disposition"].startswith("attachment")
    assert html["Content-Type"] == "application/octet-stream"


def test_forms_are_small(site):
    cookie = cookie_of(sign_in(site))
    forms = [("/sign-in", 64 << 10), ("/sign-in/code", 64 << 10), ("/sign-in/set-up", 64 << 10), ("/sign-out", 1 << 20)]
    for path, most in forms:
        # Only announced, because a server that does not want a body may close the connection while it is sent.
        connection = HTTPConnection(site.url.removeprefix("http://"))
        connection.putrequest("POST", path)
        fields = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": most + 1, "Cookie": cookie}
        for name, value in fields.items():
            connection.putheader(name, str(value))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()


def test_a_session_is_not_shown_by_mistake():
    principal = Principal(kind=PrincipalKind.USER, name="anna")
    assert "secret" not in repr(Visitor(principal, "the-secret-token"))


def test_a_file_is_sent_in_parts(site):
    cookie = cookie_of(sign_in(site))
    url = f"{site.url}/files/job_result/{site.measured}/values.csv"
    whole = ask(url, cookie=cookie)
    part = ask(url, cookie=cookie, Range="bytes=5-9")
    assert (part.status, part.data) == (206, whole.data[5:10])
    assert ask(url, cookie=cookie, Range="bytes=99999999-").status == 416
    assert ask(url, cookie=cookie, **{"If-None-Match": whole.headers["ETag"]}).status == 304
