"""What becomes of a task's job, and in which order jobs are handed out: every rule with both of its sides."""

import pytest

from xfworker.domain.job_state import JobState
from xfworker.domain.records import (
    Job,
    Run,
    RunPriority,
    Task,
    TaskType,
    TaskTypeKind,
    Workflow,
    WorkflowState,
)
from xfworker.domain.scheduling import (
    Decision,
    claim_rank,
    decide,
    first_of_each_task,
    own_inputs,
    undefined_templates,
    with_templates,
)
from xfworker.domain.workflow_graph import Step

SCAN, MASK = 1, 2
OPTIONAL = ["none", "output", "ui"]


def step(*sources, fields=None, kind=TaskTypeKind.PROCESSING, initial_state=None):
    declared = [{"key": source["key"], "type": "Float", **(fields or {}).get(source["key"], {})} for source in sources]
    task = Task(
        serial=9, workflow_serial=1, task_type_serial=1, inputs=[dict(item) for item in sources],
        initial_state=initial_state,
    )  # fmt: skip
    return Step(task, TaskType(serial=1, name="Lab.Some", kind=kind, interface={"inputs": declared}))


def of(key, task=SCAN, output="out"):
    return {"key": key, "mode": "output", "task_serial": task, "output_key": output}


def first(key, template=None):
    return {"key": key, "mode": "define_on_first", "template": template}


def job(task, state=JobState.DONE, serial=0, **outputs):
    return Job(serial=serial, task_serial=task, state=state, outputs=outputs)


def test_high_runs_come_before_all_others_and_jobs_of_no_run_among_these():
    active = Workflow(project_serial=1, state=WorkflowState.ACTIVE)
    ranks = [claim_rank(active, Run(workflow_serial=1, priority=priority)) for priority in RunPriority]
    assert dict(zip(RunPriority, ranks, strict=True)) == {
        RunPriority.HIGH: 0,
        RunPriority.NORMAL: 1,
        RunPriority.PAUSED: None,
    }
    assert claim_rank(active, None) == 1
    assert claim_rank(active, Run(workflow_serial=1, obsolete=True)) is None


@pytest.mark.parametrize("state", [state for state in WorkflowState if state is not WorkflowState.ACTIVE])
def test_of_a_workflow_that_is_not_active_nothing_is_handed_out(state):
    assert claim_rank(Workflow(project_serial=1, state=state), None) is None
    assert claim_rank(Workflow(project_serial=1, state=WorkflowState.ACTIVE, obsolete=True), None) is None


def test_a_job_whose_upstream_is_done_is_ready_with_its_output():
    decision = decide(step(of("image")), {SCAN: job(SCAN, out=1.5)})
    assert decision == Decision(state=JobState.READY, inputs={"image": 1.5}, reason="", makes=True)
    assert decide(step(of("image")), {SCAN: job(SCAN, JobState.RUNNING, out=1.5)}) is None
    assert decide(step(of("image")), {}) is None


def test_a_sequence_is_given_as_what_it_is_and_what_stands_behind_it_counts_as_well():
    both = step(of("values"), of("mask", MASK), fields={"values": {"type": "Sequence"}})
    assert decide(both, {}) is None
    decision = decide(both, {MASK: job(MASK, out=2.0)})
    sequence = {"type": "Sequence", "task_serial": SCAN, "key": "out"}
    assert (decision.state, decision.inputs) == (JobState.READY, {"values": sequence, "mask": 2.0})
    assert decide(both, {MASK: job(MASK, out=2.0)}, complete=False).state is JobState.WAITING


def test_a_job_whose_inputs_have_no_value_fails_and_is_not_made():
    missing = decide(step(of("image"), of("mask", MASK, "m")), {SCAN: job(SCAN, serial=4), MASK: job(MASK, serial=5)})
    assert (missing.state, missing.makes) == (JobState.FAILED, False)
    assert missing.reason == (
        "input image has no value, because job 4 made no output 'out'; "
        "input mask has no value, because job 5 made no output 'm'"
    )


@pytest.mark.parametrize("field", [{"supported_modes": OPTIONAL}, {"default": 3.0}])
def test_an_input_that_may_be_without_a_value_keeps_no_job_back(field):
    decision = decide(step(of("image"), fields={"image": field}), {SCAN: job(SCAN)})
    assert (decision.state, decision.inputs) == (JobState.READY, {"image": None})


