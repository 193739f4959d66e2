"""Inputs that a person gives are held to what ``run`` asks for."""

import pytest

from tests.unit.platform.small_workflow import SmallWorkflow, output
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.errors import InvalidParameter
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Task, TaskType, TaskTypeKind

LOW = {"key": "low", "type": "Float", "minimum": 0}
NOTE = {"key": "note", "type": "String", "supported_modes": ["none", "ui"]}
LEVEL = {"key": "level", "type": "Int", "default": 3}


@pytest.fixture
def workflow() -> SmallWorkflow:
    return SmallWorkflow(MemoryRecordStore())


def task_of(workflow: SmallWorkflow, *fields, kind=TaskTypeKind.PROCESSING, **inputs) -> int:
    task_type = workflow.server.create(TaskType(name="Lab.Asks", kind=kind, interface={"inputs": list(fields)}))
    sources = [{"key": key, **source} for key, source in inputs.items()]
    task = Task(workflow_serial=workflow.workflow, task_type_serial=task_type.serial, inputs=sources)
    return workflow.server.create(task).serial


def asked(workflow: SmallWorkflow, *fields) -> Job:
    task = task_of(workflow, *fields, **{field["key"]: {"mode": "ui"} for field in fields})
    workflow.start()
    workflow.control.start_run(workflow.workflow)
    [job] = workflow.jobs(task)
    assert job.state is JobState.READY_FOR_INTERACTIVE
    return job


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"low": "much"}, r"inputs\.low: expected a finite number"),
        ({"low": -1.0}, "below the minimum"),
        ({"high": 1.0}, r"inputs\.high: is not declared"),
        ({}, r"inputs\.low: is required and was not given"),
    ],
)
def test_a_person_who_answers_gives_what_fits(workflow, inputs, message):
    job = asked(workflow, LOW)
    values = {f"/inputs/{key}": value for key, value in inputs.items()}
    with pytest.raises(InvalidParameter, match=message):
        workflow.server.update(Job, job.serial, Change(values={**values, "/state": "Waiting"}))
    assert workflow.server.get(Job, job.serial) == job


def test_what_is_optional_need_not_be_given(workflow):
    job = asked(workflow, LOW, NOTE, LEVEL)
    after = workflow.server.update(Job, job.serial, Change(values={"/inputs/low": 1.0, "/state": "Waiting"}))
    assert (after.state, after.inputs) == (JobState.READY, {"low": 1.0, "note": None, "level": 3})


def test_a_job_that_a_person_makes_has_inputs_that_fit(workflow):
    task = task_of(workflow, LOW)
    with pytest.raises(InvalidParameter, match="below the minimum"):
        workflow.server.create(Job(task_serial=task, state=JobState.READY, inputs={"low": -1.0}))


def test_a_script_may_keep_other_things_among_its_own_inputs(workflow):
    job = asked(workflow, LOW)
    lease = workflow.queue.claim(workflow.worker, job_serial=job.serial)
    script = workflow.world.as_bearer(lease.server_auth)
    assert script.update(Job, job.serial, Change(values={"/inputs/seen": 1})).inputs["seen"] == 1


def test_a_source_task_sets_what_it_fixes_and_a_person_gives_the_rest(workflow):
    source = task_of(
        workflow, LOW, LEVEL, kind=TaskTypeKind.SOURCE, low={"mode": "fixed", "fixed_value": 2.0}, level={"mode": "ui"}
    )
    workflow.start()
    workflow.control.start_run(workflow.workflow, inputs={"level": 5})
    assert [job.inputs for job in workflow.jobs(source)] == [{"low": 2.0, "level": 5}]


@pytest.mark.parametrize("outputs", [None, {"out": 1}])
def test_a_run_with_inputs_that_do_not_fit_is_not_started(workflow, outputs):
    source = task_of(workflow, LOW, kind=TaskTypeKind.SOURCE)
    mask = workflow.task("mask", image=output(source))
    workflow.start()
    with pytest.raises(InvalidParameter, match="below the minimum"):
        workflow.control.start_run(workflow.workflow, inputs={"low": -1.0}, outputs=outputs)
    assert workflow.server.find(Run) == []
    assert workflow.jobs(mask) == []
