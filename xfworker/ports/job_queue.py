"""The server as a worker sees it: jobs to run, leases on them, and how they ended."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from attrs import define, field

from xfworker.domain.errors import LeaseLost
from xfworker.domain.job_outcome import Outcome
from xfworker.domain.records import Job, Task, TaskType, Worker
from xfworker.domain.resources import Offer


@define(frozen=True, kw_only=True)
class Lease:
    """
    The right to run one attempt of a job.

    Attributes:
        job: The job, in state ``Running``, as it was handed out.
        task: The job's task.
        task_type: The job's task type.
        server_auth: The token for the script: valid for this job and its workflow, while this attempt runs.
        expires_at: When the lease ends unless a heartbeat renews it (UTC).
    """

    job: Job
    task: Task
    task_type: TaskType
    server_auth: str = field(repr=False)
    expires_at: datetime

    @property
    def attempt(self) -> int:
        """Which attempt at the job this is, from 1."""
        return self.job.attempt

    @property
    def seconds(self) -> float | None:
        """
        How long the lease holds without a heartbeat, by the server's clock alone; ``None`` where that is not known.

        The clocks of two computers may differ by minutes, so ``expires_at`` is not a moment of the worker's.
        """
        started_at = self.job.started_at
        return None if started_at is None else max((self.expires_at - started_at).total_seconds(), 0.0)


class HeldAttempt(NamedTuple):
    """
    An attempt at a job that a worker has a lease on, or had.

    Attributes:
        job_serial: The job.
        attempt: Which attempt.
        started_at: When it began (UTC), where that is known: after a backup was restored there may be another attempt
            of the same number.
    """

    job_serial: int
    attempt: int
    started_at: datetime | None = None


@define(frozen=True, kw_only=True)
class LeaseStatus:
    """
    What a heartbeat brings back for one lease.

    Attributes:
        job_serial: The job.
        expires_at: When the renewed lease ends (UTC); ``None`` where it is lost.
        abort_requested: Whether a person wants the job to stop.
        lost: Why there is no such lease any more: the job was given to another worker, or ended otherwise.
    """

    job_serial: int
    expires_at: datetime | None = None
    abort_requested: bool = False
    lost: str | None = None

    def require_held(self) -> None:
        """
        Refuse to go on with a job whose lease is lost.

        Raises:
            LeaseLost: It is.
        """
        if self.lost is not None:
            raise LeaseLost(self.lost)


class JobQueue(Protocol):
    """Hands jobs to workers, each to one worker at a time."""

    def register(self, worker: Worker) -> Worker:
        """Register the worker, or refresh the entry of the one with the same name."""
        ...

    def claim(self, worker_serial: int, *, job_serial: int | None = None, offer: Offer | None = None) -> Lease | None:
        """
        Take the next ready job that this worker can run, or the given one; ``None`` where there is none.

        High-priority runs come first, paused ones not at all; then sort order.

        Args:
            worker_serial: The worker.
            job_serial: The job to take, whatever it needs.
            offer: What the worker has free, and for how long: the job is one that fits. Without it, it is one that
                declares no needs.

        Raises:
            IllegalTransition: The given job is not ready.
        """
        ...

    def heartbeat(self, leases: Sequence[Lease]) -> Sequence[LeaseStatus]:
        """
        Renew all leases that a worker has, and give the status of each in the same order.

        Raises:
            PermissionDenied: They are another worker's.
        """
        ...

    def end(self, lease: Lease, outcome: Outcome) -> Job:
        """
        Report how the script ended, and give the job as it is then.

        A job that the script itself brought to ``Done`` or ``ReadyForInteractive`` stays so. The ending ``preempted``
        makes a running job ready again at once, without counting the attempt. Every other ending makes it ``Failed``
        (or ``Aborted``), with the outcome's message as the error message unless the script saved one, and with the
        outcome under ``metadata.outcome``. Reporting twice is not an error.

        Raises:
            LeaseLost: The job was given to another worker in the meantime.
        """
        ...
