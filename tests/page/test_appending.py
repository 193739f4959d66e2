"""A task is appended to a job: the form offers what fits, and the task begins in the job's run."""

import pytest

from xfworker.domain.change import Change
from xfworker.domain.records import Job, Task, TaskType, Workflow


@pytest.fixture(scope="session")
def taking(site):
    """A task type that takes what the job gave, and a number of its own."""
    limit = {"key": "limit", "type": "Int", "minimum": 0, "maximum": 9, "supported_modes": ["fixed", "ui"]}
    side = {"key": "side", "type": "String", "supported_modes": ["output"]}
    return site.anna.create(TaskType(name="Lab.Report", interface={"inputs": [side, limit], "outputs": []})).serial


def test_a_task_is_appended_with_what_fits_chosen_already(visit, site, taking):
    job = site.anna.create(Job(task_serial=site.judge, run_serial=site.run, state="ReadyForInteractive")).serial
    site.anna.update(
        Job, job, Change(values={"/outputs": {"side": "left", "good": True, "note": None}, "/state": "Done"})
    )
    page = visit(f"/jobs/{job}", expected=("422",))
    page.get_by_role("link", name="Append a task").click()
    page.get_by_label("Task type").select_option(str(taking))
    page.get_by_role("button", name="Choose").click()
    page.get_by_label("side String").wait_for()
    assert page.get_by_label("side String").input_value() == f"output:{site.judge}:side"
    page.get_by_label("limit Int").select_option("fixed")
    page.get_by_label("Fixed value of limit").fill("12")
    page.get_by_label("Name").fill("Report <b>")
    page.get_by_role("button", name="Append the task").click()
    page.get_by_role("alert").get_by_text("above the maximum 9").wait_for()
    assert page.get_by_label("Name").input_value() == "Report <b>"
    page.get_by_label("Fixed value of limit").fill("7")
    page.get_by_role("button", name="Append the task").click()
    page.get_by_role("heading", name="Report <b>").wait_for()
    (task,) = site.anna.find(Task, {"task_type_serial": taking})
    (begun,) = site.anna.find(Job, {"task_serial": task.serial})
    assert (begun.run_serial, begun.inputs["limit"]) == (site.run, 7)
    assert page.url.endswith(f"/jobs/{begun.serial}")
    site.anna.update(Task, task.serial, Change(values={"/state": "Obsolete"}))


def test_nothing_is_appended_where_it_may_not_be(visit, site, taking):
    page = visit(f"/jobs/{site.measured}/append", as_whom="bob", expected=("404",))
    page.get_by_text(f"there is no job {site.measured}").wait_for()
    site.anna.update(Workflow, site.workflow, Change(values={"/locked": True}))
    try:
        page = visit(f"/jobs/{site.person}/append?task_type={taking}", expected=("423",))
        page.get_by_label("limit Int").select_option("ui")
        page.get_by_role("button", name="Append the task").click()
        page.get_by_role("alert").get_by_text("is locked; unlock it to change its tasks").wait_for()
    finally:
        site.anna.update(Workflow, site.workflow, Change(values={"/locked": False}))
