"""A job's page: values as what they are, the log as a terminal shows it, what can be done, and what a report cannot."""

from tests.page.site_data import HOSTILE


def test_values_are_shown_as_what_they_are(visit, site):
    page = visit(f"/jobs/{site.measured}")
    live = page.locator("#live")
    assert live.get_by_text("2.25").is_visible()
    assert live.get_by_text("mm³").is_visible()
    assert live.get_by_text("<b>bold</b>").is_visible()
    assert page.locator("img.picture").first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    assert page.locator("xf-slices").get_attribute("src") == f"/slices/job_result/{site.measured}/scan.omni"
    assert live.get_by_text(HOSTILE, exact=True).is_visible()
    with page.expect_download() as download:
        live.get_by_text(HOSTILE, exact=True).click()
    assert download.value.path().read_bytes() == b"text"
    sheet = page.locator("xf-table")
    assert sheet.get_by_text("40 rows, 3 columns").is_visible()
    sheet.get_by_role("button", name="Plot").click()
    page.locator(".plot canvas").wait_for()


def test_a_report_runs_its_scripts_and_reaches_nothing(visit, site):
    page = visit(f"/jobs/{site.measured}")
    report = page.frame_locator("iframe.report")
    report.get_by_text("refused").wait_for()
    assert report.locator("#said").inner_text() == "cookie refused, parent refused, fetch refused"
    page.goto(f"{site.url}/reports/job_result/{site.measured}/report.html")
    page.get_by_text("fetch refused").wait_for()
    assert "cookie refused" in page.locator("#said").inner_text()


def test_the_log_is_shown_as_a_terminal_shows_it(visit, site):
    page = visit(f"/jobs/{site.running}")
    log = page.locator("#log")
    log.get_by_text("done", exact=True).wait_for()
    assert [line.strip() for line in log.inner_text().splitlines()] == ["start", "red words", "100 %", "done"]
    assert log.locator(".t-1").inner_text() == "red words"


def test_a_failure_says_why(visit, site):
    page = visit(f"/jobs/{site.failed}")
    assert page.locator(".problem").inner_text() == "ValueError: no bone <script>alert(1)</script>"
    assert page.get_by_text("job", exact=False).first.is_visible()
    assert page.locator("#activity li").first.is_visible()
