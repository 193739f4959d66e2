"""What is kept of a workflow while nothing is made in it, as a draft or obsolete: since when, and what ended then."""

from collections.abc import Callable
from datetime import datetime

from xfworker.domain.conversion import format_time, parse_time
from xfworker.domain.records import Job, Workflow, WorkflowState
from xfworker.services.platform.access import Access


def note_stop(access: Access, workflow: Workflow, now: datetime) -> None:
    """Keep since when nothing is made in a workflow."""
    access.transaction.put_entry(_key(workflow), {"at": format_time(now)})


def note_untouched(access: Access, workflow: Workflow) -> None:
    """Keep that nothing was made in a workflow so far, unless it is known since when nothing is."""
    if access.transaction.entry(_key(workflow)) is None:
        access.transaction.put_entry(_key(workflow), {"at": None})


def note_end(access: Access, workflow: Workflow, job: Job) -> None:
    """
    Keep that a job ended whose workflow is stopped.

    The clocks of servers, and of one server before and after it is set, need not agree on what came first.
    """
    stopped = access.transaction.entry(_key(workflow))
    if stopped is None or stopped["at"] is None:
        return  # all jobs will be looked at
    ended = {*stopped.get("ended", ()), job.serial}
    access.transaction.put_entry(_key(workflow), {**stopped, "ended": sorted(ended)})


def resume(access: Access, before: Workflow) -> Callable[[Job], bool]:
    """Let a workflow go on, and give what says of a job that ended whether that was while it was stopped."""
    stopped = access.transaction.entry(_key(before))
    access.transaction.delete_entry(_key(before))
    if before.state is WorkflowState.DRAFT:
        return lambda _: True
    if stopped is None:
        # A version that kept no entry changed the record when it stopped the workflow.
        since, ended = before.modified_at, frozenset[int]()
    else:
        since = None if stopped["at"] is None else parse_time(stopped["at"])
        ended = frozenset(stopped.get("ended", ()))
    return lambda job: since is None or job.finished_at is None or job.finished_at >= since or job.serial in ended


def _key(workflow: Workflow) -> str:
    return f"stopped:{workflow.collection}/{workflow.serial}"
