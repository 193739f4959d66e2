"""What follows from a change of a record, in the same transaction."""

from datetime import datetime
from typing import TypeVar

from xfworker.domain.change import Change
from xfworker.domain.records import Job, Record, Run
from xfworker.services.platform.access import Access
from xfworker.services.platform.runs import join_run, keep_entity

RecordT = TypeVar("RecordT", bound=Record)


def intercepted(access: Access, before: RecordT, change: Change, now: datetime) -> Change:
    """Give the change that is made instead of the wanted one."""
    del access, before, now
    return change


def after_creation(access: Access, record: Record, now: datetime) -> None:
    """Make what follows from a new record."""
    if isinstance(record, Job):
        join_run(access, record, now)
    elif isinstance(record, Run):
        keep_entity(access, record, now)


def after_change(access: Access, before: Record, after: Record, now: datetime) -> None:
    """Make what follows from a changed record."""
    del access, before, after, now
