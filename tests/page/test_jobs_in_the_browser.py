"""A job's page: values as what they are, the log as a terminal shows it, what can be done, and what a report cannot."""

import numpy as np
import tifffile

from tests.page.site_data import HOSTILE
from xfworker.domain.change import Change
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job


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


def test_videos_and_meshes_are_shown_and_the_program_for_3d_is_loaded_for_them_only(visit, site):
    loaded = "performance.getEntriesByType('resource').some(({ name }) => name.includes('niivue'))"
    assert not visit(f"/jobs/{site.measured}").evaluate(loaded)
    job = Job(task_serial=site.measure, run_serial=site.run, state=JobState.DONE)
    serial = site.platform.server.create(job).serial
    outputs = {
        "film": {"type": "Video", **site.store("job_result", serial, "film.webm", b"\x1aE\xdf\xa3")},
        "part": {"type": "Mesh", **site.store("job_result", serial, "part.stl", b"solid part\nendsolid part\n")},
    }
    site.platform.server.update(Job, serial, Change(values={"/outputs": outputs}))
    page = visit(f"/jobs/{serial}")
    source = page.locator("video.picture").get_attribute("src")
    answer = page.context.request.get(site.url + source, headers={"Range": "bytes=1-2"})
    assert (answer.status, answer.headers["content-type"], answer.body()) == (206, "video/webm", b"E\xdf")
    frame = page.locator(f"iframe[src='/volumes/job_result/{serial}/part.stl']")
    frame.scroll_into_view_if_needed()
    page.frame_locator("iframe[src^='/volumes/']").locator("[role=status], body").first.wait_for()


def test_slices_that_are_a_file_each_are_shown_as_one_image(visit, site, tmp_path):
    job = Job(task_serial=site.measure, run_serial=site.run, state=JobState.DONE)
    serial = site.platform.server.create(job).serial
    names = [f"slice {number:04}.tif" for number in range(30)]
    for number, name in enumerate(names):
        tifffile.imwrite(tmp_path / name, np.full((16, 20), 100 * number, np.uint16))
        scan = site.store("job_result", serial, name, (tmp_path / name).read_bytes())
    scan = {"type": "Image", **scan, "filename": names[0], "filenames": names[1:]}
    site.platform.server.update(Job, serial, Change(values={"/outputs": {"scan": scan}}))
    page = visit(f"/jobs/{serial}")
    viewer = page.locator("xf-slices")
    # The crosshair begins in the middle: slice 15 of 30.
    viewer.locator(".value", has_text="1500").first.wait_for()
    assert viewer.evaluate("({ source }) => source.description.size") == [20, 16, 30]
    viewer.locator(".plane[data-axis=z]").press("End")
    viewer.locator(".value", has_text="2900").first.wait_for()
    assert page.get_by_text("and 9 more files of it").is_visible()


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


def test_a_registration_shows_one_image_moved_onto_the_other(visit, site):
    image = site.platform.server.get(Job, site.measured).outputs["volume_image"]
    moved = [1, 0, 0, 0.6, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    result = {"type": "RegistrationResult", "transform": moved, "image1": image, "image2": image}
    incomplete = {"type": "RegistrationResult", "transform": [1, 2], "image1": image, "image2": image}
    outputs = {"registration": result, "odd": incomplete}
    job = Job(task_serial=site.measure, run_serial=site.run, state=JobState.DONE, outputs=outputs)
    page = visit(f"/jobs/{site.platform.server.create(job).serial}")
    viewers = page.locator("xf-slices")
    assert viewers.count() == 3  # what is not a transformation shows its two images apart
    viewer = page.locator("xf-slices[moving]")
    viewer.scroll_into_view_if_needed()
    viewer.locator(".moved", has_text="second image:").wait_for()
    # Ten voxels of 0.06 mm along x.
    for voxel, own in (([30, 24, 20], [20, 24, 20]), ([12, 9, 8], [2, 9, 8])):
        viewer.evaluate("(viewer, voxel) => viewer.moveCross(voxel)", voxel)
        z, y, x = own[::-1]
        distance = ((z - 20) ** 2 + (y - 24) ** 2 + (x - 28) ** 2) ** 0.5
        value = int((900 - 20 * distance if distance < 18 else 50) + 3 * x)
        viewer.locator(".moved", has_text=f"second image: {value}").wait_for()
    viewer.evaluate("viewer => viewer.moveCross([3, 9, 8])")
    viewer.locator(".moved", has_text="nothing here").wait_for()
