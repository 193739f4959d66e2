"""The workflow editor: made from nothing, by keyboard, each connection chosen from what fits; and two people at it."""

import json

from xfworker.domain.records import Task, TaskState, TaskType, Workflow, WorkflowState


def test_a_workflow_is_made_from_nothing_and_started(visit, site):
    image = {"key": "image", "type": "Image"}
    site.anna.create(TaskType(name="Ed.Load", kind="Source", interface={"inputs": [], "outputs": [image]}))
    limit = {"key": "limit", "type": "Int"}
    interface = {"inputs": [image, limit], "outputs": [{"key": "volume", "type": "Float"}]}
    site.anna.create(TaskType(name="Ed.Cut", interface=interface))
    page = visit("/")
    page.get_by_label("Name").fill("Edited")
    page.get_by_role("button", name="Make").click()
    page.wait_for_url("**/projects/*")
    page.get_by_label("Name").fill("From nothing")
    page.get_by_role("button", name="Make").click()
    page.wait_for_url("**/workflows/*/edit")
    for kind in ("Ed.Load", "Ed.Cut"):
        option = page.locator("#add-type option", has_text=kind).get_attribute("value")
        page.locator("#add-type").select_option(option)
        page.get_by_role("button", name="Add a task").click()
        page.locator(".task-head", has_text=kind).wait_for()
    assert page.locator("#graph a.node").count() == 2
    cut = page.locator(".task-card", has=page.locator(".task-head", has_text="Ed.Cut")).first
    source = cut.locator("select[name='source.image']")
    assert [text for text in source.locator("option").all_inner_texts() if ":" in text] == ["fixed:", "Load: image"][1:]
    source.select_option(label="Load: image")
    cut.locator("select[name='source.limit']").select_option("fixed")
    cut.get_by_label("Fixed value of limit").fill("320")
    cut.get_by_role("button", name="Save").click()
    page.locator("#graph .edge:not(.is-new)").wait_for(state="attached")
    page.get_by_role("button", name="Start the workflow").click()
    page.locator(".state-Active").wait_for()
    serial = int(page.url.rsplit("/", 2)[1])
    assert site.platform.server.get(Workflow, serial).state is WorkflowState.ACTIVE
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as tasks.json").click()
    tasks = json.loads(saved.value.path().read_text())["tasks"]
    assert tasks[1]["inputs"] == {
        "image": {"mode": "output", "task": 0, "key": "image"},
        "limit": {"mode": "fixed", "fixed_value": 320},
    }
    cut.get_by_role("button", name="Clone").click()
    page.locator("h2", has_text="Cut (copy)").wait_for()
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator(".task-card", has=page.locator("h2", has_text="Cut (copy)")).get_by_role(
        "button", name="Remove"
    ).click()
    page.locator("h2", has_text="Cut (copy)").wait_for(state="detached")
    states = [task.state for task in site.platform.server.find(Task, {"workflow_serial": serial})]
    assert sorted(states) == [TaskState.ACTIVE, TaskState.ACTIVE, TaskState.OBSOLETE]


def test_of_two_people_who_change_a_workflow_the_second_is_told(visit, site):
    anna = visit(f"/workflows/{site.workflow}/edit", expected=("409",))
    owner = visit(f"/workflows/{site.workflow}/edit", as_whom="owner")
    for page, name in ((owner, "Judgement"), (anna, "Verdict")):
        page.locator(f"#name-{site.judge}").fill(name)
        page.locator(f"#task-{site.judge}").get_by_role("button", name="Save").click()
    anna.get_by_text("moved on from version").wait_for()
    assert site.platform.server.get(Task, site.judge).name == "Judgement"
    owner.wait_for_timeout(300)
    owner.locator(f"#name-{site.judge}").fill("Judge")
    owner.locator(f"#task-{site.judge}").get_by_role("button", name="Save").click()
    owner.get_by_role("heading", name="Judge", exact=True).wait_for()
