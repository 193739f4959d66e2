"""What follows from a change of a record, in the same transaction: jobs made, made ready, restarted, aborted."""

from datetime import datetime
from typing import TypeVar

import attrs

from xfworker.domain.change import Change, pointer
from xfworker.domain.conversion import format_time
from xfworker.domain.errors import IllegalTransition
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Record, Run, Workflow, WorkflowState
from xfworker.services.platform.access import ABORT_REQUESTED, Access
from xfworker.services.platform.downstream import after_end, catch_up, is_leased, reconsider
from xfworker.services.platform.restarts import restart
from xfworker.services.platform.runs import join_run, keep_entity

RecordT = TypeVar("RecordT", bound=Record)


def intercepted(access: Access, before: Record, change: Change, now: datetime) -> Change:
    """
    Give the change that is made instead of the wanted one.

    A running job is not simply declared aborted: its script still runs somewhere. It is asked to stop; the job is
    aborted when its worker says that it has, or when the worker's lease runs out.
    """
    if not isinstance(before, Job) or before.state is not JobState.RUNNING:
        return change
    if change.values.get("/state") != JobState.ABORTED.value:
        return change
    values = {key: value for key, value in change.values.items() if key != "/state"}
    request = {"by": access.principal.name, "at": format_time(now)}
    return attrs.evolve(change, values={**values, pointer("metadata", ABORT_REQUESTED): request})


def after_creation(access: Access, record: Record, now: datetime) -> None:
    """Make what follows from a new record."""
    if isinstance(record, Job):
        join_run(access, record, now)
        if record.state.is_final:
            after_end(access, access.transaction.get(Job, record.serial), now)
    elif isinstance(record, Run):
        keep_entity(access, record, now)


def after_change(access: Access, before: Record, after: Record, now: datetime) -> None:
    """Make what follows from a changed record."""
    if isinstance(before, Job) and isinstance(after, Job):
        _after_job(access, before, after, now)
    elif isinstance(before, Workflow) and isinstance(after, Workflow):
        if before.state is WorkflowState.DRAFT and after.state is not WorkflowState.DRAFT:
            catch_up(access, after, now)
    elif isinstance(before, Run) and isinstance(after, Run) and before.entity != after.entity:
        keep_entity(access, after, now)


def _after_job(access: Access, before: Job, after: Job, now: datetime) -> None:
    if before.state is after.state:
        return
    if after.state is JobState.WAITING and before.state is JobState.READY_FOR_INTERACTIVE:
        # A person gave the inputs that the job waited for.
        reconsider(access, after, now)
        return
    if after.state.is_final:
        after_end(access, after, now)
    elif before.state.is_final:
        if is_leased(access, after):
            raise IllegalTransition(
                f"job {after.serial} cannot be restarted yet: its worker has not said that the script has ended; "
                "try again in a moment"
            )
        restart(access, after, now)
