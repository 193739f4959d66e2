"""What follows from a change of a record, in the same transaction: jobs made, made ready, restarted, aborted."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

import attrs

from xfworker.domain.change import Change, pointer
from xfworker.domain.conversion import format_time
from xfworker.domain.errors import IllegalTransition
from xfworker.domain.job_metadata import ABORT_REQUESTED
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Record, Run, Task, Workflow, WorkflowState
from xfworker.services.platform.access import Access
from xfworker.services.platform.activity import log_event
from xfworker.services.platform.downstream import (
    after_end,
    after_return,
    catch_up,
    reconsider,
    settle,
)
from xfworker.services.platform.holding import is_leased
from xfworker.services.platform.isolation import isolated
from xfworker.services.platform.restarts import restart
from xfworker.services.platform.runs import join_run, keep_entities, keep_entity
from xfworker.services.platform.stopped_workflows import note_stop, note_untouched, resume

RecordT = TypeVar("RecordT", bound=Record)


_STOP = pointer("metadata", ABORT_REQUESTED)


def asks_to_stop(access: Access, before: Record, change: Change) -> bool:
    """
    Return whether a change would abort a running job.

    A running job is not simply declared aborted: its script still runs somewhere. It is asked to stop; the job is
    aborted when its worker says that it has, or when the worker's lease runs out. An administrator may ask so directly
    as well; who asked since when is the platform's to say.
    """
    if not isinstance(before, Job) or before.state is not JobState.RUNNING:
        return False
    return change.values.get("/state") == JobState.ABORTED.value or (
        access.principal.is_admin and isinstance(change.values.get(_STOP), Mapping)
    )


def without_stop(change: Change) -> Change:
    """Give a change without what asks to stop."""
    values = {key: value for key, value in change.values.items() if key not in {"/state", _STOP}}
    return attrs.evolve(change, values=values)


def asked_to_stop(access: Access, job: RecordT, change: Change, now: datetime) -> tuple[RecordT, Change]:
    """Give a running job as it is asked to stop, and the change that this is."""
    request = {"by": access.principal.name, "at": format_time(now)}
    change = attrs.evolve(change, values={**change.values, _STOP: request})
    return attrs.evolve(job, metadata={**job.metadata, ABORT_REQUESTED: request}), change


def after_creation(access: Access, record: Record, now: datetime) -> None:
    """Make what follows from a new record."""
    if isinstance(record, Job):
        join_run(access, record, now)
        if record.state.is_final:
            keep_entities(access, record, now)
            job = access.transaction.get(Job, record.serial)
            _following(access, job, lambda: after_end(access, job, now), now)
    elif isinstance(record, Run):
        keep_entity(access, record.entity, now)
    elif isinstance(record, Task):
        workflow = access.transaction.get(Workflow, record.workflow_serial)
        version = workflow.occ_lock_version + 1
        access.transaction.replace(attrs.evolve(workflow, occ_lock_version=version, modified_at=now))


def after_change(access: Access, before: Record, after: Record, now: datetime) -> None:
    """Make what follows from a changed record."""
    if isinstance(before, Job) and isinstance(after, Job):
        _after_job(access, before, after, now)
    elif isinstance(before, Workflow) and isinstance(after, Workflow):
        _after_workflow(access, before, after, now)
    elif isinstance(before, Run) and isinstance(after, Run):
        _after_run(access, before, after, now)
    elif isinstance(before, Task) and isinstance(after, Task) and _scheduled(before) != _scheduled(after):
        _following(access, after, lambda: settle(access, after.workflow_serial, now), now)


def _after_workflow(access: Access, before: Workflow, after: Workflow, now: datetime) -> None:
    if _flows(after):
        if not _flows(before):
            ended_meanwhile = resume(access, before)
            _following(access, after, lambda: catch_up(access, after, now, ended_meanwhile), now)
    elif _flows(before):
        note_stop(access, after, now)
    elif before.state is WorkflowState.DRAFT:
        note_untouched(access, after)


def _after_run(access: Access, before: Run, after: Run, now: datetime) -> None:
    if before.entity != after.entity:
        keep_entity(access, after.entity, now)
    if after.obsolete and not before.obsolete:
        # What others waited for in it will not come.
        _following(access, after, lambda: settle(access, after.workflow_serial, now), now)
    elif before.obsolete and not after.obsolete:
        _following(access, after, lambda: after_return(access, after, now), now)


def _after_job(access: Access, before: Job, after: Job, now: datetime) -> None:
    if before.state is after.state:
        return
    if after.state is JobState.WAITING and before.state is JobState.READY_FOR_INTERACTIVE:
        # A person gave the inputs that the job waited for.
        reconsider(access, after, now)
        return
    if after.state.is_final:
        keep_entities(access, after, now)
        _following(access, after, lambda: after_end(access, after, now), now)
    elif before.state.is_final:
        if is_leased(access, after):
            raise IllegalTransition(
                f"job {after.serial} cannot be restarted yet: its worker has not said that the script has ended; "
                "try again in a moment"
            )
        restart(access, before, after, now)


def _flows(workflow: Workflow) -> bool:
    return workflow.state is not WorkflowState.DRAFT and not workflow.obsolete


def _scheduled(task: Task) -> tuple[object, ...]:
    return task.inputs, task.state, task.task_type_serial


def _following(access: Access, record: Record, work: Callable[[], None], now: datetime) -> None:
    """Do what follows; where a record in the way cannot be handled, the change stands and the log says why."""

    def give_up(reason: str) -> None:
        title = f"what follows from {record} could not be worked out"
        log_event(access, title, record, {"reason": reason}, now, level="ERROR")

    isolated(access.transaction, f"what follows from {record}", work, give_up)
