"""Makes the pictures of docs/page.md: ``python -m tests.page.pictures``; it needs playwright and Chromium."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.board_data import fill_board
from tests.page.conftest import FLAGS
from tests.page.site_data import Site, make_other, make_site
from xfworker.adapters.http.xf_server import BASE
from xfworker.api.composition.local_platform import LocalPlatform, local_platform
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
DESKTOP = {"width": 1200, "height": 760}
PHONE = {"width": 390, "height": 760}


def main() -> None:
    """Make them all."""
    PICTURES.mkdir(exist_ok=True)
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        data = Path(folder, "board")
        workflow = fill_board(data, runs=120, tasks=16)
        with local_platform(data) as platform:
            _take(browser, platform, f"/workflows/{workflow}?state=F&sort=state", "board", ready=".row")
            _take(browser, platform, f"/workflows/{workflow}", "board-dark", dark=True, ready=".row")
            _take(browser, platform, f"/workflows/{workflow}/edit", "editor", ready="#graph a")
            _take(browser, platform, f"/workflows/{workflow}", "board-phone", phone=True, ready=".row")
        with local_platform(Path(folder, "site")) as platform:
            site = make_site(platform)
            other = make_other(site)
            _measure(site)
            viewer = "xf-slices [role=slider][aria-valuenow]"
            _take(browser, platform, f"/jobs/{site.measured}", "job", ready=viewer)
            compared = f"/compare?a={site.measured}&b={other}"
            _take(browser, platform, compared, "compare", ready=viewer)
            _take(browser, platform, f"/jobs/{site.person}", "person", ready="#form")
            _take(browser, platform, f"/jobs/{site.person}", "person-phone", phone=True, ready="#form")
            _take(browser, platform, f"/jobs/{site.running}", "log", ready=".t-1")
            charts = f"/workflows/{site.workflow}/charts?kind=box&y={site.measure}:volume&group={site.measure}:sex"
            _take(browser, platform, charts, "charts", ready="rect.box")
            _take(browser, platform, f"/workflows/{site.workflow}/new-run", "new-run", ready="form")
        browser.close()


def _take(
    browser: Browser,
    platform: LocalPlatform,
    path: str,
    name: str,
    *,
    ready: str,
    dark: bool = False,
    phone: bool = False,
) -> None:
    context = browser.new_context(viewport=PHONE if phone else DESKTOP, color_scheme="dark" if dark else "light")
    page = context.new_page()
    link = platform.transport.request("POST", f"{BASE}/page-links", doing="make a link").json()["path"]
    page.goto(f"{platform.embedded.endpoint.url}{link}")
    page.goto(f"{platform.embedded.endpoint.url}{path}")
    if ready.startswith("xf-slices"):
        page.locator("xf-slices").first.scroll_into_view_if_needed()
    page.locator(ready).first.wait_for()
    page.wait_for_timeout(3000)
    page.screenshot(path=PICTURES / f"{name}.png")
    context.close()


def _measure(site: Site) -> None:
    for index in range(40):
        entity = {"uuid": f"e{index}", "name": f"cage {index % 4}"}
        run = site.platform.server.create(Run(workflow_serial=site.workflow, name=f"mouse {index + 2}", entity=entity))
        volume = 2.1 + 0.3 * (index % 2) + 0.02 * ((index * 7) % 13)
        outputs = {
            "volume": volume,
            "density": 900.0 - 40 * volume + (index * 5) % 11,
            "sex": ("female", "male")[index % 2],
        }
        units = {"output_units": {"volume": "mm³", "density": "mg HA/cm³"}}
        job = Job(task_serial=site.measure, run_serial=run.serial, state=JobState.DONE, outputs=outputs, metadata=units)
        site.platform.server.create(job)


if __name__ == "__main__":
    main()
