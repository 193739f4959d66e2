"""Makes the jobs that a finished job makes possible, by the rules of :mod:`xfworker.domain.workflow_graph`."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from xfworker.domain.job_metadata import ERROR_MESSAGE, VALUES_CHANGED, of_restart
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Task, TaskState, TaskType, TaskTypeKind, Workflow, WorkflowState
from xfworker.domain.scheduling import (
    COMING_STATES,
    Decision,
    decide,
    first_of_each_task,
    undefined_templates,
    with_templates,
)
from xfworker.domain.sort_order import sort_order_after
from xfworker.domain.workflow_graph import Graph, Step
from xfworker.services.platform.access import Access
from xfworker.services.platform.activity import log_event
from xfworker.services.platform.holding import is_busy, is_leased, is_live, made_from, make_wait, note_new_values
from xfworker.services.platform.isolation import isolated
from xfworker.services.platform.runs import begin_run, entities
from xfworker.services.platform.spawn_limits import spawners_of
from xfworker.services.platform.stopped_workflows import note_end

_WITH_OLD_VALUES = (JobState.RUNNING, JobState.DONE, JobState.FAILED, JobState.ABORTED)


def steps_of(access: Access, workflow_serial: int) -> list[Step]:
    """Give the active tasks of a workflow with their task types."""
    tasks = access.transaction.find(Task, {"workflow_serial": workflow_serial, "state": TaskState.ACTIVE})
    serials = tuple({task.task_type_serial for task in tasks})
    types = {task_type.serial: task_type for task_type in access.transaction.find(TaskType, {"serial": serials})}
    return [
        Step(task, types[task.task_type_serial])
        if task.task_type_serial in types
        else Step(task, TaskType(name=""), missing_type=True)
        for task in tasks
    ]


def graph_of(access: Access, workflow_serial: int) -> Graph:
    """Give what follows from what in a workflow."""
    return access.transaction.derived(workflow_serial, lambda: Graph.of(steps_of(access, workflow_serial)))


def task_type_of(access: Access, job: Job) -> TaskType:
    """
    Give the task type of a job.

    Raises:
        RecordNotFound: It, or the job's task, is not in the store.
    """

    def of_graph() -> TaskType | None:
        step = graph_of(access, job.workflow_serial).step(job.task_serial)
        return None if step is None or step.missing_type else step.task_type

    # What follows from the job needs the graph as well; where that cannot be made, the job alone is looked at.
    task_type = isolated(access.transaction, f"the workflow of {job}", of_graph, lambda _: None, writes=False)
    if task_type is not None:
        return task_type
    return access.transaction.get(TaskType, access.transaction.get(Task, job.task_serial).task_type_serial)


def after_end(access: Access, job: Job, now: datetime) -> None:
    """Make what follows from a job whose work has ended, well or badly."""
    workflow = access.transaction.get(Workflow, job.workflow_serial)
    if workflow.obsolete or workflow.state is WorkflowState.DRAFT:
        note_end(access, workflow, job)
        return
    graph = graph_of(access, workflow.serial)
    own = graph.step(job.task_serial)
    if own is not None and undefined_templates(own):
        graph = _define_templates(access, graph, own, job, now)
    run = _run_of(access, own, job, now)
    counts = run is None or not run.obsolete
    if job.state is JobState.DONE and counts:
        if run is not None and _is_source(own):
            run = _about_the_source(access, run, job, now)
            _start_roots_of_source(access, graph, run, job, now)
        for step in graph.gaining(job):
            _gain(access, step, now)
    # A job for all runs that got more values while it ran is made again behind all that it lets begin.
    for step in [*graph.concerned(job.task_serial), *([own] if own is not None else [])]:
        if step.serial in graph.groups:
            make_group(access, graph, step, now)
            continue
        if run is not None and counts and _takes(graph, step, job):
            make_or_promote(access, graph, step, run, now)
        # While more values are to come, what waits for them goes on waiting.
        if job.task_serial in graph.awaited(step.serial) and is_complete(access, graph, step):
            promote_waiting(access, graph, step, now)


def _run_of(access: Access, own: Step | None, job: Job, now: datetime) -> Run | None:
    if job.run_serial is not None:
        return access.transaction.get(Run, job.run_serial)
    return begin_run(access, job, now) if _is_source(own) and job.state is JobState.DONE else None


def _is_source(step: Step | None) -> bool:
    return step is not None and step.task_type.kind is TaskTypeKind.SOURCE


def settle(access: Access, workflow_serial: int, now: datetime) -> None:
    """Let begin what can begin, after a change of what counts: a run or a task that became obsolete, or an input."""
    workflow = access.transaction.get(Workflow, workflow_serial)
    if workflow.obsolete or workflow.state is WorkflowState.DRAFT:
        return
    graph = graph_of(access, workflow.serial)
    for step in graph.steps:
        if step.serial in graph.groups:
            make_group(access, graph, step, now)
        else:
            promote_waiting(access, graph, step, now)


def after_return(access: Access, run: Run, now: datetime) -> None:
    """Make what follows from the jobs of a run that is no longer obsolete."""
    for job in access.transaction.find(Job, {"run_serial": run.serial, "state": JobState.DONE}):
        after_end(access, job, now)
    settle(access, run.workflow_serial, now)


def after_lease(access: Access, job: Job, now: datetime) -> None:
    """Make a job again that worked with values of which others came while it ran, now that its worker is done."""
    graph = graph_of(access, job.workflow_serial)
    own = graph.step(job.task_serial)
    if own is None:
        return
    if own.serial in graph.groups:
        make_group(access, graph, own, now)
    elif job.state is JobState.DONE and is_live(access, job):
        _take_back(access, [job, *made_from(access, graph, job)], now)
        promote_waiting(access, graph, own, now)


def start_roots(access: Access, graph: Graph, run: Run, now: datetime) -> None:
    """Make the jobs that begin with a run."""
    for step in graph.roots():
        make_or_promote(access, graph, step, run, now)


def begin_appended(access: Access, task: Task, job: Job, now: datetime) -> None:
    """Let a task begin that was just added behind a job: in the job's run, or once for all runs."""
    workflow = access.transaction.get(Workflow, task.workflow_serial)
    graph = graph_of(access, workflow.serial)
    step = graph.step(task.serial)
    if step is None or workflow.state is WorkflowState.DRAFT:
        return
    if step.serial in graph.groups:
        make_group(access, graph, step, now)
    elif job.run_serial is not None:
        make_or_promote(access, graph, step, access.transaction.get(Run, job.run_serial), now)


