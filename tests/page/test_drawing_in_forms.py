"""A person draws a box on a job's image, and finishes the job with it."""

import json

import pytest

from xfworker.adapters.images.gobj import read_contours
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.image.polygon import chain_of
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Task, TaskType, TaskTypeKind


@pytest.fixture
def drawing(site):
    """A job that waits for a box on an image."""
    interface = {
        "inputs": [{"key": "image", "type": "Image"}],
        "outputs": [{"key": "roi", "type": "ImageVOI", "description": "Around the condyle"}],
    }
    server = site.platform.server
    kind = server.create(TaskType(name="Test.Draw", kind=TaskTypeKind.INTERACTIVE, interface=interface))
    modes = [{"key": "image", "mode": "ui"}]
    task = site.anna.create(
        Task(workflow_serial=site.workflow, task_type_serial=kind.serial, name="Draw", inputs=modes)
    )
    image = server.get(Job, site.measured).outputs["volume_image"]
    state = JobState.READY_FOR_INTERACTIVE
    job = Job(task_serial=task.serial, run_serial=site.run, state=state, inputs={"image": image})
    return server.create(job).serial


def test_a_box_that_was_drawn_beside_its_field_finishes_the_job(visit, site, drawing):
    page = visit(f"/jobs/{drawing}")
    viewer = page.locator("xf-slices[into]")
    viewer.scroll_into_view_if_needed()
    viewer.locator(".plane[data-axis=z] .bar-text").wait_for(state="attached")
    viewer.get_by_role("button", name="New at the crosshair").click()
    field = page.get_by_label("roi").first
    drawn = json.loads(field.input_value())
    assert (drawn["type"], drawn["pos"], drawn["size"]) == ("ImageVOI", [14, 12, 10], [28, 24, 20])
    field.fill(json.dumps(drawn | {"pos": [1, 2, 3]}))
    field.press("Tab")
    assert viewer.evaluate("viewer => viewer.value.pos") == [1, 2, 3]
    page.get_by_role("button", name="Finish").click()
    page.locator(".state-Done").wait_for()
    roi = site.platform.server.get(Job, drawing).outputs["roi"]
    assert (roi["pos"], roi["size"]) == ([1, 2, 3], [28, 24, 20])
    assert roi["image"]["filename"] == "scan.omni"


@pytest.fixture
def contouring(site):
    """A job that waits for contours on an image, and for a grade."""
    outputs = [{"key": "rim", "type": "Contours"}, {"key": "grade", "type": "Int", "maximum": 5}]
    interface = {"inputs": [{"key": "image", "type": "Image"}], "outputs": outputs}
    server = site.platform.server
    kind = server.create(TaskType(name="Test.Contour", kind=TaskTypeKind.INTERACTIVE, interface=interface))
    modes = [{"key": "image", "mode": "ui"}]
    task = Task(workflow_serial=site.workflow, task_type_serial=kind.serial, name="Contour", inputs=modes)
    image = server.get(Job, site.measured).outputs["volume_image"]
    state = JobState.READY_FOR_INTERACTIVE
    task_serial = site.anna.create(task).serial
    return server.create(Job(task_serial=task_serial, run_serial=site.run, state=state, inputs={"image": image})).serial


def test_landmarks_and_a_box_at_an_angle_are_drawn_beside_their_fields(visit, site):
    outputs = [{"key": "tips", "type": "Landmarks"}, {"key": "block", "type": "RotatedImageVOI"}]
    interface = {"inputs": [{"key": "image", "type": "Image"}], "outputs": outputs}
    server = site.platform.server
    kind = server.create(TaskType(name="Test.Mark", kind=TaskTypeKind.INTERACTIVE, interface=interface))
    modes = [{"key": "image", "mode": "ui"}]
    task = Task(workflow_serial=site.workflow, task_type_serial=kind.serial, name="Mark", inputs=modes)
    image = server.get(Job, site.measured).outputs["volume_image"]
    waits = JobState.READY_FOR_INTERACTIVE
    job = Job(task_serial=site.anna.create(task).serial, run_serial=site.run, state=waits, inputs={"image": image})
    serial = server.create(job).serial
    page = visit(f"/jobs/{serial}")
    for mode in ("landmarks", "rotated-voi"):
        viewer = page.locator(f"xf-slices[mode={mode}]")
        viewer.scroll_into_view_if_needed()
        viewer.locator(".plane[data-axis=z] .bar-text").wait_for(state="attached")
        # By keyboard alone.
        viewer.locator(".plane[data-axis=z]").focus()
        page.keyboard.press("n")
        page.keyboard.press("Alt+ArrowRight")
    page.get_by_role("button", name="Finish").click()
    page.locator(".state-Done").wait_for()
    outputs = server.get(Job, serial).outputs
    assert [mark["voxel"] for mark in outputs["tips"]["landmarks"]] == [[29, 24, 20]]
    assert outputs["block"]["size"] == [28, 24, 20]
    assert outputs["block"]["image"]["filename"] == outputs["tips"]["image"]["filename"] == "scan.omni"


