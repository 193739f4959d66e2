"""How long a job takes, as far as anybody knows."""

from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.domain.resources import EARLIER_JOBS, Needs, expected_seconds
from xfworker.services.platform.access import Access


def job_seconds(access: Access, task_serial: int, needs: Needs) -> float | None:
    """Give how long the next job of a task takes: as declared, else as earlier ones took; ``None`` where unknown."""
    if needs.seconds is not None:
        return needs.seconds
    where = {"task_serial": task_serial, "state": JobState.DONE}
    return expected_seconds(access.transaction.find(Job, where, limit=EARLIER_JOBS))
