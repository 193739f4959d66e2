"""What people give and change is held to what ``run`` asks for, and to where it belongs."""

import uuid

import attrs
import pytest

from tests.unit.platform.small_workflow import SmallWorkflow, output
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, InvalidParameter, InvalidRecord, RecordLocked
from xfworker.domain.job_metadata import OUTPUT_FAULTS
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Project, Run, Task, TaskType, TaskTypeKind, Workflow
from xfworker.services.platform.options import PlatformOptions

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


# --- where records may be put, and what may be changed of them ------------------------------------------------------


def test_nothing_goes_into_an_obsolete_workflow_and_no_task_into_a_locked_one(workflow):
    server, task = workflow.server, task_of(workflow)
    kind = server.get(Task, task).task_type_serial
    own = {"workflow_serial": workflow.workflow}
    server.update(Workflow, workflow.workflow, Change(values={"/locked": True}))
    with pytest.raises(RecordLocked, match="is locked"):
        server.create(Task(task_type_serial=kind, **own))
    assert server.create(Run(**own)).serial
    server.update(Workflow, workflow.workflow, Change(values={"/obsolete": True}))
    for record in (Task(task_type_serial=kind, **own), Run(**own), Job(task_serial=task)):
        with pytest.raises(RecordLocked, match="is obsolete and takes nothing new"):
            server.create(record)


def test_of_what_is_obsolete_or_locked_only_that_can_be_changed(workflow):
    server = workflow.server
    run = server.create(Run(workflow_serial=workflow.workflow, name="r"))
    for kind, serial, change, why in (
        (Run, run.serial, {"/obsolete": True}, "is obsolete, so name cannot"),
        (Workflow, workflow.workflow, {"/locked": True}, "is locked, so name cannot"),
        (Workflow, workflow.workflow, {"/obsolete": True}, "is obsolete, so name cannot"),
        (Project, workflow.project.serial, {"/obsolete": True}, "is obsolete, so name cannot"),
    ):
        server.update(kind, serial, Change(values=change))
        with pytest.raises(RecordLocked, match=why):
            server.update(kind, serial, Change(values={"/name": why}))
        server.update(kind, serial, Change(values={"/metadata": {"note": "old"}}))
        back = server.update(kind, serial, Change(values={**dict.fromkeys(change, False), "/name": why}))
        assert back.name == why


def test_what_is_shut_can_be_locked_and_begin_all_the_same(workflow):
    server, serial = workflow.server, workflow.workflow
    for pointer, shut in (("/locked", "/obsolete"), ("/state", "/locked")):
        server.update(Workflow, serial, Change(values={shut: True}))
        value = "Active" if pointer == "/state" else True
        after = server.update(Workflow, serial, Change(values={pointer: value}))
        assert getattr(after, pointer[1:]) == value
        server.update(Workflow, serial, Change(values={shut: False}))


def test_what_was_given_before_it_was_checked_stays_while_something_else_is_given(workflow):
    job = asked(workflow, LOW, LEVEL)
    with workflow.world.platform.records.transaction() as transaction:
        transaction.replace(attrs.evolve(job, inputs={"low": "much", "level": None}))
    after = workflow.server.update(Job, job.serial, Change(values={"/inputs/level": 4}))
    assert after.inputs == {"low": "much", "level": 4}
    after = workflow.server.update(Job, job.serial, Change(values={"/inputs/level": None}))
    assert after.inputs == {"low": "much", "level": None}


def test_a_job_that_moves_on_has_another_version_also_where_its_change_asks_for_none(workflow):
    job = asked(workflow, LOW)
    change = Change(values={"/inputs/low": 1.0, "/state": "Waiting"}, bump=False)
    after = workflow.server.update(Job, job.serial, change)
    # Once for the change itself, and once for what followed from it.
    assert (after.state, after.occ_lock_version) == (JobState.READY, job.occ_lock_version + 2)


@pytest.mark.parametrize(
    ("record", "field", "noun"),
    [
        (Workflow(project_serial=4711), "project_serial", "project"),
        (Task(workflow_serial=4711, task_type_serial=1), "workflow_serial", "workflow"),
        (Task(workflow_serial=1, task_type_serial=4711), "task_type_serial", "task type"),
        (Job(task_serial=4711), "task_serial", "task"),
        (Job(task_serial=1, run_serial=4711), "run_serial", "run"),
        (Job(task_serial=1, source_job_serial=4711), "source_job_serial", "job"),
        (Run(workflow_serial=4711), "workflow_serial", "workflow"),
        (Run(workflow_serial=1, source_job_serial=4711), "source_job_serial", "job"),
        (ActivityEvent(title="t", job_serial=4711), "job_serial", "job"),
    ],
)
def test_a_reference_that_leads_nowhere_is_named(workflow, record, field, noun):
    assert task_of(workflow) == workflow.workflow == 1
    with pytest.raises(InvalidRecord) as caught:
        workflow.server.create(record)
    violation = f"{field}: there is no {noun} 4711"
    assert (str(caught.value), caught.value.faults) == (f"{record.noun}: {violation}", (violation,))


def test_a_new_run_is_about_something_new_where_it_is_not_said_what(workflow):
    runs = [workflow.server.create(Run(workflow_serial=workflow.workflow, name="mouse")) for _ in range(2)]
    assert [run.entity["name"] for run in runs] == ["mouse", "mouse"]
    assert len({uuid.UUID(run.entity["uuid"]) for run in runs}) == 2


