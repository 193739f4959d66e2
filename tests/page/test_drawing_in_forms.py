"""A person draws a box on a job's image, and finishes the job with it."""

import json

import pytest

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
