"""Messages of the job queue, besides the worker's record."""

from datetime import datetime
from typing import Annotated

from attrs import define

from xfworker.adapters.wire.codec import Message
from xfworker.adapters.wire.field_types import Keywords, Serial
from xfworker.domain.job_outcome import Outcome
from xfworker.domain.resources import Offer
from xfworker.ports.job_queue import HeldAttempt, Lease, LeaseStatus

MOST_LEASES = 1000
"""So many leases a heartbeat renews at once."""


@define(frozen=True, kw_only=True)
class Claim(Message):
    """A worker asks for the next job that fits into what it offers, or for a certain one."""

    worker_serial: Serial
    job_serial: Serial | None = None
    offer: Offer | None = None


@define(frozen=True, kw_only=True)
class Claimed(Message):
    """The lease on a job, where there was one."""

    lease: Lease | None


@define(frozen=True, kw_only=True)
class HeldLease(Message):
    """A lease that a worker has."""

    job_serial: Serial
    attempt: Serial
    started_at: datetime | None = None

    def held(self) -> HeldAttempt:
        """Give the attempt as the queue takes it."""
        return HeldAttempt(self.job_serial, self.attempt, self.started_at)


@define(frozen=True, kw_only=True)
class Heartbeat(Message):
    """All leases of a worker are to be renewed."""

    worker_serial: Serial
    leases: Annotated[list[HeldLease], Keywords(maxItems=MOST_LEASES)]


@define(frozen=True, kw_only=True)
class LeaseStatuses(Message):
    """What became of each, in the same order."""

    leases: list[LeaseStatus]


@define(frozen=True, kw_only=True)
class End(Message):
    """How the script of an attempt ended."""

    job_serial: Serial
    attempt: Serial
    outcome: Outcome
    started_at: datetime | None = None

    def held(self) -> HeldAttempt:
        """Give the attempt as the queue takes it."""
        return HeldAttempt(self.job_serial, self.attempt, self.started_at)