def test_a_record_that_cannot_be_used_fails_the_job_and_says_why():
    decision = decide(Step(Task(workflow_serial=1, task_type_serial=7), TaskType(name=""), missing_type=True), {})
    reason = "the job cannot be started: there is no task type 7"
    assert decision == Decision(state=JobState.FAILED, inputs={}, reason=reason, makes=True)


def test_what_a_person_is_to_give_is_waited_for_until_it_is_there_or_said_to_be_all():
    ui = {"key": "box", "mode": "ui"}
    assert decide(step(ui), {}).state is JobState.READY_FOR_INTERACTIVE
    given = decide(step(ui), {}, {"box": 1.0})
    assert (given.state, given.inputs) == (JobState.READY, {"box": 1.0})
    assert decide(step(ui), {}, answered=True).state is JobState.READY_FOR_INTERACTIVE
    optional = step(ui, fields={"box": {"supported_modes": OPTIONAL}})
    assert decide(optional, {}).state is JobState.READY_FOR_INTERACTIVE
    assert decide(optional, {}, answered=True).state is JobState.READY
    default = step(ui, fields={"box": {"default": 4.0}})
    assert decide(default, {}).state is JobState.READY_FOR_INTERACTIVE
    answered = decide(default, {}, answered=True)
    assert (answered.state, answered.inputs) == (JobState.READY, {"box": 4.0})


def test_a_template_is_waited_for_by_all_but_the_job_that_may_define_it():
    assert decide(step(first("box")), {}).state is JobState.READY
    assert decide(step(first("box")), {}, may_define=False).state is JobState.WAITING
    defined = decide(step(first("box", 2.0)), {}, may_define=False)
    assert (defined.state, defined.inputs) == (JobState.READY, {"box": 2.0})


def test_a_job_begins_as_its_task_and_its_type_say():
    fixed = {"key": "limit", "mode": "fixed", "fixed_value": 3.0}
    assert decide(step(fixed), {}).inputs == {"limit": 3.0}
    assert decide(step(fixed, kind=TaskTypeKind.INTERACTIVE), {}).state is JobState.READY_FOR_INTERACTIVE
    to_person = step(fixed, initial_state=JobState.READY_FOR_INTERACTIVE)
    assert decide(to_person, {}).state is JobState.READY_FOR_INTERACTIVE


def test_a_task_sets_what_is_fixed_and_what_was_defined_and_nothing_else():
    fixed = {"key": "limit", "mode": "fixed", "fixed_value": 0.0}
    unset = {"key": "unset", "mode": "fixed", "fixed_value": None}
    ui = {"key": "box", "mode": "ui"}
    own = own_inputs(step(fixed, unset, first("voi", 2.0), first("open"), ui, of("image")))
    assert own == {"limit": 0.0, "voi": 2.0}


def test_templates_are_defined_by_the_first_job_once():
    some = step(first("voi"), first("box", 2.0), {"key": "limit", "mode": "fixed", "fixed_value": 1.0})
    assert undefined_templates(some) == ["voi"]
    done = Job(task_serial=9, state=JobState.DONE, inputs={"voi": None, "box": 9.0}, outputs={"voi": 5.0})
    assert with_templates(some, done) == [
        {**first("voi"), "template": 5.0}, first("box", 2.0), {"key": "limit", "mode": "fixed", "fixed_value": 1.0}
    ]  # fmt: skip
    by_person = Job(task_serial=9, state=JobState.DONE, inputs={"voi": 4.0}, outputs={"voi": 5.0})
    assert with_templates(some, by_person)[0]["template"] == 4.0
    assert with_templates(some, Job(task_serial=9, state=JobState.DONE)) is None


@pytest.mark.parametrize(
    ("states", "chosen"),
    [
        ((JobState.FAILED, JobState.DONE), 1),
        ((JobState.DONE, JobState.DONE), 0),
        ((JobState.DONE, JobState.FAILED), 0),
        ((JobState.FAILED, JobState.RUNNING), 0),
    ],
)
def test_of_several_jobs_of_a_task_the_first_done_one_counts_else_the_first(states, chosen):
    jobs = [job(SCAN, state, serial) for serial, state in enumerate(states)]
    assert first_of_each_task([*jobs, job(MASK, serial=7)]) == {SCAN: jobs[chosen], MASK: job(MASK, serial=7)}
