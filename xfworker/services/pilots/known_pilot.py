"""A pilot, as far as it is known: by its worker's record, or because it was submitted from here."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from attrs import define

from xfworker.domain.conversion import format_time
from xfworker.domain.job_metadata import ABORT_REQUESTED
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Worker
from xfworker.domain.resources import EARLIER_PILOTS, is_there, worker_pilot
from xfworker.ports.xf_server import XFServer

_LATE_SECONDS = 60.0


class PilotState(StrEnum):
    """How a pilot is, as far as it has said so itself."""

    SUBMITTED = "submitted"
    """It was submitted and has not been seen."""
    THERE = "there"
    """It was heard of in the last minutes."""
    SILENT = "silent"
    """It has not been heard of for minutes, and did not say that it leaves."""
    LEFT = "left"
    """It has left in an orderly way."""


@define(frozen=True, kw_only=True)
class KnownPilot:
    """
    A pilot.

    Attributes:
        system: The batch system.
        job: The batch job's id.
        state: How it is.
        worker: The worker that it is, or ``None``.
        submitted_at: When it was submitted, where that was from here.
        ends_at: When its time is over.
        batch_state: What the batch system says, where it was asked: ``absent`` where it does not list the job.
    """

    system: str
    job: str
    state: PilotState
    worker: Worker | None = None
    submitted_at: datetime | None = None
    ends_at: datetime | None = None
    batch_state: str | None = None

    @property
    def id(self) -> str:
        """What it is called in commands: ``slurm:123``."""
        return f"{self.system}:{self.job}"

    @property
    def counts(self) -> bool:
        """Whether it is there, or will be."""
        return self.state in {PilotState.SUBMITTED, PilotState.THERE} and self.batch_state != ABSENT


ABSENT = "absent"
"""What is said of a batch job that the batch system does not list."""


def seen_pilot(worker: Worker, since: datetime) -> KnownPilot | None:
    """Give the pilot that a worker is; ``None`` where it is not a batch job."""
    pilot = worker_pilot(worker)
    if pilot is None:
        return None
    there = PilotState.THERE if is_there(worker, since) else PilotState.SILENT
    state = PilotState.LEFT if pilot.left else there
    return KnownPilot(system=pilot.system, job=pilot.job, state=state, worker=worker, ends_at=pilot.ends_at)


def earlier_pilots(worker: Worker) -> list[str]:
    """List the batch jobs that a worker's record belonged to before, as ``slurm:123``, the last one last."""
    listed: Any = worker.metadata.get(EARLIER_PILOTS)
    return [str(name) for name in listed] if isinstance(listed, list) else []


def silent_pilot_of(server: XFServer, job: Job, now: datetime) -> str:
    """
    Say that the pilot does not answer that runs a job which is to stop, and what to do; an empty string where it does.

    Args:
        server: Where the workers' records are.
        job: The job.
        now: The time.
    """
    if job.worker_serial is None or job.state is not JobState.RUNNING or ABORT_REQUESTED not in job.metadata:
        return ""
    worker = server.get(Worker, job.worker_serial)
    pilot, seen = worker_pilot(worker), worker.last_seen_at
    if pilot is None or seen is None or is_there(worker, now - timedelta(seconds=_LATE_SECONDS)):
        return ""
    return (
        f"job {job.serial}: its pilot {pilot.system}:{pilot.job} ({worker.name}) was last heard of at "
        f"{format_time(seen)[:19]}; should it not answer any more: xfworker cluster stop --job {job.serial}"
    )
