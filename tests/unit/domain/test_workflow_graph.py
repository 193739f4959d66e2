"""What follows from what in a workflow: which steps begin with a run, which follow a job, and what was made from it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.errors import IllegalTransition
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Task, TaskType, TaskTypeKind, Workflow, WorkflowState
from xfworker.domain.workflow_graph import Graph, Step, source_of_run, task_input_violations

SCAN, MASK, CHART, REPORT, RANK, MEAN, FLAG, ALONE, SPAWNED, ELSEWHERE = range(1, 11)
READY, WAITING, DONE = JobState.READY, JobState.WAITING, JobState.DONE


def step(serial, *used, spawn_key=None, kind=TaskTypeKind.PROCESSING):
    """Make a step that takes the output "out" of the tasks it uses; of "all 3" all values of task 3."""
    sources = [(f"of_{item}".replace(" ", "_"), item) for item in used]
    declared = [{"key": key, "type": "Sequence" if isinstance(item, str) else "Float"} for key, item in sources]
    inputs = [of(key, int(str(item).removeprefix("all "))) for key, item in sources]
    task = Task(serial=serial, workflow_serial=1, task_type_serial=serial, inputs=inputs, spawn_key=spawn_key)
    return Step(task, TaskType(serial=serial, name="Lab.Some", kind=kind, interface={"inputs": declared}))


def of(key, serial, output="out"):
    return {"key": key, "mode": "output", "task_serial": serial, "output_key": output}


def with_inputs(*inputs, serial=0, declared=()):
    interface = {"inputs": [{"key": key, "type": "Float"} for key in declared]}
    return Step(
        Task(serial=serial, workflow_serial=1, task_type_serial=1, inputs=list(inputs)),
        TaskType(name="Lab.Some", interface=interface),
    )


def serials(steps):
    return [step.serial for step in steps]


@pytest.fixture(scope="module")
def graph():
    return Graph.of(
        [
            step(SCAN, kind=TaskTypeKind.SOURCE),
            step(MASK, SCAN),
            step(CHART, f"all {MASK}"),
            step(REPORT, CHART),
            step(RANK, MASK, f"all {MASK}"),
            step(MEAN, MASK),
            step(FLAG, RANK),
            step(ALONE),
            step(SPAWNED, spawn_key="a"),
        ]
    )


def test_what_uses_the_values_of_all_runs_has_one_job_for_all_and_so_has_what_uses_only_that(graph):
    assert graph.groups == {CHART, REPORT}


def test_what_follows_a_task_does_so_across_runs_once_a_sequence_is_between(graph):
    assert graph.spread(SCAN) == {MASK: False, CHART: True, REPORT: True, RANK: True, MEAN: False, FLAG: True}
    assert graph.spread(RANK) == {FLAG: False}
    assert graph.spread(ALONE) == graph.spread(ELSEWHERE) == {}


def test_a_sequence_awaits_the_jobs_of_all_that_leads_to_it_and_a_single_value_none(graph):
    assert graph.awaited(CHART) == graph.awaited(RANK) == {SCAN, MASK}
    assert graph.awaited(REPORT) == {SCAN, MASK, CHART}
    assert graph.awaited(MASK) == graph.awaited(FLAG) == graph.awaited(ALONE) == set()


def test_the_end_of_a_job_concerns_what_uses_it_and_what_awaits_it(graph):
    assert serials(graph.concerned(SCAN)) == [MASK, CHART, REPORT, RANK]
    assert serials(graph.concerned(MASK)) == [CHART, REPORT, RANK, MEAN]
    assert serials(graph.concerned(RANK)) == [FLAG]
    assert graph.concerned(ALONE) == []


def test_only_what_uses_no_other_task_and_no_script_spawned_begins_with_a_run_beside_its_source(graph):
    assert serials(graph.roots()) == [ALONE]


def test_with_a_run_that_a_script_spawned_begins_only_what_its_followers_need_and_what_did_not_lead_to_it():
    search, table, found, other = 1, 2, 3, 4
    spawning = Graph.of([step(search), step(table), step(found, spawn_key="a"), step(other, found, table, search)])
    assert serials(spawning.roots_of_spawned(found, [search])) == [table]
    assert serials(spawning.roots_of_spawned(found, [])) == [search, table]


def test_an_input_that_nobody_can_use_is_left_out():
    broken = with_inputs({"mode": "output"}, of("image", SCAN), {"key": "b", "mode": "guess"}, serial=MASK)
    assert [key for key, _ in broken.sources()] == ["image"]
    assert [up.task_serial for up in Graph.of([broken]).upstreams(MASK)] == [SCAN]


def test_a_circle_in_the_store_is_cut_and_nothing_in_it_follows_itself():
    circle = Graph.of([step(1, 2), step(2, 1), step(3, 3)])
    assert sorted(serials(circle.steps)) == [1, 2, 3]
    assert circle.spread(1) == {2: False}
    assert circle.spread(3) == {}


@given(st.lists(st.sets(st.integers(1, 7), max_size=3), max_size=7), st.randoms(use_true_random=False))
def test_each_step_stands_behind_those_that_it_uses_in_whatever_order_they_were_made(used, random):
    steps = [step(serial, *(other for other in others if other < serial)) for serial, others in enumerate(used, 1)]
    random.shuffle(steps)
    graph = Graph.of(steps)
    places = {serial: place for place, serial in enumerate(serials(graph.steps))}
    assert sorted(places) == list(range(1, len(used) + 1))
    assert all(places[up.task_serial] < places[serial] for serial in places for up in graph.upstreams(serial))


def job(serial, task, state=DONE, run=1, **outputs):
    return Job(serial=serial, task_serial=task, state=state, run_serial=run, outputs=outputs)


def made_from(graph, made, jobs, obsolete=()):
    by_task = {task: [other for other in jobs if other.task_serial == task] for task in range(1, 10)}
    return serials(graph.held_back(made, by_task.__getitem__, lambda other: other.run_serial not in obsolete))


def test_what_was_made_from_a_job_is_of_its_run_or_used_the_values_of_all(graph):
    jobs = [
        job(11, MASK, out=1.0),
        job(12, MASK, run=2, out=1.0),
        job(21, RANK, WAITING),
        job(22, RANK, run=2, out=1.0),
        job(23, RANK, run=3, out=1.0),
        job(31, CHART, run=None),
        job(41, FLAG),
        job(42, FLAG, READY, run=2),
        job(51, MEAN),
        job(52, MEAN, run=2),
    ]
    assert made_from(graph, job(1, SCAN, out=1.0), jobs) == [11, 31, 22, 23, 51, 42]
    assert made_from(graph, job(1, SCAN, READY), jobs) == []
    assert made_from(graph, jobs[0], jobs, obsolete={2}) == [31, 23, 51]
    assert made_from(graph, jobs[0], jobs, obsolete={1}) == []
    assert made_from(graph, job(11, MASK, other=1.0), jobs) == [51]


def test_what_a_job_would_have_given_that_was_not_done_was_used_by_nobody(graph):
    jobs = [job(11, MASK, READY), job(12, MEAN)]
    assert made_from(graph, job(1, SCAN), jobs) == [11]


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"obsolete": True}, "workflow 3 is obsolete"), ({"state": WorkflowState.DRAFT}, "workflow 3 is a draft")],
)
def test_a_run_of_a_workflow_that_starts_none_is_refused_by_saying_why(graph, fields, words):
    workflow = Workflow(**{"serial": 3, "project_serial": 1, "state": WorkflowState.ACTIVE, **fields})
    with pytest.raises(IllegalTransition, match=words):
        source_of_run(workflow, graph, None, takes_values=False)


def test_everything_that_is_wrong_with_a_new_task_is_said_at_once():
    new = with_inputs(
        {"mode": "ui"}, {"key": "", "mode": "ui"}, {"key": 4, "mode": "ui"}, of("a", 77), {"key": "a", "mode": "ui"},
        {"key": "b", "mode": "guess"}, {"key": "typo", "mode": "ui"}, declared=("a", "b"),
    )  # fmt: skip
    violations = task_input_violations(new, [step(SCAN)])
    assert [violation.split(":")[0] for violation in violations] == [
        "inputs[0].key", "inputs[1].key", "inputs[2].key", "inputs[3].task_serial", "inputs[4].key", "inputs[5].mode",
        "inputs[6].key",
    ]  # fmt: skip
    assert "given twice" in violations[4]
    assert task_input_violations(with_inputs({"key": "a", "mode": "ui"}, of("b", SCAN)), [step(SCAN)]) == []


def test_a_task_does_not_follow_itself_by_a_change_of_its_inputs():
    line = [step(1), *(step(serial, before) for before, serial in pairwise(range(1, 4)))]
    assert task_input_violations(step(1, 3), line) == ["inputs: the task would follow itself"]
    assert task_input_violations(step(3, 1), line) == []


def test_a_task_of_single_runs_does_not_take_the_value_of_all_as_one_of_its_run(graph):
    assert task_input_violations(step(MEAN, MASK, f"all {CHART}"), graph.steps) == []
    [violation] = task_input_violations(step(MEAN, MASK, CHART), graph.steps)
    assert "declare it as a Sequence" in violation
