"""New runs from what the source task takes, and work that waits for a person, by two people at once."""

import pytest

from xfworker.api.cli.main import main
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run


@pytest.fixture
def person(site):
    """A job that waits for a person."""
    job = Job(task_serial=site.judge, run_serial=site.run, state=JobState.READY_FOR_INTERACTIVE)
    return site.platform.server.create(job).serial


def job(site, serial):
    return site.platform.server.get(Job, serial)


def test_a_run_is_started_with_a_file_that_was_chosen(visit, site, tmp_path):
    page = visit(f"/workflows/{site.workflow}/new-run")
    page.get_by_label("Name of the run").fill("mouse 2")
    page.get_by_label("Sample").fill("Minnie")
    page.get_by_label("threshold").fill("400")
    table = tmp_path / "groups.csv"
    table.write_bytes(b"a,b\n" + b"1,2\n" * 2_400_000)  # more than one piece of an upload
    page.locator(".drop input[type=file]").set_input_files(table)
    page.get_by_text("Stored: groups.csv").wait_for()
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url("**/workflows/*?run=*")
    run = max(site.platform.server.find(Run, {"workflow_serial": site.workflow}), key=lambda run: run.serial)
    assert (run.name, run.entity["name"]) == ("mouse 2", "Minnie")
    inputs = job(site, run.source_job_serial).inputs
    assert inputs["threshold"] == 400
    assert (inputs["table"]["type"], inputs["table"]["filename"]) == ("CSV", "groups.csv")
    page.goto(f"{site.url}/jobs/{run.source_job_serial}")
    page.get_by_text("rows, 2 columns").wait_for()


def test_what_does_not_fit_is_said_beside_the_field_and_starts_nothing(visit, site):
    page = visit(f"/workflows/{site.workflow}/new-run", expected=("422",))
    before = len(site.platform.server.find(Run))
    page.get_by_label("threshold").evaluate("field => { field.max = ''; field.value = '4000' }")
    page.get_by_label("Name of the run").fill("kept")
    page.get_by_role("button", name="Start the run").click()
    page.get_by_text("above the maximum 1000").wait_for()
    assert page.get_by_label("Name of the run").input_value() == "kept"
    assert page.get_by_label("threshold").input_value() == "4000"
    assert len(site.platform.server.find(Run)) == before


def test_a_person_finishes_a_job_by_its_form(visit, site, person):
    page = visit(f"/jobs/{person}")
    page.get_by_label("side").select_option("left")
    page.get_by_label("good").select_option("true")
    page.get_by_role("button", name="Finish").click()
    page.locator(".state-Done").wait_for()
    assert job(site, person).outputs == {"side": "left", "good": True, "note": None}


def test_of_two_people_only_one_finishes_a_job(visit, site, person):
    anna = visit(f"/jobs/{person}", expected=("409",))
    owner = visit(f"/jobs/{person}", as_whom="owner")
    anna.get_by_role("button", name="I work on this").click()
    owner.get_by_text("anna works on this").wait_for()
    for page, side in ((anna, "left"), (owner, "right")):
        page.get_by_label("side").select_option(side)
        page.get_by_label("good").select_option("false")
    # Anna's browser hears of it too late: it sends a form that was made from an older version of the job.
    form = anna.locator("#form form").last
    owner.get_by_role("button", name="Finish").click()
    owner.locator(".state-Done").wait_for()
    form.evaluate("form => form.submit()")
    anna.get_by_text("somebody else was quicker").or_(anna.get_by_text("does not wait for a person")).first.wait_for()
    assert job(site, person).outputs["side"] == "right"


def test_the_same_work_is_done_on_the_command_line(site, person, capsys):
    server = str(site.platform.embedded.data)
    assert main(["job", "finish", str(person), "side=right", "good=true", "note=fine", "--server", server]) == 0
    assert job(site, person).outputs["side"] == "right"