def catch_up(access: Access, workflow: Workflow, now: datetime, ended_meanwhile: Callable[[Job], bool]) -> None:
    """
    Make what was not made while the workflow was a draft, or obsolete.

    Args:
        access: The caller's.
        workflow: The workflow.
        now: The time.
        ended_meanwhile: Says of which done jobs nothing was made.
    """
    graph = graph_of(access, workflow.serial)
    sources = [step.serial for step in graph.steps if step.task_type.kind is TaskTypeKind.SOURCE]
    for where in (*({"task_serial": serial} for serial in sources), {"workflow_serial": workflow.serial}):
        for job in access.transaction.find(Job, {**where, "state": JobState.DONE}):
            if ended_meanwhile(job):
                after_end(access, job, now)
    settle(access, workflow.serial, now)


def reconsider(access: Access, job: Job, now: datetime) -> None:
    """Decide again about a waiting job, to which a person gave inputs."""
    graph = graph_of(access, job.workflow_serial)
    own = graph.step(job.task_serial)
    if own is None or not is_live(access, job):
        return
    if own.serial in graph.groups:
        make_group(access, graph, own, now, answered=True)
        return
    decision = _decision(access, graph, own, job.run_serial, job, answered=True)
    if decision is None:
        return
    if not graph.upstreams(own.serial):
        # It runs on what it was given, of which its task sets only a part.
        decision = attrs.evolve(decision, inputs={**job.inputs, **_set(decision.inputs)})
    _promote(access, job, decision, now)


def make_or_promote(access: Access, graph: Graph, step: Step, run: Run, now: datetime) -> None:
    """Make a step's job in a run where its inputs are there, or go on with the one that waits for them."""
    if step.task_type.kind is TaskTypeKind.SOURCE:
        return  # a person begins its jobs, with which runs begin
    of_run = _jobs_of_run(access, run.serial, {step.serial, *_single_upstreams(graph, step)})
    own = of_run.pop(step.serial, None)
    if own is not None and own.state is not JobState.WAITING:
        return
    decision = _decision(access, graph, step, run.serial, own, of_run=of_run)
    if decision is None:
        return
    if own is not None:
        _promote(access, own, decision, now)
    elif decision.makes:
        _make(access, step, run, decision, now)


