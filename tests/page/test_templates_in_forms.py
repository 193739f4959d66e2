"""What the first run's person defines is shown to the next ones, and kept."""

from xfworker.domain.change import Change
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Task, TaskType, TaskTypeKind

INTERFACE = {
    "inputs": [
        {"key": "limit", "type": "Int", "maximum": 9, "supported_modes": ["define_on_first"]},
        {"key": "side", "type": "String", "supported_modes": ["define_on_first"]},
    ],
    "outputs": [{"key": "side", "type": "String", "enum": ["left", "right"]}, {"key": "good", "type": "Bool"}],
}


def test_templates_are_defined_by_the_first_form_and_shown_in_the_next(visit, site):
    admin = site.anna
    kind = admin.create(TaskType(name="Lab.Template", kind=TaskTypeKind.INTERACTIVE, interface=INTERFACE)).serial
    inputs = [{"key": key, "mode": "define_on_first", "template": None} for key in ("limit", "side")]
    task = admin.create(Task(workflow_serial=site.workflow, task_type_serial=kind, name="Define", inputs=inputs)).serial
    first = admin.create(Job(task_serial=task, run_serial=site.run, state=JobState.READY_FOR_INTERACTIVE)).serial
    page = visit(f"/jobs/{first}", expected=("422",))
    page.get_by_text("all later runs begin with: limit, side.").wait_for()
    page.get_by_label("limit").evaluate("field => { field.max = ''; field.value = '12' }")
    page.get_by_label("side").select_option("left")
    page.get_by_label("good").select_option("true")
    page.get_by_role("button", name="Finish").click()
    page.get_by_text("above the maximum 9").wait_for()
    assert page.get_by_label("side").input_value() == "left"
    page.get_by_label("limit").fill("7")
    page.get_by_role("button", name="Finish").click()
    page.locator(".state-Done").first.wait_for()
    templates = {item["key"]: item["template"] for item in admin.get(Task, task).inputs}
    assert templates == {"limit": 7, "side": "left"}
    run = admin.create(Run(workflow_serial=site.workflow, name="next"))
    values = {"limit": 7, "side": "left"}
    described = {"run_serial": run.serial, "state": JobState.READY_FOR_INTERACTIVE, "inputs": values}
    second = admin.create(Job(task_serial=task, **described)).serial
    page.goto(f"{site.url}/jobs/{second}")
    page.get_by_text("As the first run has it: limit, side.").wait_for()
    assert page.get_by_label("limit").count() == 0
    assert page.get_by_label("side").input_value() == "left"
    page.get_by_label("side").select_option("right")
    page.get_by_label("good").select_option("true")
    page.get_by_role("button", name="Finish").click()
    page.locator(".state-Done").first.wait_for()
    done = admin.get(Job, second)
    assert (done.inputs["limit"], done.outputs["side"]) == (7, "right")
    assert {item["key"]: item["template"] for item in admin.get(Task, task).inputs} == templates
    admin.update(Task, task, Change(values={"/state": "Obsolete"}))
