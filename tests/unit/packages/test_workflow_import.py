"""A workflow package becomes a draft with its tasks, or every reason why not is named and nothing is made."""

import json

import pytest

from xfworker.api.composition.platform import memory_platform
from xfworker.domain.errors import PackageError, ServerUnreachable
from xfworker.domain.records import Project, Task, TaskType, Workflow
from xfworker.services.packages.workflow_import import import_workflow
from xfworker.services.platform.principal import ADMIN

METADATA = {"package_format": "XFP-WF1.0", "name": "Lab.Flow", "version": "1.2.0.0", "display_name": "Flow"}
LOAD = {
    "inputs": [{"key": "scan", "type": "Image", "supported_modes": ["ui", "output"]}],
    "outputs": [{"key": "image", "type": "Image"}, {"key": "slices", "type": "Int"}],
}
CUT = {
    "inputs": [
        {"key": "image", "type": "Image"},
        {"key": "height", "type": "Float", "supported_modes": ["none", "fixed", "output"]},
        {"key": "parts", "type": "Sequence", "supported_modes": ["none", "output"]},
    ],
    "outputs": [],
}
IMAGE = {"mode": "output", "task": 0, "key": "image"}


@pytest.fixture
def server():
    server = memory_platform().server_for(ADMIN)
    for name, interface in (("Lab.Load", LOAD), ("Lab.Cut", CUT)):
        server.create(TaskType(name=name, version="1.0.0.0", interface=interface))
    return server


@pytest.fixture
def package(tmp_path):
    def make(*inputs, version="1.0.0.0", names=("Lab.Load", "Lab.Cut")):
        tasks = [
            {"task_type": {"name": name, "version": version}, "inputs": sources}
            for name, sources in zip(names, inputs, strict=False)
        ]
        (tmp_path / "metadata.json").write_text(json.dumps(METADATA), "utf-8")
        (tmp_path / "tasks.json").write_text(json.dumps({"tasks": tasks}), "utf-8")
        return tmp_path

    return make


def violations(server, folder):
    with pytest.raises(PackageError) as caught:
        import_workflow(server, folder, project="P")
    assert server.find(Workflow) == []
    assert server.find(Project, {"name": "P"}) == []
    return list(caught.value.faults)


def test_a_package_becomes_a_draft_whose_tasks_take_each_others_outputs(server, package):
    folder = package({"scan": {"mode": "ui"}}, {"image": IMAGE, "height": {"mode": "fixed", "fixed_value": 2.5}})
    imported = import_workflow(server, folder, project="P")
    load, cut = imported.tasks
    assert (imported.workflow.name, imported.workflow.state) == ("Flow", "Draft")
    assert imported.workflow.metadata["package"] == {"name": "Lab.Flow", "version": "1.2.0.0"}
    assert (load.name, cut.name) == ("Lab.Load", "Lab.Cut")
    sources = {source["key"]: source for source in server.get(Task, cut.serial).inputs}
    assert (sources["image"]["task_serial"], sources["image"]["output_key"]) == (load.serial, "image")
    assert sources["height"]["fixed_value"] == 2.5


def test_a_project_that_is_there_is_used_and_the_name_may_be_chosen(server, package):
    home = server.create(Project(name="P"))
    imported = import_workflow(server, package({"scan": {"mode": "ui"}}), project="P", name="Mine")
    assert (imported.workflow.name, imported.workflow.project_serial) == ("Mine", home.serial)
    assert len(server.find(Project, {"name": "P"})) == 1


def test_an_int_may_be_taken_by_a_float_and_anything_by_a_sequence(server, package):
    sources = {
        "image": IMAGE,
        "height": {"mode": "output", "task": 0, "key": "slices"},
        "parts": IMAGE,
    }
    assert len(import_workflow(server, package({"scan": {"mode": "ui"}}, sources), project="P").tasks) == 2