def promote_waiting(access: Access, graph: Graph, step: Step, now: datetime) -> None:
    """Go on with a step's waiting jobs of all runs."""
    for job in access.transaction.find(Job, {"task_serial": step.serial, "state": JobState.WAITING}):
        if job.run_serial is not None:
            run = access.transaction.get(Run, job.run_serial)
            if not run.obsolete:
                make_or_promote(access, graph, step, run, now)


def make_group(access: Access, graph: Graph, step: Step, now: datetime, *, answered: bool = False) -> None:
    """Make, or make again, the one job of a step that works on the values of all runs, once no more are to come."""
    if not is_complete(access, graph, step) or not has_value(access, graph, step):
        return
    jobs = access.transaction.find(Job, {"task_serial": step.serial}, limit=1)
    own = jobs[0] if jobs else None
    if own is not None and (own.state in COMING_STATES or is_leased(access, own)):
        return
    if own is not None and own.state is not JobState.WAITING and VALUES_CHANGED not in own.metadata:
        return  # nothing was added to what it worked on
    decision = _decision(access, graph, step, None, own, answered=answered)
    if decision is None:
        return
    if own is None:
        if decision.makes:
            _make(access, step, None, decision, now)
        return
    _promote(access, own, decision, now)
    _take_back(access, made_from(access, graph, own), now)


def _take_back(access: Access, jobs: Iterable[Job], now: datetime) -> None:
    """Let jobs wait that worked with values of which others are to come, those at work once their workers are done."""
    for job in jobs:
        if is_busy(access, job):
            note_new_values(access, job, now)
        else:
            make_wait(access, job, now)


def is_complete(access: Access, graph: Graph, step: Step) -> bool:
    """Return whether no more values are to come for a step's sequences."""
    awaited = tuple(graph.awaited(step.serial))
    if not awaited:
        return True
    return not access.transaction.has_live_job(awaited, COMING_STATES)


def has_value(access: Access, graph: Graph, step: Step) -> bool:
    """Return whether there is a done job, in a run that counts, of a task whose values a step takes."""
    used = tuple({up.task_serial for up in graph.upstreams(step.serial)})
    return access.transaction.has_live_job(used, (JobState.DONE,))


def jobs_for_inputs(access: Access, graph: Graph, step: Step, run_serial: int | None) -> dict[int, Job]:
    """Give the job of each task whose single output a step takes: of the run, or the one for all runs."""
    of_run = {} if run_serial is None else _jobs_of_run(access, run_serial, _single_upstreams(graph, step))
    return {**_jobs_of_groups(access, graph, step), **of_run}


def _single_upstreams(graph: Graph, step: Step) -> set[int]:
    return {up.task_serial for up in graph.upstreams(step.serial) if not up.is_sequence} - graph.groups


def _jobs_of_run(access: Access, run_serial: int, tasks: set[int]) -> dict[int, Job]:
    where = {"task_serial": tuple(tasks), "run_serial": run_serial}
    return first_of_each_task(access.transaction.find(Job, where) if tasks else ())


def _jobs_of_groups(access: Access, graph: Graph, step: Step) -> dict[int, Job]:
    used = {up.task_serial for up in graph.upstreams(step.serial) if not up.is_sequence} & graph.groups
    return first_of_each_task(access.transaction.find(Job, {"task_serial": tuple(used)}) if used else ())


def _decision(
    access: Access,
    graph: Graph,
    step: Step,
    run_serial: int | None,
    own: Job | None,
    *,
    of_run: Mapping[int, Job] | None = None,
    answered: bool = False,
) -> Decision | None:
    return decide(
        step,
        jobs_for_inputs(access, graph, step, run_serial)
        if of_run is None
        else {**_jobs_of_groups(access, graph, step), **of_run},
        own.inputs if own else None,
        may_define=may_define(access, step, own),
        complete=is_complete(access, graph, step),
        answered=answered,
    )


def _takes(graph: Graph, step: Step, job: Job) -> bool:
    return any(up.task_serial == job.task_serial and not up.is_sequence for up in graph.upstreams(step.serial))


def _set(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in inputs.items() if value is not None}


def _gain(access: Access, step: Step, now: datetime) -> None:
    """Record on the job of a step that there are values which it has not seen."""
    where = {"task_serial": step.serial, "state": _WITH_OLD_VALUES}
    for job in access.transaction.find(Job, where, limit=1):
        note_new_values(access, job, now)


