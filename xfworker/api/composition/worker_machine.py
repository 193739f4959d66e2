"""What a worker has of its machine, and until when: by options, else by the batch system, else by looking."""

import math
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from attrs import define

from xfworker.adapters.process.machine import scratch_of, usable_cores, usable_gpus, usable_memory_mib
from xfworker.api.composition.batch_systems import own_batch_job
from xfworker.domain.errors import UsageError
from xfworker.domain.resources import Offer, Pilot, Scratch
from xfworker.ports.batch_system import BatchJob
from xfworker.ports.clock import Clock
from xfworker.services.worker.capacity import Capacity

_MINUTE_SECONDS = 60.0
_LEAVING_SECONDS = 60.0
_LEAVING_PART = 0.1


@define(frozen=True, kw_only=True)
class MachineOptions:
    """
    What a person says of a worker's machine; ``None`` where nothing.

    Attributes:
        cores: Processor cores.
        memory_mib: Memory, MiB.
        gpus: How many GPUs, the first of those that are visible.
        scratch: Where the directories of jobs lie.
        walltime_minutes: How long the worker has.
        grace_seconds: How long jobs may go on after the signal that stops the worker.
        batch_job: ``SYSTEM:ID``.
    """

    cores: int | None = None
    memory_mib: int | None = None
    gpus: int | None = None
    scratch: Scratch | None = None
    walltime_minutes: float | None = None
    grace_seconds: float | None = None
    batch_job: str | None = None


@define(frozen=True, kw_only=True)
class WorkerMachine:
    """
    A worker's machine.

    Attributes:
        capacity: What it has.
        pilot: The batch job that the worker is, or ``None``.
        leave_at: When the worker leaves, by monotonic time: some time before its own is over.
        grace_seconds: How long jobs may go on after the signal that stops the worker.
    """

    capacity: Capacity
    pilot: Pilot | None
    leave_at: float
    grace_seconds: float


def worker_machine(
    options: MachineOptions, *, environment: Mapping[str, str], jobs: Path, concurrency: int, clock: Clock
) -> WorkerMachine:
    """
    Describe the machine of a worker that starts now.

    Args:
        options: What a person says.
        environment: The environment variables.
        jobs: Where the directories of jobs are.
        concurrency: How many jobs run at once.
        clock: The time.

    Raises:
        UsageError: More GPUs are named than there are.
    """
    found = own_batch_job(environment, options.batch_job)
    batch_job = BatchJob(job="") if found is None else found[1]
    gpus = usable_gpus(environment)
    if options.gpus is not None:
        if options.gpus > len(gpus):
            raise UsageError(f"--gpus {options.gpus}: this process can use {len(gpus)}")
        gpus = gpus[: options.gpus]
    total = Offer(
        cores=options.cores or _least(batch_job.cores, usable_cores()),
        memory_mib=options.memory_mib or _least(batch_job.memory_mib, usable_memory_mib()),
        gpus=len(gpus),
        scratch=options.scratch or scratch_of(jobs),
    )
    walltime, left = _time(options, batch_job, clock)
    leave_at = math.inf
    if left is not None and walltime is not None:
        # What is given back at the end takes a moment, and so does a start that nobody sees from here.
        leave_at = clock.monotonic() + left - min(_LEAVING_SECONDS, _LEAVING_PART * walltime)
    ends_at = None if leave_at == math.inf else clock.now() + timedelta(seconds=leave_at - clock.monotonic())
    grace = options.grace_seconds
    return WorkerMachine(
        capacity=Capacity(
            total=total,
            gpus=gpus,
            concurrency=concurrency,
            seconds_left=lambda: None if leave_at == math.inf else leave_at - clock.monotonic(),
            walltime_seconds=walltime,
        ),
        pilot=None if found is None else Pilot(system=found[0], job=batch_job.job, ends_at=ends_at),
        leave_at=leave_at,
        grace_seconds=(math.inf if found is None else 0.0) if grace is None else grace,
    )


def _time(options: MachineOptions, batch_job: BatchJob, clock: Clock) -> tuple[float | None, float | None]:
    """Give how long the worker has in all, and from now on."""
    if options.walltime_minutes is not None:
        seconds = options.walltime_minutes * _MINUTE_SECONDS
        return seconds, seconds
    if batch_job.ends_at is not None:
        left = (batch_job.ends_at - clock.now()).total_seconds()
        return batch_job.walltime_seconds or left, left
    return batch_job.walltime_seconds, batch_job.walltime_seconds


def _least(given: int | None, seen: int) -> int:
    return seen if given is None else min(given, seen)
