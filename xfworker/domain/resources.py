"""What a job needs of a machine, what a worker has of it, and whether one fits into the other."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import asdict, define, evolve

from xfworker.domain.conversion import format_time, parse_time
from xfworker.domain.package import PACKAGE, time_limit_seconds
from xfworker.domain.records import Job, Worker

RESOURCES = "resources"
"""The key of a worker's metadata for what it has, and of a package's for what it needs."""
PILOT = "pilot"
"""The key of a worker's metadata under which its batch job stands, or ``None``."""
EARLIER_PILOTS = "earlier_pilots"
"""The key of a worker's metadata under which stand the batch jobs that it was before, as ``slurm:123``."""
MOST_EARLIER_PILOTS = 100
PILOT_SINCE = "pilot_since"
"""The key of a worker's metadata for the server's time at which it became another batch job; absent for its first."""

EARLIER_JOBS = 10
"""So many of a task's done jobs say how long its next one takes."""
_MARGIN = 1.25
_PART_OF_WALLTIME = 0.5


class Scratch(StrEnum):
    """Where the directories of jobs lie."""

    LOCAL = "local"
    """On a disk of the machine itself."""
    SHARED = "shared"
    """On a file system that other machines of the cluster have as well."""


@define(frozen=True, kw_only=True)
class Needs:
    """
    What a task type declares that its jobs need; ``None`` where it says nothing.

    Attributes:
        cores: Processor cores.
        memory_mib: Memory, MiB.
        gpus: GPUs.
        scratch: The kind of disk for the job's directory.
        seconds: How long a job takes: what is expected, else its time limit.
    """

    cores: int | None = None
    memory_mib: int | None = None
    gpus: int | None = None
    scratch: Scratch | None = None
    seconds: float | None = None

    def lacking(self, offer: "Offer | None") -> list[str]:
        """
        List what an offer lacks, except time.

        A worker that does not say what it has (an older one) gets only jobs that declare nothing.
        """
        had = offer or Offer()
        lacking = []
        if (self.cores or 0) > had.cores:
            lacking.append(_counted(self.cores, "core"))
        if (self.memory_mib or 0) > had.memory_mib:
            lacking.append(f"{self.memory_mib} MiB of memory")
        if (self.gpus or 0) > had.gpus:
            lacking.append(_counted(self.gpus, "GPU"))
        if self.scratch is not None and self.scratch != had.scratch:
            lacking.append(f"{self.scratch.value} scratch")
        return lacking

    def fits_time(self, offer: "Offer | None", seconds: float | None) -> bool:
        """
        Return whether a job ends before its worker's time does.

        Args:
            offer: What the worker has.
            seconds: How long the job takes; where nobody knows, it fits into a worker that has half of its time left.
        """
        if offer is None or offer.seconds is None:
            return True
        if seconds is None:
            return offer.seconds >= _PART_OF_WALLTIME * (offer.walltime_seconds or 0.0)
        return offer.seconds >= seconds


@define(frozen=True, kw_only=True)
class Offer:
    """
    What a worker has, or what is free of it.

    Attributes:
        cores: Processor cores.
        memory_mib: Memory, MiB.
        gpus: GPUs.
        scratch: Where the directories of its jobs lie.
        seconds: How long a job may take before the worker's time is over; ``None`` where it does not end.
        walltime_seconds: How long the worker had in all.
    """

    cores: int = 0
    memory_mib: int = 0
    gpus: int = 0
    scratch: Scratch | None = None
    seconds: float | None = None
    walltime_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as it stands in a worker's metadata."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def is_only_later_than(self, earlier: "Offer") -> bool:
        """Return whether nothing but time has passed since an earlier offer: what did not fit then does not now."""
        passed = self.seconds == earlier.seconds or (
            self.seconds is not None and earlier.seconds is not None and self.seconds < earlier.seconds
        )
        return passed and self == evolve(earlier, seconds=self.seconds)


@define(frozen=True, kw_only=True)
class Pilot:
    """
    The batch job that a worker is.

    Attributes:
        system: The batch system.
        job: The batch job's id there.
        ends_at: When its time is over, where it is bounded.
        left: Whether the worker has ended in an orderly way.
    """

    system: str
    job: str
    ends_at: datetime | None = None
    left: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give it as it stands in a worker's metadata."""
        ends_at = None if self.ends_at is None else format_time(self.ends_at)
        return {"system": self.system, "job": self.job, "ends_at": ends_at, "left": self.left}