def _start_roots_of_source(access: Access, graph: Graph, run: Run, job: Job, now: datetime) -> None:
    spawners = [spawner.task_serial for spawner in spawners_of(access, job)]
    if not spawners:
        start_roots(access, graph, run, now)
    for step in graph.roots_of_spawned(job.task_serial, spawners) if spawners else ():
        make_or_promote(access, graph, step, run, now)


def _define_templates(access: Access, graph: Graph, own: Step, job: Job, now: datetime) -> Graph:
    """Let a finished job define its task's templates, and let the jobs go on that waited for them."""
    inputs = with_templates(own, job) if job.state is JobState.DONE else None
    if inputs is not None:
        task = attrs.evolve(own.task, inputs=inputs, occ_lock_version=own.task.occ_lock_version + 1, modified_at=now)
        access.transaction.replace(task)
        workflow = access.transaction.get(Workflow, task.workflow_serial)
        access.transaction.replace(
            attrs.evolve(workflow, occ_lock_version=workflow.occ_lock_version + 1, modified_at=now)
        )
        log_event(access, f"{job} defined templates of {task}", task, {"action": "changed", "fields": ["/inputs"]}, now)
        own = attrs.evolve(own, task=task)
        graph = Graph.of([own if step.serial == own.serial else step for step in graph.steps])
    promote_waiting(access, graph, own, now)
    return graph


def may_define(access: Access, step: Step, own: Job | None) -> bool:
    """Return whether a job, or a new one, may define the templates of its task, or needs not."""
    if not undefined_templates(step):
        return True
    # One job at a time may be the first: the one that is under way, else the one that waits longest.
    where = {"task_serial": step.serial, "state": (JobState.WAITING, *COMING_STATES)}
    others = [
        job
        for job in access.transaction.find(Job, where)
        if (own is None or job.serial != own.serial) and is_live(access, job)
    ]
    return all(job.state is JobState.WAITING and own is not None and own.serial < job.serial for job in others)


def _about_the_source(access: Access, run: Run, job: Job, now: datetime) -> Run:
    about_entity = next(entities(job.outputs), None)
    if about_entity is None or about_entity == run.entity:
        return run
    about = attrs.evolve(run, entity=about_entity, occ_lock_version=run.occ_lock_version + 1, modified_at=now)
    access.transaction.replace(about)
    return about


def _make(access: Access, step: Step, run: Run | None, decision: Decision, now: datetime) -> None:
    workflow = access.transaction.get(Workflow, step.task.workflow_serial)
    source = None if run is None else run.source_job_serial
    # Jobs of one run share the place of the job that started it, so that all sequences come in the order of the runs.
    order = (
        access.transaction.get(Job, source).sort_order
        if source is not None
        else sort_order_after(access.transaction.last_sort_order(workflow.serial))
    )
    failed = decision.state is JobState.FAILED
    job = access.transaction.insert(
        Job(
            task_serial=step.serial,
            workflow_serial=workflow.serial,
            project_serial=workflow.project_serial,
            run_serial=None if run is None else run.serial,
            source_job_serial=source,
            state=decision.state,
            inputs=decision.inputs,
            metadata={ERROR_MESSAGE: decision.reason} if failed else {},
            finished_at=now if failed else None,
            sort_order=order,
            name=step.task.name if run is None else run.name,
            created_at=now,
            modified_at=now,
        )
    )
    log_event(access, f"created {job}", job, {"action": "created", "state": [None, job.state.value]}, now)


def _promote(access: Access, job: Job, decision: Decision, now: datetime) -> None:
    if decision.state is job.state and decision.inputs == job.inputs:
        return
    failed = decision.state is JobState.FAILED
    metadata = of_restart(job.metadata) | ({ERROR_MESSAGE: decision.reason} if failed else {})
    after = attrs.evolve(
        job,
        state=decision.state,
        inputs=decision.inputs,
        outputs={},
        started_at=None,
        finished_at=now if failed else None,
        metadata=metadata,
        occ_lock_version=job.occ_lock_version + 1,
        modified_at=now,
    )
    access.transaction.replace(after)
    if after.state is not job.state:
        payload = {"action": "changed", "state": [job.state.value, after.state.value]}
        log_event(access, f"{after}: {job.state} to {after.state}", after, payload, now)
