"""A server with something to see, and a browser that fails a test for every error and every violation of the policy."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import threading
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from tests.page.site_data import PASSWORD, make_site
from xfworker.api.composition.local_platform import local_platform

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The image viewer draws by WebGL, here without a graphics card.
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
AXE_VERSION = "4.14.1"
AXE_SHA512 = (
    "1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b73"
    "4f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5"
)
"""Of the package as npm offers it."""


# Of a module, not of the session: while Playwright is there an event loop runs in this thread, in which tests of other
# modules could not run one of their own.
@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="the page is not tested: playwright is not installed")
    path = os.environ.get("XFWORKER_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("the page is not tested: there is no Chromium on this machine (Debian: apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def served_site(folder):
    """Serve a site, whose running job keeps its lease."""
    with local_platform(folder) as platform:
        made = make_site(platform)
        over = threading.Event()

        def keep_lease():
            while not over.wait(15):
                platform.queue.heartbeat([made.lease])

        keeper = threading.Thread(target=keep_lease)
        keeper.start()
        yield made
        over.set()
        keeper.join()


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    with served_site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="session")
def sessions():
    """The cookies of those who signed in: to check a password takes long on purpose."""
    return {}


def _sign_in(page, site, path, as_whom):
    if as_whom == "owner":
        page.goto(site.link(path))
    else:
        page.goto(f"{site.url}/sign-in?next={quote(path, safe='')}")
        page.get_by_label("Name").fill(as_whom)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/sign-in" not in url)


@pytest.fixture
def visit(browser, site, sessions):
    """Open a page of the site as somebody; what the browser complains about fails the test."""
    contexts, complaints = [], []

    def complain(path, said, expected):
        where = said.location.get("url", "")
        # What a report may not is said of the report; it tries on purpose.
        if said.type == "error" and "/reports/" not in where and not any(text in said.text for text in expected):
            complaints.append(f"{path}: {said.text} {where}")

    def open_page(path="/", *, as_whom="anna", expected=(), **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{path}: {error}"))
        page.on("console", lambda said: complain(path, said, expected))
        if as_whom is None:
            page.goto(site.url + path)
            return page
        if as_whom in sessions:
            context.add_cookies(sessions[as_whom])
            page.goto(site.url + path)
        # Some test may have ended the session meanwhile.
        if as_whom not in sessions or "/sign-in" in page.url:
            _sign_in(page, site, path, as_whom)
            sessions[as_whom] = context.cookies()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The accessibility checker, where npm can be had."""
    folder = tmp_path_factory.mktemp("axe")
    try:
        subprocess.run(["npm", "pack", "--silent", f"axe-core@{AXE_VERSION}"], cwd=folder, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("axe-core is not tried: it could not be had by npm")
    [archive] = folder.glob("*.tgz")
    assert hashlib.sha512(archive.read_bytes()).hexdigest() == AXE_SHA512
    with tarfile.open(archive) as package, package.extractfile("package/axe.min.js") as script:
        return script.read().decode()
