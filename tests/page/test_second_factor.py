"""The page's second step of signing in, and second factors that are set up there."""

import html
import re
from contextlib import closing

import pytest
from litestar.testing import TestClient

from tests.unit.platform.second_factor_home import WORDS, Home
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.api.composition.platform import web_app

HTML = {"Accept": "text/html"}


class Browser:
    """Somebody at the page, without scripts."""

    def __init__(self, client):
        self.client = client
        self.answer = None

    def get(self, path):
        self.answer = self.client.get(path, headers=HTML, follow_redirects=False)
        return self.answer

    def send(self, path, **fields):
        """Send the form that is shown, with these fields filled in."""
        form = re.search(rf'<form method="post" action="{re.escape(path)}".*?</form>', self.answer.text, re.DOTALL)[0]
        hidden = {
            name: html.unescape(value)
            for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
        }
        self.answer = self.client.post(path, data={**hidden, **fields}, headers=HTML, follow_redirects=False)
        return self.answer

    def sign_in(self, password=WORDS):
        self.get("/sign-in?next=/people")
        return self.send("/sign-in", name="anna", password=password)

    @property
    def shown(self):
        return html.unescape(self.answer.text)

    @property
    def secret(self):
        return re.search(r'<code id="secret">(\w+)</code>', self.answer.text)[1]

    @property
    def recovery_codes(self):
        return re.findall(r"<li><code>([a-z2-7-]+)</code></li>", self.answer.text)


def at(tmp_path, demanded="nobody"):
    home = Home(demanded)
    home.add()
    with closing(FolderFileStore(tmp_path)) as files:
        app, _ = web_app(home.platform, files)
        with TestClient(app, base_url="http://127.0.0.1:8080") as client:
            home.browser = Browser(client)
            yield home


@pytest.fixture
def home(tmp_path):
    yield from at(tmp_path)


@pytest.fixture
def strict(tmp_path):
    yield from at(tmp_path, "all")


def test_the_code_is_asked_for_after_the_password_and_leads_to_where_one_was_going(home):
    home.set_up()
    browser = home.browser
    assert browser.sign_in().status_code == 200
    assert "Set-Cookie" not in browser.answer.headers
    assert WORDS not in browser.answer.text
    assert browser.send("/sign-in/code", code="000000").status_code == 401
    assert "not the present code" in browser.shown
    assert browser.get("/people").headers["Location"].startswith("/sign-in")
    browser.sign_in()
    came = browser.send("/sign-in/code", code=home.phone.code())
    assert (came.status_code, came.headers["Location"]) == (303, "/people")
    assert "10 recovery codes are left" in browser.get("/people").text


def test_a_wrong_password_is_refused_before_a_code_is_asked_for(home):
    home.set_up()
    assert home.browser.sign_in("a wrong password").status_code == 401
    assert "/sign-in/code" not in home.browser.answer.text


def test_many_wrong_codes_are_slowed_down(home):
    home.set_up()
    home.browser.sign_in()
    for _ in range(10):
        assert home.browser.send("/sign-in/code", code="000000").status_code == 401
    assert home.browser.send("/sign-in/code", code="000000").status_code == 429
    assert "try again in" in home.browser.shown


def test_a_link_asks_for_the_code_as_well_also_where_somebody_is_signed_in(home):
    codes = home.set_up()
    sessions = home.platform.page_sessions()
    program = home.platform.authenticate(home.accounts.add_token(home.serial, "laptop").text)
    for number in range(2):
        assert home.browser.get(sessions.link(program).path).status_code == 200
        assert home.browser.send("/sign-in/code", code=codes[number]).status_code == 303


def test_a_second_factor_is_set_up_on_the_page_of_people(home):
    browser, base = home.browser, f"/people/{home.serial}/second-factor"
    browser.sign_in()
    browser.get("/people")
    assert browser.send(base, current_password="a wrong password").status_code == 401
    browser.get("/people")
    assert browser.send(base, current_password=WORDS).status_code == 200
    home.phone.secret = browser.secret
    assert "<svg" in browser.answer.text
    assert "style=" not in browser.answer.text  # which the page's policy would not let through
    assert browser.answer.headers["Cache-Control"] == "no-store"
    assert browser.send(f"{base}/confirm", code="000000").status_code == 401
    assert browser.secret == home.phone.secret
    assert browser.send(f"{base}/confirm", code=home.phone.code()).status_code == 200
    codes = browser.recovery_codes
    assert len(codes) == 10
    assert "Set up since" in browser.get("/people").text
    assert home.phone.secret not in browser.answer.text
    removed = browser.client.post(
        f"{base}/remove",
        data={"csrf_token": csrf(browser), "current_password": WORDS, "code": codes[0]},
        headers={"Accept": "application/json"},
    )
    assert removed.status_code == 200
    assert home.kept() == []


def csrf(browser):
    return re.search(r'name="csrf-token" content="([^"]+)"', browser.answer.text)[1]


def test_where_a_second_factor_is_demanded_it_is_set_up_before_one_comes_in(strict):
    browser = strict.browser
    assert browser.sign_in().status_code == 200
    assert "demands a second factor" in browser.shown
    assert "Set-Cookie" not in browser.answer.headers
    strict.phone.secret = browser.secret
    assert browser.send("/sign-in/set-up", code="000000").status_code == 401
    assert browser.secret == strict.phone.secret
    assert browser.send("/sign-in/set-up", code=strict.phone.code()).status_code == 200
    codes = browser.recovery_codes
    assert browser.get("/people").status_code == 200
    browser.client.cookies.clear()
    browser.sign_in()
    assert browser.send("/sign-in/code", code=codes[0]).status_code == 303


def test_an_administrator_sees_who_has_a_second_factor_and_removes_it(home):
    home.set_up()
    home.add("chief", administrator=True)
    browser = home.browser
    browser.get("/sign-in")
    browser.send("/sign-in", name="chief", password="chief-password")
    serial = next(account.serial for account in home.accounts.all() if account.name == "anna")
    assert browser.get("/people").text.count("set up</td>") == 1
    assert browser.send(f"/people/{serial}/second-factor/remove").status_code == 303
    assert home.kept() == []
    assert "set up</td>" not in browser.get("/people").text
