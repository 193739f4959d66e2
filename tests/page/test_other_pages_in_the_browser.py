"""Charts, people, workers, packages and user data; and of every page: names, contrast, phone width and dark mode."""

import pytest

from tests.page.site_data import PASSWORD
from xfworker.adapters.http.xf_server import BASE
from xfworker.domain.files import Scope, userdata_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run


@pytest.fixture(scope="session")
def measured_runs(site):
    """Runs of another task's values in two groups."""
    for index in range(12):
        run = site.platform.server.create(
            Run(
                workflow_serial=site.workflow,
                name=f"r{index}",
                entity={"uuid": f"e{index}", "name": f"cage {index % 2}"},
            )
        )
        outputs = {"volume": 10.0 + index, "density": 900.0 - 3 * index, "sex": "fm"[index % 2]}
        site.platform.server.create(
            Job(task_serial=site.measure, run_serial=run.serial, state=JobState.DONE, outputs=outputs)
        )


def test_charts_show_values_over_runs(visit, site, measured_runs):
    page = visit(f"/workflows/{site.workflow}/charts?kind=box&y={site.measure}:volume&group={site.measure}:sex")
    page.locator("rect.box").nth(1).wait_for()
    assert page.locator("rect.box").count() == 2
    page.get_by_label("Chart").select_option("scatter")
    page.locator("select[name=x]").select_option(f"{site.measure}:density")
    page.get_by_text("r = -1.000").wait_for()
    assert "kind=scatter" in page.evaluate("location.search")
    with page.expect_download() as table:
        page.get_by_role("button", name="Save as CSV").click()
    lines = table.value.path().read_text().splitlines()
    assert len(lines) == 1 + 12
    with page.expect_download() as picture:
        page.get_by_role("button", name="Save as SVG").click()
    assert picture.value.path().read_text().startswith("<svg")
    page.get_by_label("Chart").select_option("histogram")
    page.locator(".bar-h.g1").first.wait_for()
    bars = page.locator(".bar-h title").all_text_contents()
    # The site's own job has no density, and other tests may have added some like it.
    with_volume = ["volume" in job.outputs for job in site.platform.server.find(Job, {"task_serial": site.measure})]
    assert sum(int(bar.rpartition(": ")[2].split()[0]) for bar in bars) == sum(with_volume)
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#chart[viewBox$=' 360']").wait_for()
    assert page.locator("#chart .tick").first.bounding_box()["height"] > 10
    page.get_by_label("Chart").select_option("scatter")
    page.locator("circle.point").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/*")


def test_user_data_are_stored_moved_and_deleted(visit, site, tmp_path):
    page = visit("/userdata")
    page.get_by_label("New folder").fill("scans & more")
    page.get_by_role("button", name="Go there").click()
    page.wait_for_url("**/userdata/scans%20%26%20more")
    file = tmp_path / "a 'b' (c).txt"
    file.write_bytes(b"content")
    page.get_by_label("Store files here").set_input_files(file)
    page.get_by_role("link", name=file.name).wait_for()
    page.locator("summary", has_text="Move").click()
    page.get_by_label("New path").fill("scans & more/renamed.txt")
    page.get_by_role("button", name="Move").click()
    page.get_by_role("link", name="renamed.txt").wait_for()
    token = site.platform.server.file_token([Scope("read", userdata_resource("scans & more"))])
    stored = site.platform.files.open_read(token, userdata_resource("scans & more/renamed.txt"))
    assert b"".join(stored) == b"content"
    page.goto(f"{site.url}/userdata")
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("tr", has_text="scans & more/").get_by_role("button", name="Delete").click()
    page.locator("tr", has_text="scans & more/").wait_for(state="detached")


