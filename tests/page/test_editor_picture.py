"""The workflow editor's picture, what it says while one writes, and what leaves it as a package."""

import json

import pytest

from xfworker.domain.records import Task, TaskType, Workflow
from xfworker.services.packages.archive import unpack
from xfworker.services.packages.workflow_import import import_workflow


@pytest.fixture(scope="module")
def types(site):
    """Serials of three task types: one that loads, one that cuts, one that compares two images."""
    image, mask = {"key": "image", "type": "Image"}, {"key": "mask", "type": "Image"}
    limit = {"key": "limit", "type": "Int", "minimum": 0, "maximum": 1000}
    interfaces = {
        "Draw.Load": ([], [image]),
        "Draw.Cut": ([image, limit], [mask, {"key": "volume", "type": "Float"}]),
        "Draw.Compare": ([image, mask], [{"key": "overlap", "type": "Float"}]),
    }
    return {
        name: site.anna.create(
            TaskType(
                name=name,
                kind="Source" if not inputs else "Processing",
                interface={"inputs": inputs, "outputs": outputs},
            )
        ).serial
        for name, (inputs, outputs) in interfaces.items()
    }


@pytest.fixture
def workflow(site, types):
    """Serials of a workflow and its tasks, of which nothing is connected yet."""
    serial = site.anna.create(Workflow(project_serial=site.project, name="Drawn (ä)")).serial
    tasks = {}
    for name, kind in types.items():
        keys = ("image", "limit") if name == "Draw.Cut" else ("image", "mask") if name == "Draw.Compare" else ()
        inputs = [{"key": key, "mode": "ui"} for key in keys]
        task = Task(workflow_serial=serial, task_type_serial=kind, name=name.rpartition(".")[2], inputs=inputs)
        tasks[task.name] = site.anna.create(task).serial
    return serial, tasks