def test_a_new_job_ended_now_only_where_it_is_done(workflow):
    task, now = task_of(workflow), workflow.world.clock.now()
    for state, moment in ((JobState.DONE, now), (JobState.READY_FOR_INTERACTIVE, None)):
        job = workflow.server.create(Job(task_serial=task, state=state))
        assert (job.started_at, job.finished_at) == (moment, moment)


def test_a_new_job_may_leave_an_input_open_and_has_files_of_its_project_only(workflow):
    task = task_of(workflow, LOW)
    for inputs in ({"low": None}, {"low": None, "of_an_older_version": None}):
        assert workflow.server.create(Job(task_serial=task, inputs=inputs)).inputs == inputs
    file = {"type": "ForeignFile", "source": "job_result", "job_serial": 4711, "filename": "a"}
    for inputs, message in (
        ({"low": -1.0}, r"^job: inputs\.low: .*below the minimum"),
        ({"low": file}, r"^job: "),
    ):
        with pytest.raises(InvalidParameter, match=message):
            workflow.server.create(Job(task_serial=task, inputs=inputs))


def test_a_job_belongs_where_its_task_and_its_run_do(workflow):
    server, task = workflow.server, task_of(workflow)
    other = server.create(Workflow(project_serial=workflow.project.serial))
    for fields, message in (
        ({"workflow_serial": other.serial}, f"workflow_serial: task {task} belongs to {workflow.workflow}"),
        ({"project_serial": 4711}, f"project_serial: task {task} belongs to {workflow.project.serial}"),
        (
            {"run_serial": server.create(Run(workflow_serial=other.serial)).serial},
            "job: run_serial: it belongs to workflow",
        ),
    ):
        with pytest.raises(InvalidRecord, match=message):
            server.create(Job(task_serial=task, **fields))
    assert workflow.jobs(task) == []
    kind = server.get(Task, task).task_type_serial
    own = server.create(Job(task_serial=task)).serial
    elsewhere = server.create(Task(workflow_serial=other.serial, task_type_serial=kind)).serial
    for record, where in ((Job, {"task_serial": elsewhere}), (Run, {"workflow_serial": other.serial})):
        with pytest.raises(InvalidRecord, match=r"(job|run): source_job_serial: it belongs to workflow"):
            server.create(record(source_job_serial=own, **where))


def test_a_running_job_is_not_made_ready_by_a_change(workflow):
    task = task_of(workflow)
    workflow.start()
    job = workflow.server.create(Job(task_serial=task, state=JobState.READY))
    workflow.queue.claim(workflow.worker)
    with pytest.raises(IllegalTransition, match="is running; abort it"):
        workflow.server.update(Job, job.serial, Change(values={"/state": "Ready"}))


@pytest.mark.parametrize("how", ["made", "ended"])
def test_outputs_that_need_not_fit_are_taken_and_what_is_wrong_with_them_is_kept(how):
    workflow = SmallWorkflow(MemoryRecordStore(), PlatformOptions(outputs_must_fit=False))
    task_type = workflow.server.create(TaskType(name="Lab.Mean", interface={"outputs": [{"key": "n", "type": "Int"}]}))
    task = workflow.server.create(Task(workflow_serial=workflow.workflow, task_type_serial=task_type.serial)).serial
    workflow.start()
    if how == "made":
        job = workflow.server.create(Job(task_serial=task, state=JobState.DONE, outputs={"n": "many"}))
    else:
        workflow.server.create(Job(task_serial=task, state=JobState.READY))
        job = workflow.work({"n": "many"})
        events = workflow.server.find(ActivityEvent, {"job_serial": job.serial})
        [event] = [event for event in events if event.level == "WARNING"]
        assert event.payload["faults"] == job.metadata[OUTPUT_FAULTS]
    assert (job.state, job.outputs) == (JobState.DONE, {"n": "many"})
    [violation] = job.metadata[OUTPUT_FAULTS]
    assert "outputs.n: expected an integer" in violation
    renamed = workflow.server.update(Job, job.serial, Change(values={"/name": "j"}))
    assert renamed.metadata == job.metadata
    warnings = [event for event in workflow.server.find(ActivityEvent) if event.level == "WARNING"]
    assert len(warnings) == (how == "ended")
    corrected = workflow.server.update(Job, job.serial, Change(values={"/outputs/n": 3}))
    assert OUTPUT_FAULTS not in corrected.metadata


def test_outputs_are_held_to_the_interface_only_once_the_job_is_done(workflow):
    interface = {"outputs": [{"key": "n", "type": "Int"}]}
    kind = workflow.server.create(TaskType(name="Lab.Mean", interface=interface)).serial
    task = workflow.server.create(Task(workflow_serial=workflow.workflow, task_type_serial=kind)).serial
    job = workflow.server.create(Job(task_serial=task, state=JobState.READY_FOR_INTERACTIVE)).serial
    assert workflow.server.update(Job, job, Change(values={"/outputs/n": "many"})).outputs == {"n": "many"}
    with pytest.raises(InvalidParameter, match=r"outputs\.n: expected an integer"):
        workflow.server.update(Job, job, Change(values={"/state": "Done"}))
