"""Messages of the job queue, besides :class:`~xfworker.ports.job_queue.LeaseStatus` and the worker's record."""

from attrs import define

from xfworker.adapters.wire.codec import Message
from xfworker.adapters.wire.field_types import Serial
from xfworker.domain.job_outcome import Outcome
from xfworker.ports.job_queue import Lease


@define(frozen=True, kw_only=True)
class Claim(Message):
    """A worker asks for the next job, or for a certain one."""

    worker_serial: Serial
    job_serial: Serial | None = None


@define(frozen=True, kw_only=True)
class Claimed(Message):
    """The lease on a job, where there was one."""

    lease: Lease | None


@define(frozen=True, kw_only=True)
class Heartbeat(Message):
    """A lease is to be renewed."""

    job_serial: Serial
    attempt: Serial


@define(frozen=True, kw_only=True)
class End(Message):
    """How the script of an attempt ended."""

    job_serial: Serial
    attempt: Serial
    outcome: Outcome