def test_an_administrator_looks_after_people(visit, site):
    page = visit("/people", as_whom="owner")
    page.get_by_label("Name").fill("carla")
    page.get_by_label("Password").last.fill(PASSWORD)
    page.get_by_role("button", name="Add a person").click()
    row = page.locator("tr", has_text="carla")
    row.wait_for()
    page.once("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Keep out").click()
    page.locator("tr.obsolete", has_text="carla").wait_for()
    own = visit("/people")
    assert own.get_by_role("button", name="Keep out").count() == 0
    assert own.locator("tbody").first.inner_text().split() == ["anna", "user"]


def test_a_project_is_shared_by_its_owner(visit, site):
    page = visit(f"/projects/{site.project}/people")
    page.get_by_label("Name").fill("bob")
    page.get_by_role("button", name="Share", exact=True).click()
    page.locator("tr", has_text="bob").wait_for()
    members = site.platform.transport.request("GET", f"{BASE}/projects/{site.project}/members", doing="list").json()
    assert sorted(member["name"] for member in members["items"]) == ["anna", "bob"]
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("tr", has_text="bob").get_by_role("button").click()
    page.locator("tr", has_text="bob").wait_for(state="detached")


def test_workers_and_packages_are_listed(visit, site):
    page = visit("/workers")
    row = page.locator("tr", has_text="bench")
    row.get_by_role("link", name="Measure").click()
    page.wait_for_url(f"**/jobs/{site.running}")
    page.goto(f"{site.url}/packages")
    page.locator("tr", has_text="Test.Scan").wait_for()


PAGES = [
    "/",
    "/projects/{project}",
    "/projects/{project}/people",
    "/workflows/{workflow}",
    "/workflows/{workflow}?run={run}",
    "/workflows/{workflow}/new-run",
    "/workflows/{workflow}/edit",
    "/workflows/{workflow}/charts",
    "/jobs/{measured}",
    "/jobs/{running}",
    "/jobs/{person}",
    "/runs/{run}",
    "/compare?a={measured}",
    "/jobs/{measured}/append",
    "/compare?a={measured}&b={measured}",
    "/userdata",
    "/people",
    "/workers",
    "/packages",
    "/disk",
    "/disk/free",
    "/jobs/999999",
]


@pytest.fixture
def registered(site):
    """A job whose result is a registration, which has every control of the viewer."""
    image = site.platform.server.get(Job, site.measured).outputs["volume_image"]
    box = {"type": "ImageVOI", "pos": [1, 2, 3], "size": [9, 8, 7], "image": image}
    transform = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    result = {"type": "RegistrationResult", "transform": transform, "image1": image, "image2": image}
    outputs = {"registration": result, "box": box}
    job = Job(task_serial=site.measure, run_serial=site.run, state=JobState.DONE, outputs=outputs)
    return site.platform.server.create(job).serial


def test_every_page_passes_axe_in_light_and_dark_and_fits_a_phone(visit, site, axe, measured_runs, registered):
    page = visit(as_whom="owner", expected=("404", "inline style"))
    serials = {name: getattr(site, name) for name in ("project", "workflow", "run", "measured", "running", "person")}
    findings = []
    for template in (*PAGES, f"/jobs/{registered}"):
        path = template.format(**serials)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(site.url + path)
        page.locator("h1").first.wait_for()
        if page.locator("xf-slices").count():
            page.locator("xf-slices").first.scroll_into_view_if_needed()
            page.locator("xf-slices [role=slider][aria-valuenow]").first.wait_for()
        # Evaluated by the test's own means; the page's policy lets no such script in, nor the style that it adds.
        page.evaluate(axe)
        results = [page.evaluate("axe.run(document, { iframes: false })")]
        # The dark has other colours and nothing else.
        page.emulate_media(color_scheme="dark")
        results.append(page.evaluate("axe.run(document, { iframes: false, runOnly: ['color-contrast'] })"))
        findings += [
            f"{path}: {item['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
            for result in results
            for item in result["violations"]
            for node in item["nodes"][:3]
        ]
        page.set_viewport_size({"width": 390, "height": 844})
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > 390:
            findings.append(f"{path}: {wide} pixels wide on a phone")
    assert findings == [], "\n".join(findings)
