"""Makes the jobs that a finished job makes possible, by the rules of :mod:`xfworker.domain.scheduling`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Task, TaskState, TaskType, TaskTypeKind, Workflow, WorkflowState
from xfworker.domain.scheduling import (
    OPEN_STATES,
    Decision,
    Step,
    decide,
    first_of_each_task,
    followers,
    group_followers,
    is_group,
    is_root,
    preceding,
    undefined_templates,
    with_templates,
)
from xfworker.domain.sort_order import sort_order_after
from xfworker.services.platform.access import Access
from xfworker.services.platform.activity import log_event
from xfworker.services.platform.runs import begin_run, keep_entity

VALUES_CHANGED = "values_changed"
"""The key in a running group job's metadata that says that its sequences have grown since it started."""


def steps_of(access: Access, workflow_serial: int) -> list[Step]:
    """Give the active tasks of a workflow with their task types."""
    tasks = access.transaction.find(Task, {"workflow_serial": workflow_serial, "state": TaskState.ACTIVE})
    serials = tuple({task.task_type_serial for task in tasks})
    types = {found.serial: found for found in access.transaction.find(TaskType, {"serial": serials})}
    return [Step(task, types[task.task_type_serial]) for task in tasks]


def after_end(access: Access, job: Job, now: datetime) -> None:
    """Make what follows from a job whose work has ended, well or badly."""
    workflow = access.transaction.get(Workflow, job.workflow_serial)
    if workflow.obsolete or workflow.state is WorkflowState.DRAFT:
        return
    steps = steps_of(access, workflow.serial)
    own = next((step for step in steps if step.serial == job.task_serial), None)
    if own is not None and undefined_templates(own.task):
        steps = _define_templates(access, own, steps, job, now)
    is_source = own is not None and own.task_type.kind is TaskTypeKind.SOURCE
    run = None if job.run_serial is None else access.transaction.get(Run, job.run_serial)
    if run is None and is_source and job.state is JobState.DONE:
        run = begin_run(access, job, now)
    if job.state is JobState.DONE and run is not None and not run.obsolete:
        if is_source:
            run = _about_the_source(access, run, job, now)
            start_roots(access, steps, run, now)
        for step in followers(steps, job.task_serial):
            make_or_promote(access, step, run, now)
    if own is not None and is_group(own) and VALUES_CHANGED in job.metadata and not is_leased(access, job):
        make_group(access, own, steps, now)
    for step in _groups_behind(steps, job.task_serial):
        make_group(access, step, steps, now)


def is_leased(access: Access, job: Job) -> bool:
    """Return whether a worker may still be busy with a job."""
    return bool(access.transaction.find(JobLease, {"job_serial": job.serial}, limit=1))


def start_roots(access: Access, steps: Sequence[Step], run: Run, now: datetime) -> None:
    """Make the jobs that begin with a run."""
    for step in steps:
        if is_root(step):
            make_or_promote(access, step, run, now)


def catch_up(access: Access, workflow: Workflow, now: datetime) -> None:
    """Make what was not made while the workflow was a draft."""
    for step in steps_of(access, workflow.serial):
        if step.task_type.kind is TaskTypeKind.SOURCE:
            for job in access.transaction.find(Job, {"task_serial": step.serial, "state": JobState.DONE}):
                after_end(access, job, now)
    for job in access.transaction.find(Job, {"workflow_serial": workflow.serial, "state": JobState.DONE}):
        after_end(access, job, now)


def reconsider(access: Access, job: Job, now: datetime) -> None:
    """Decide again about a waiting job."""
    steps = steps_of(access, job.workflow_serial)
    own = next((step for step in steps if step.serial == job.task_serial), None)
    if own is not None and job.run_serial is not None:
        make_or_promote(access, own, access.transaction.get(Run, job.run_serial), now)


def make_or_promote(access: Access, step: Step, run: Run, now: datetime) -> None:
    """Make a step's job in a run where its inputs are there, or go on with the one that waits for them."""
    if is_group(step) or step.task_type.kind is TaskTypeKind.SOURCE:
        return
    jobs = _run_jobs(access, run)
    own = jobs.get(step.serial)
    if own is not None and own.state is not JobState.WAITING:
        return
    decision = decide(step, jobs, own.inputs if own else None, may_define=_may_define(access, step, own))
    if decision is None:
        return
    if own is None:
        _make(access, step, run, decision, now)
    elif decision.state is not JobState.WAITING or decision.inputs != own.inputs:
        _promote(access, own, decision, now)


def make_group(access: Access, step: Step, steps: Sequence[Step], now: datetime) -> None:
    """Make, or make again, the one job of a step that works on the values of all runs, once no more are to come."""
    sources = tuple(preceding(steps, step.serial))
    if _has_open(access, sources):
        return
    decision = decide(step, {})
    if decision is None or not access.transaction.find(Job, {"task_serial": sources, "state": JobState.DONE}, limit=1):
        return
    found = access.transaction.find(Job, {"task_serial": step.serial}, limit=1)
    if not found:
        _make(access, step, None, decision, now)
    elif found[0].state is JobState.RUNNING or is_leased(access, found[0]):
        job = found[0]
        access.transaction.replace(attrs.evolve(job, metadata={**job.metadata, VALUES_CHANGED: True}, modified_at=now))
    else:
        _promote(access, found[0], decision, now)