def _connect(page, source, target):
    """Drag from the dot below a box to another box."""
    page.locator(f"#graph a[data-serial='{source}'] .port").hover()
    page.mouse.down()
    box = page.locator(f"#graph a[data-serial='{target}'] rect").bounding_box()
    page.mouse.move(box["x"] + 8, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()


def _tasks(page, serial):
    base = page.url.partition("/workflows")[0]
    return page.context.request.get(f"{base}/workflows/{serial}/tasks.json").json()["tasks"]


def test_boxes_are_connected_by_pointer_and_by_menu_with_the_same_tasks(visit, workflow):
    serial, tasks = workflow
    page = visit(f"/workflows/{serial}/edit")
    _connect(page, tasks["Load"], tasks["Cut"])
    page.locator("#graph .edge:not(.is-new)").wait_for(state="attached")
    by_pointer = _tasks(page, serial)
    assert by_pointer[1]["inputs"]["image"] == {"mode": "output", "task": 0, "key": "image"}
    menu = page.locator(f"#task-{tasks['Cut']} select[name='source.image']")
    for choice in ("ui", f"output:{tasks['Load']}:image"):
        menu.select_option(choice)
        page.locator("#graph .edge.is-new").wait_for(state="detached" if choice == "ui" else "attached")
        with page.expect_response(f"**/workflows/{serial}/edit"):
            page.locator(f"#task-{tasks['Cut']}").get_by_role("button", name="Save").click()
        page.locator("#graph .edge:not(.is-new)").wait_for(state="detached" if choice == "ui" else "attached")
        page.locator(f"#task-{tasks['Cut']} select[name='source.image'] option[selected][value='{choice}']").wait_for(
            state="attached"
        )
    assert _tasks(page, serial) == by_pointer


def test_where_several_outputs_or_inputs_fit_it_is_asked_which(visit, workflow):
    serial, tasks = workflow
    page = visit(f"/workflows/{serial}/edit")
    _connect(page, tasks["Cut"], tasks["Compare"])
    page.get_by_role("button", name="mask to mask").click()
    page.locator("#graph .edge:not(.is-new)").wait_for(state="attached")
    assert {task["name"]: task["inputs"] for task in _tasks(page, serial)}["Compare"] == {
        "image": {"mode": "ui"},
        "mask": {"mode": "output", "task": 1, "key": "mask"},
    }
    _connect(page, tasks["Cut"], tasks["Load"])
    page.get_by_text("No output of Cut fits an input of Load.").wait_for()


def test_a_box_that_was_moved_stays_there_until_they_are_arranged(visit, workflow):
    serial, tasks = workflow
    page = visit(f"/workflows/{serial}/edit")
    box = page.locator(f"#graph a[data-serial='{tasks['Load']}']")
    place = box.get_attribute("transform")
    box.locator("text").hover()
    page.mouse.down()
    page.mouse.move(*(edge + 90 for edge in (box.bounding_box()["x"], box.bounding_box()["y"])), steps=4)
    page.mouse.up()
    moved = box.get_attribute("transform")
    assert moved != place
    page.reload()
    assert box.get_attribute("transform") == moved
    page.get_by_role("button", name="Arrange").click()
    assert box.get_attribute("transform") == place


def test_what_is_written_is_checked_before_it_is_saved_and_other_cards_keep_theirs(visit, site, workflow):
    serial, tasks = workflow
    page = visit(f"/workflows/{serial}/edit")
    cut = page.locator(f"#task-{tasks['Cut']}")
    cut.locator("select[name='source.limit']").select_option("fixed")
    said = cut.locator("[data-said=limit]")
    for text, message in (("many", "expected an integer"), ("2000", "above the maximum 1000")):
        cut.get_by_label("Fixed value of limit").fill(text)
        said.get_by_text(message).wait_for()
    assert cut.get_by_label("Fixed value of limit").get_attribute("aria-invalid") == "true"
    page.locator(f"#task-{tasks['Load']} input[name=name]").fill("Open")
    page.locator(f"#task-{tasks['Load']}").get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Open", exact=True).wait_for()
    assert cut.get_by_label("Fixed value of limit").input_value() == "2000"
    cut.get_by_label("Fixed value of limit").fill("400")
    said.wait_for(state="hidden")
    assert site.platform.server.get(Task, tasks["Cut"]).inputs[1] == {"key": "limit", "mode": "ui"}
    cut.locator("select[name='source.image']").select_option(f"output:{tasks['Load']}:image")
    cut.get_by_role("button", name="Save").click()
    page.locator("#graph .edge:not(.is-new)").wait_for(state="attached")
    assert site.platform.server.get(Task, tasks["Cut"]).inputs[1]["fixed_value"] == 400


def test_a_task_that_would_follow_itself_is_refused_while_one_chooses(visit, site, workflow):
    serial, tasks = workflow
    made = Task(
        workflow_serial=serial, task_type_serial=site.anna.get(Task, tasks["Cut"]).task_type_serial, name="Again"
    )
    again = site.anna.create(made).serial
    page = visit(f"/workflows/{serial}/edit")
    page.locator(f"#task-{again} select[name='source.image']").select_option(f"output:{tasks['Cut']}:mask")
    page.locator(f"#task-{again}").get_by_role("button", name="Save").click()
    page.locator("#graph .edge:not(.is-new)").wait_for(state="attached")
    page.locator(f"#task-{tasks['Cut']} select[name='source.image']").select_option(f"output:{again}:mask")
    page.locator(f"#task-{tasks['Cut']}").get_by_text("the task would follow itself").wait_for()


def test_a_workflow_that_is_saved_as_a_package_is_imported_as_the_same(visit, site, workflow, tmp_path):
    serial, tasks = workflow
    page = visit(f"/workflows/{serial}/edit")
    _connect(page, tasks["Load"], tasks["Cut"])
    page.locator("#graph .edge:not(.is-new)").wait_for(state="attached")
    page.get_by_text("Save as package (.xfp)").first.click()
    page.get_by_label("Name of the package").fill("Lab.Drawn")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as package (.xfp)").click()
    assert saved.value.suggested_filename == "Lab.Drawn-1.0.0.0.xfp"
    folder = tmp_path / "package"
    folder.mkdir()
    unpack(saved.value.path(), folder)
    imported = import_workflow(site.anna, folder, project="Elsewhere")
    assert imported.workflow.name == "Drawn (ä)"
    assert _tasks(page, imported.workflow.serial) == _tasks(page, serial)
    assert json.loads((folder / "tasks.json").read_text("utf-8"))["tasks"] == _tasks(page, serial)


def test_a_package_with_a_wrong_name_says_so(visit, workflow):
    serial, _ = workflow
    page = visit(f"/workflows/{serial}/package.xfp?name=a+b&version=1", expected=("422",))
    page.get_by_text("metadata.json: name").wait_for()
    assert "metadata.json: version" in page.locator("main").inner_text()
