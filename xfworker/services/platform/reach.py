"""Which workflow alone a change reaches, so that others go on in all others meanwhile."""

from xfworker.domain.change import Change, pointer
from xfworker.domain.job_metadata import PROGRESS_KEYS
from xfworker.domain.record import Record
from xfworker.domain.records import ActivityEvent, Job, Run, Task, Workflow
from xfworker.services.platform.principal import Principal

_PROGRESS = frozenset(pointer("metadata", key) for key in PROGRESS_KEYS)

Reach = tuple[type[Record], int] | None
"""What is named to :meth:`.RecordStore.transaction`: a workflow or something in one; ``None`` for all records."""


def is_progress(change: Change) -> bool:
    """Return whether a change of a job says only how far its script is."""
    return not (change.bump or change.removals) and _PROGRESS.issuperset(change.values)


def workflow_of(kind: type[Record], serial: int) -> Reach:
    """Give what a change of a record reaches."""
    return (kind, serial) if kind in (Workflow, Task, Run, Job) else None


def workflow_of_new(principal: Principal, record: Record) -> Reach:
    """Give what a new record reaches."""
    if isinstance(record, Job):
        return Task, record.task_serial
    if isinstance(record, Task | Run):
        return Workflow, record.workflow_serial
    if isinstance(record, ActivityEvent) and principal.workflow_serial is not None:
        return Workflow, principal.workflow_serial
    return None