def _groups_behind(steps: Sequence[Step], task_serial: int) -> list[Step]:
    direct = group_followers(steps, task_serial)
    return direct + [
        step for step in steps if is_group(step) and step not in direct and task_serial in preceding(steps, step.serial)
    ]


def _has_open(access: Access, task_serials: tuple[int, ...]) -> bool:
    runs: dict[int, Run] = {}
    for job in access.transaction.find(Job, {"task_serial": task_serials, "state": OPEN_STATES}):
        if job.run_serial is None:
            return True
        run = runs.setdefault(job.run_serial, access.transaction.get(Run, job.run_serial))
        if not run.obsolete:
            return True
    return False


def _define_templates(access: Access, own: Step, steps: list[Step], job: Job, now: datetime) -> list[Step]:
    """Let a finished job define its task's templates, and let the jobs go on that waited for them."""
    inputs = with_templates(own.task, job) if job.state is JobState.DONE else None
    if inputs is not None:
        task = attrs.evolve(own.task, inputs=inputs, occ_lock_version=own.task.occ_lock_version + 1, modified_at=now)
        access.transaction.replace(task)
        workflow = access.transaction.get(Workflow, task.workflow_serial)
        access.transaction.replace(
            attrs.evolve(workflow, occ_lock_version=workflow.occ_lock_version + 1, modified_at=now)
        )
        log_event(access, f"{job} defined templates of {task}", task, {"action": "changed", "fields": ["/inputs"]}, now)
        own = Step(task, own.task_type)
        steps = [own if step.serial == own.serial else step for step in steps]
    for waiting in access.transaction.find(Job, {"task_serial": own.serial, "state": JobState.WAITING}):
        if waiting.run_serial is not None:
            make_or_promote(access, own, access.transaction.get(Run, waiting.run_serial), now)
    return steps


def _may_define(access: Access, step: Step, own: Job | None) -> bool:
    if not undefined_templates(step.task):
        return True
    where = {"task_serial": step.serial, "state": OPEN_STATES}
    others = [job for job in access.transaction.find(Job, where) if own is None or job.serial != own.serial]
    # One job at a time may be the first: the one that is under way, else the one that waits longest.
    return all(job.state is JobState.WAITING and own is not None and own.serial < job.serial for job in others)


def _about_the_source(access: Access, run: Run, job: Job, now: datetime) -> Run:
    entity = next((value for value in job.outputs.values() if _is_entity(value)), None)
    wanted = None if entity is None else {"uuid": entity["uuid"], "name": entity.get("name") or ""}
    if wanted is None or wanted == run.entity:
        return run
    about = attrs.evolve(run, entity=wanted, occ_lock_version=run.occ_lock_version + 1, modified_at=now)
    access.transaction.replace(about)
    keep_entity(access, about, now)
    return about


def _is_entity(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("type") == "Entity" and isinstance(value.get("uuid"), str)


def _run_jobs(access: Access, run: Run) -> dict[int, Job]:
    return first_of_each_task(access.transaction.find(Job, {"run_serial": run.serial}))


def _make(access: Access, step: Step, run: Run | None, decision: Decision, now: datetime) -> None:
    workflow = access.transaction.get(Workflow, step.task.workflow_serial)
    source = None if run is None else run.source_job_serial
    # Jobs of one run share the place of the job that started it, so that all sequences come in the order of the runs.
    order = (
        access.transaction.get(Job, source).sort_order
        if source is not None
        else sort_order_after(access.transaction.last_sort_order(workflow.serial))
    )
    job = access.transaction.insert(
        Job(
            task_serial=step.serial,
            workflow_serial=workflow.serial,
            project_serial=workflow.project_serial,
            run_serial=None if run is None else run.serial,
            source_job_serial=source,
            state=decision.state,
            inputs=decision.inputs,
            sort_order=order,
            name=step.task.name if run is None else run.name,
            created_at=now,
            modified_at=now,
        )
    )
    log_event(access, f"created {job}", job, {"action": "created", "state": [None, job.state.value]}, now)


def _promote(access: Access, job: Job, decision: Decision, now: datetime) -> None:
    after = attrs.evolve(
        job,
        state=decision.state,
        inputs=decision.inputs,
        outputs={},
        started_at=None,
        finished_at=None,
        occ_lock_version=job.occ_lock_version + 1,
        modified_at=now,
    )
    access.transaction.replace(after)
    if after.state is not job.state:
        payload = {"action": "changed", "state": [job.state.value, after.state.value]}
        log_event(access, f"{after}: {job.state} to {after.state}", after, payload, now)