def declared_needs(metadata: Mapping[str, Any]) -> Needs:
    """
    Read what a task type with such metadata declares.

    Raises:
        ValueError: It is not as documented. Likewise ``TypeError``, ``AttributeError``.
    """
    described = (metadata.get(PACKAGE) or {}).get("metadata") or {}
    listed = described.get(RESOURCES) or {}
    expected = listed.get("time_seconds")
    return Needs(
        cores=_integer(listed.get("cores")),
        memory_mib=_integer(listed.get("memory_mib")),
        gpus=_integer(listed.get("gpus")),
        scratch=None if listed.get("scratch") is None else Scratch(listed["scratch"]),
        seconds=time_limit_seconds(described) if expected is None else float(expected),
    )


def worker_offer(worker: Worker, now: datetime) -> Offer | None:
    """Give all that a worker has, as its record says; ``None`` where that says nothing that can be read."""
    listed = worker.metadata.get(RESOURCES)
    if not isinstance(listed, Mapping):
        return None
    pilot = worker_pilot(worker)
    seconds = None
    if pilot is not None and pilot.ends_at is not None:
        seconds = max((pilot.ends_at - now).total_seconds(), 0.0)
    try:
        return Offer(
            cores=int(listed.get("cores") or 0),
            memory_mib=int(listed.get("memory_mib") or 0),
            gpus=int(listed.get("gpus") or 0),
            scratch=None if listed.get("scratch") is None else Scratch(listed["scratch"]),
            seconds=seconds,
            walltime_seconds=seconds,
        )
    except (TypeError, ValueError):
        return None


def worker_pilot(worker: Worker) -> Pilot | None:
    """Give the batch job that a worker is; ``None`` where it is none, or its record cannot be read."""
    listed = worker.metadata.get(PILOT)
    if not isinstance(listed, Mapping):
        return None
    try:
        ends_at = listed.get("ends_at")
        return Pilot(
            system=str(listed["system"]),
            job=str(listed["job"]),
            ends_at=None if ends_at is None else parse_time(ends_at),
            left=bool(listed.get("left")),
        )
    except (LookupError, TypeError, ValueError):
        return None


def with_earlier_pilots(before: Worker, metadata: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    """
    Give the metadata of a worker that registers again, with the batch job that it was before where it is another now.

    Whoever submitted that job learns so that it has run, although the worker's record is another one's by now; and a
    job that began before ``moment`` is not taken for one of the new batch job.
    """
    pilot, now = worker_pilot(before), worker_pilot(Worker(name="", metadata=dict(metadata)))
    merged = {**before.metadata, **metadata}
    if (pilot and (pilot.system, pilot.job)) == (now and (now.system, now.job)):
        return merged
    merged[PILOT_SINCE] = format_time(moment)
    if pilot is None:
        return merged
    earlier = before.metadata.get(EARLIER_PILOTS)
    listed = [*(earlier if isinstance(earlier, list) else []), f"{pilot.system}:{pilot.job}"]
    return {**merged, EARLIER_PILOTS: listed[-MOST_EARLIER_PILOTS:]}


def recorded_time(worker: Worker, key: str) -> datetime | None:
    """Give a time of a worker's metadata; ``None`` where there is none that can be read."""
    try:
        return parse_time(worker.metadata[key])
    except (LookupError, TypeError, ValueError):
        return None


def is_there(worker: Worker, since: datetime) -> bool:
    """Return whether a worker was heard of since a time, and is not a pilot that has left."""
    pilot = worker_pilot(worker)
    left = pilot is not None and pilot.left
    return worker.last_seen_at is not None and worker.last_seen_at >= since and not left


def expected_seconds(earlier: Iterable[Job]) -> float | None:
    """Estimate how long a job takes from done ones of its task: the longest of them and a quarter; or ``None``."""
    durations = [
        (job.finished_at - job.started_at).total_seconds()
        for job in earlier
        if job.started_at is not None and job.finished_at is not None
    ]
    return max(durations) * _MARGIN if durations else None


def _integer(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return -int(-value // 1)


def _counted(number: int | None, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
