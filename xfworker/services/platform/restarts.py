"""Restarts: a job runs again, and all that was made from it waits for it."""

from datetime import datetime
from typing import Any

import attrs

from xfworker.domain.errors import IllegalTransition
from xfworker.domain.job_metadata import of_restart
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Workflow
from xfworker.domain.scheduling import decide
from xfworker.domain.workflow_graph import Graph, Step
from xfworker.services.platform.access import Access
from xfworker.services.platform.downstream import (
    graph_of,
    has_value,
    is_complete,
    jobs_for_inputs,
    may_define,
)
from xfworker.services.platform.holding import is_busy, is_live, made_from, make_wait


def restart(access: Access, before: Job, job: Job, now: datetime) -> None:
    """
    Let a job begin anew that was just taken out of its final state, and let all that follows wait for it.

    Args:
        access: The caller's.
        before: The job as it was.
        job: The job as it is, in the state that was asked for.
        now: The time.

    Raises:
        IllegalTransition: Something that follows is running, or the job could not run: its run or workflow is obsolete,
            or what it would work on is not there.
    """
    _require_live(access, job)
    graph = graph_of(access, job.workflow_serial)
    held_back = made_from(access, graph, before)
    for other in held_back:
        if is_busy(access, other):
            raise IllegalTransition(
                f"job {job.serial} cannot be restarted: job {other.serial}, which uses what it made, is running; "
                "abort that one first"
            )
    for other in held_back:
        make_wait(access, other, now)
    own = graph.step(job.task_serial)
    state, inputs = (job.state, job.inputs) if own is None else _decided(access, graph, own, job)
    access.transaction.replace(
        attrs.evolve(
            job,
            state=state,
            inputs=inputs,
            outputs={},
            started_at=None,
            finished_at=None,
            worker_serial=None,
            metadata=of_restart(job.metadata),
        )
    )


def _require_live(access: Access, job: Job) -> None:
    # What is taken back in something obsolete would never be made again, because nothing of it runs.
    workflow = access.transaction.get(Workflow, job.workflow_serial)
    obsolete = f"workflow {workflow.serial}" if workflow.obsolete else ""
    if not obsolete and not is_live(access, job):
        obsolete = f"run {job.run_serial}"
    if obsolete:
        raise IllegalTransition(
            f"job {job.serial} cannot be restarted: {obsolete} is obsolete, so nothing of it runs; take that back first"
        )


def _decided(access: Access, graph: Graph, own: Step, job: Job) -> tuple[JobState, dict[str, Any]]:
    asked = job.state
    if not graph.upstreams(own.serial):
        # Nothing of others goes into it: it runs on the inputs that it was given.
        state = JobState.READY if asked is JobState.WAITING else asked
        return (state if may_define(access, own, job) else JobState.WAITING), job.inputs
    complete = is_complete(access, graph, own)
    if own.serial in graph.groups and complete and not has_value(access, graph, own):
        raise IllegalTransition(f"job {job.serial} cannot be restarted: its sequences have no values")
    jobs = jobs_for_inputs(access, graph, own, job.run_serial)
    decision = decide(own, jobs, job.inputs, may_define=may_define(access, own, job), complete=complete)
    if decision is None:
        absent = [up for up in graph.upstreams(own.serial) if not up.is_sequence and up.task_serial not in jobs]
        if absent:
            raise IllegalTransition(
                f"job {job.serial} cannot be restarted: task {absent[0].task_serial}, whose output it takes as "
                f"{absent[0].key}, has no job in its run"
            )
        return JobState.WAITING, job.inputs
    if decision.state is JobState.FAILED:
        raise IllegalTransition(f"job {job.serial} cannot be restarted: {decision.reason}")
    waits_for_person = asked is JobState.READY_FOR_INTERACTIVE and decision.state is JobState.READY
    return (asked if waits_for_person else decision.state), decision.inputs