@pytest.mark.parametrize(
    ("load", "cut", "said"),
    [
        ({"scan": {"mode": "ui"}, "x": {"mode": "ui"}}, {"image": IMAGE}, "tasks[0].inputs.x: there is no such input"),
        ({}, {"image": IMAGE}, "tasks[0].inputs.scan: is required"),
        (
            {"scan": {"mode": "define_on_first", "template": None}},
            {"image": IMAGE},
            "tasks[0].inputs.scan.mode: define_on_first is not among the supported modes: ui, output",
        ),
        (
            {"scan": {"mode": "ui"}},
            {"image": IMAGE, "height": {"mode": "fixed", "fixed_value": "tall"}},
            "tasks[1].inputs.height.fixed_value",
        ),
        (
            {"scan": {"mode": "ui"}},
            {"image": {**IMAGE, "key": "mask"}},
            "tasks[1].inputs.image.key: Lab.Load has no output 'mask'; outputs are: image, slices",
        ),
        (
            {"scan": {"mode": "ui"}},
            {"image": {**IMAGE, "key": "slices"}},
            "tasks[1].inputs.image: takes Image, but output slices of Lab.Load is Int",
        ),
    ],
)
def test_what_does_not_fit_the_installed_task_types_is_named_and_nothing_is_made(server, package, load, cut, said):
    (violation,) = violations(server, package(load, cut))
    assert said in violation
    with pytest.raises(PackageError, match=r"^Lab.Flow 1.2.0.0 cannot be imported:\n  tasks.json: tasks\["):
        import_workflow(server, package(load, cut), project="P")


def test_a_task_without_a_name_is_called_as_its_task_type_is_and_what_a_type_lacks_is_said(server, package):
    server.create(TaskType(name="Lab.Bare", version="1.0.0.0", metadata={"display_name": "Bare"}))
    folder = package({}, {}, names=("Lab.Bare", "Lab.Bare"))
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    tasks["tasks"][1]["name"] = "Second"
    (folder / "tasks.json").write_text(json.dumps(tasks), "utf-8")
    import_workflow(server, folder, project="P")
    assert [task.name for task in server.find(Task)] == ["Bare", "Second"]
    folder = package({"scan": {"mode": "ui"}}, {"image": IMAGE}, names=("Lab.Bare", "Lab.Cut"))
    with pytest.raises(PackageError) as caught:
        import_workflow(server, folder, project="P")
    assert [violation.partition("; ")[2] for violation in caught.value.faults] == [
        "inputs are: none",
        "outputs are: none",
    ]


def test_all_task_types_that_are_not_installed_are_named(server, package):
    found = violations(server, package({"scan": {"mode": "ui"}}, {"image": IMAGE}, version="9.0.0.0"))
    assert [one.rpartition("task_type: ")[2] for one in found] == [
        "Lab.Load 9.0.0.0 is not installed on the server",
        "Lab.Cut 9.0.0.0 is not installed on the server",
    ]


def test_a_task_type_package_is_not_imported_but_installed(server, tmp_path):
    (tmp_path / "metadata.json").write_text(json.dumps({**METADATA, "package_format": "XFP-TT1.0"}), "utf-8")
    (tmp_path / "interface.json").write_text(json.dumps(LOAD), "utf-8")
    (tmp_path / "main.py").write_text("print()\n", "utf-8")
    with pytest.raises(PackageError, match="check it in with: xfworker package install"):
        import_workflow(server, tmp_path, project="P")


class Breaking:
    """A server whose connection breaks before the second task is made."""

    def __init__(self, server):
        self._server = server
        self._tasks = 0

    def __getattr__(self, name):
        return getattr(self._server, name)

    def create(self, record, **more):
        self._tasks += isinstance(record, Task)
        if self._tasks == 2:
            raise ServerUnreachable("the connection broke")
        return self._server.create(record, **more)


def test_half_a_workflow_is_not_left_where_the_server_fails_meanwhile(server, package):
    with pytest.raises(ServerUnreachable):
        import_workflow(Breaking(server), package({"scan": {"mode": "ui"}}, {"image": IMAGE}), project="P")
    assert [workflow.obsolete for workflow in server.find(Workflow)] == [True]
