"""A workflow as a package: what it holds, and what it refuses to lose."""

import pytest

from xfworker.domain.errors import PackageError
from xfworker.domain.records import Task, TaskType, Workflow
from xfworker.domain.workflow_graph import Step
from xfworker.services.packages.workflow_export import export_workflow, package_identity, tasks_document

IMAGE = {"key": "image", "type": "Image"}


def step(serial, *inputs):
    kind = TaskType(
        serial=serial, name="Lab.Step", version="1.0.0.0", interface={"inputs": [IMAGE], "outputs": [IMAGE]}
    )
    return Step(
        Task(serial=serial, workflow_serial=1, task_type_serial=serial, name=f"Step {serial}", inputs=list(inputs)),
        kind,
    )


def test_the_same_workflow_gives_the_same_bytes():
    steps = [step(4, {"key": "image", "mode": "ui"}), step(9, {"key": "image", "mode": "none"})]
    first, second = (
        export_workflow(Workflow(project_serial=1, name="W"), steps, name="Lab.W", version="1.0.0.0") for _ in range(2)
    )
    assert first == second


def test_a_template_that_a_first_job_left_is_not_exported():
    tasks = tasks_document([step(4, {"key": "image", "mode": "define_on_first", "template": {"type": "Image"}})])
    assert tasks["tasks"][0]["inputs"] == {"image": {"mode": "define_on_first", "template": None}}


def test_what_a_package_cannot_hold_is_named_all_at_once():
    gone = {"key": "image", "mode": "output", "task_serial": 3, "output_key": "image"}
    composite = {"key": "image", "mode": "fixed", "fixed_value": {"type": "Image", "filename": "a.aim"}}
    with pytest.raises(PackageError) as caught:
        tasks_document([step(4, gone), step(5, composite)])
    assert [fault.partition(" ")[0] for fault in caught.value.faults] == ["Step", "Step"]
    assert "takes an output of a task that is not in the workflow any more" in caught.value.faults[0]
    assert "not a number, string or bool" in caught.value.faults[1]


@pytest.mark.parametrize(
    ("workflow", "name", "version"),
    [
        (Workflow(project_serial=1, serial=3, name="HR-pQCT: Knöchel & more"), "HR.pQCT.Kn.chel.more", "1.0.0.0"),
        (Workflow(project_serial=1, serial=3, name="骨"), "Workflow3", "1.0.0.0"),
        (Workflow(project_serial=1, serial=3, name="boneX " + "y" * 44), "boneX." + "y" * 44, "1.0.0.0"),
        (Workflow(project_serial=1, serial=3, name="y" * 49 + " X"), "y" * 49, "1.0.0.0"),
        (Workflow(project_serial=1, serial=3, name="y" * 51), "y" * 50, "1.0.0.0"),
        (Workflow(project_serial=1, serial=3, name="X to X"), "X.to.X", "1.0.0.0"),
        (
            Workflow(project_serial=1, name="x", metadata={"package": {"name": "Lab.X", "version": "2.1.0.0"}}),
            "Lab.X",
            "2.1.0.0",
        ),
    ],
)
def test_a_name_and_version_are_offered(workflow, name, version):
    assert package_identity(workflow) == (name, version)