def _at(viewer, voxel):
    x, y = viewer.evaluate("(viewer, voxel) => viewer.planes.z.at(voxel)", voxel)
    box = viewer.locator(".plane[data-axis=z]").bounding_box()
    return box["x"] + x, box["y"] + y


def test_contours_are_drawn_changed_and_kept_as_a_gobj(visit, site, contouring, tmp_path):
    page = visit(f"/jobs/{contouring}", expected=("422",))
    viewer = page.locator("xf-slices[data-contours]")
    viewer.scroll_into_view_if_needed()
    viewer.locator(".plane[data-axis=z] .bar-text").wait_for(state="attached")
    for corner in ([10, 8, 20], [40, 8, 20], [40, 30, 20], [10, 30, 20]):
        page.mouse.click(*_at(viewer, corner))
    page.keyboard.press("Enter")
    page.get_by_label("grade").fill("9")
    page.locator("#form form").last.evaluate("form => { form.noValidate = true }")
    page.get_by_role("button", name="Finish").click()
    # The grade is refused: what was drawn is a file by now, and comes back from it.
    page.locator(".problem", has_text="above the maximum").first.wait_for()
    viewer.scroll_into_view_if_needed()
    page.locator("xf-slices[data-contours] .handle").first.wait_for(state="attached")
    drawn = viewer.evaluate("viewer => viewer.value.contours")
    assert [contour["z"] for contour in drawn] == [20]
    assert sorted(map(tuple, drawn[0]["points"])) == [(10, 8), (10, 30), (40, 8), (40, 30)]
    page.mouse.move(*_at(viewer, [40, 30, 20]))
    page.mouse.down()
    page.mouse.move(*_at(viewer, [45, 36, 20]), steps=3)
    page.mouse.up()
    page.get_by_label("grade").fill("4")
    page.get_by_role("button", name="Finish").click()
    page.locator(".state-Done").wait_for()
    rim = site.platform.server.get(Job, contouring).outputs["rim"]
    assert (rim["type"], rim["filename"], rim["image"]["filename"]) == ("Contours", "rim.gobj", "scan.omni")
    path = tmp_path / "rim.gobj"
    resource = record_resource("job_result", contouring, "rim.gobj")
    site.platform.files.download(site.platform.server.file_token([Scope("read", resource)]), resource, path)
    (contour,) = read_contours(path).contours
    assert set(contour.points) == set(chain_of([(10, 8), (40, 8), (45, 36), (10, 30)]))
    # The finished job shows them on the image.
    shown = page.locator(".value-drawn xf-slices")
    shown.scroll_into_view_if_needed()
    shown.locator("text=Segments").first.wait_for()


def test_a_box_of_a_finished_job_is_shown_on_its_image_and_stays_as_it_is(visit, site):
    image = site.platform.server.get(Job, site.measured).outputs["volume_image"]
    box = {"type": "ImageVOI", "pos": [4, 5, 6], "size": [10, 12, 14], "image": image}
    job = Job(task_serial=site.measure, run_serial=site.run, state=JobState.DONE, outputs={"box": box})
    page = visit(f"/jobs/{site.platform.server.create(job).serial}")
    viewer = page.locator("xf-slices[mode=voi]")
    viewer.scroll_into_view_if_needed()
    viewer.locator("polygon.shape").first.wait_for(state="attached")
    viewer.locator(".plane[data-axis=z]").focus()
    for key in ("Delete", "n", "Alt+ArrowRight"):
        page.keyboard.press(key)
    assert viewer.evaluate("viewer => [viewer.value.pos, viewer.value.size]") == [[4, 5, 6], [10, 12, 14]]
    assert not viewer.get_by_role("button", name="New at the crosshair").is_visible()
