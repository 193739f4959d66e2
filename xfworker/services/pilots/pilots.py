"""
Submits pilots, lists them and stops them.

What is known of pilots is in the workers' records. A pilot that was submitted and has not been seen there yet waits in
the batch system's queue; which those are is kept where it was submitted.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from attrs import define, field

from xfworker.domain.errors import UsageError
from xfworker.domain.records import Worker
from xfworker.domain.resources import EARLIER_PILOTS, is_there, worker_pilot
from xfworker.ports.batch_system import BatchSystem, SubmittedPilot, SubmittedPilots
from xfworker.ports.clock import Clock
from xfworker.ports.xf_server import XFServer

_SILENT_SECONDS = 300.0


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


@define(kw_only=True)
class Pilots:
    """
    The pilots of a server.

    Attributes:
        server: Where the workers' records are.
        submitted: Those that were submitted from here.
        systems: The batch systems, by name.
        clock: The time.
    """

    server: XFServer
    submitted: SubmittedPilots
    systems: Mapping[str, BatchSystem]
    clock: Clock
    _listings: dict[str, Mapping[str, str]] = field(factory=dict, init=False)

    def known(self, *, ask: bool = False) -> list[KnownPilot]:
        """
        List the pilots that were seen or submitted.

        Args:
            ask: Whether the batch systems are asked what they list.

        Raises:
            BatchSystemError: A batch system was asked and did not answer.
        """
        workers = self.server.find(Worker)
        since = self.clock.now() - timedelta(seconds=_SILENT_SECONDS)
        seen = [pilot for worker in workers if (pilot := _seen(worker, since)) is not None]
        ids = {pilot.id for pilot in seen} | {name for worker in workers for name in _earlier(worker)}
        waiting = [
            KnownPilot(system=one.system, job=one.job, state=PilotState.SUBMITTED, submitted_at=one.submitted_at)
            for one in self.submitted.read()
            if f"{one.system}:{one.job}" not in ids
        ]
        pilots = [*seen, *waiting]
        return [self._asked(pilot) for pilot in pilots] if ask else pilots

    def scale(
        self, system: BatchSystem, count: int, text: str, *, ask: bool = False, report: Callable[[str], None]
    ) -> list[KnownPilot]:
        """
        Submit pilots until there are so many of a batch system; one that is there or waits already counts.

        Args:
            system: The batch system.
            count: How many there are to be.
            text: What is submitted for each.
            ask: Whether the batch system is asked first which of those that wait it still lists.
            report: Gets the id of each when it is submitted.

        Returns:
            Those that count, the new ones last.

        Raises:
            BatchSystemError: One could not be submitted; those before it are kept.
        """
        with self.submitted.held():
            pilots = self.known(ask=ask)
            kept = [pilot for pilot in pilots if pilot.state is PilotState.SUBMITTED and pilot.counts]
            ledger = [_entry(pilot) for pilot in kept]
            self.submitted.write(ledger)
            counted = [pilot for pilot in pilots if pilot.system == system.name and pilot.counts]
            while len(counted) < count:
                now = self.clock.now()
                job = system.submit(text)
                pilot = KnownPilot(system=system.name, job=job, state=PilotState.SUBMITTED, submitted_at=now)
                counted.append(pilot)
                # One by one: what was submitted is known, whatever happens to the next.
                ledger.append(_entry(pilot))
                self.submitted.write(ledger)
                report(pilot.id)
            return counted

    def stop(self, ids: Sequence[str]) -> list[KnownPilot]:
        """
        Cancel pilots; each hands its jobs back and leaves.

        Args:
            ids: Which, as ``slurm:123`` or ``123``; all that count without any.

        Raises:
            UsageError: There is no such pilot.
            BatchSystemError: The batch system refused.
        """
        with self.submitted.held():
            pilots = [pilot for pilot in self.known() if pilot.state is not PilotState.LEFT]
            chosen = [_chosen(pilots, name) for name in ids] if ids else [pilot for pilot in pilots if pilot.counts]
            for name in dict.fromkeys(pilot.system for pilot in chosen):
                jobs = [pilot.job for pilot in chosen if pilot.system == name]
                self._system(name).cancel(jobs)
                gone = {f"{name}:{job}" for job in jobs}
                kept = [one for one in self.submitted.read() if f"{one.system}:{one.job}" not in gone]
                self.submitted.write(kept)
            return chosen

    def _asked(self, pilot: KnownPilot) -> KnownPilot:
        if pilot.state is PilotState.LEFT:
            return pilot
        if pilot.system not in self._listings:
            self._listings[pilot.system] = self._system(pilot.system).listed()
        state = self._listings[pilot.system].get(pilot.job, ABSENT)
        return KnownPilot(
            system=pilot.system,
            job=pilot.job,
            state=pilot.state,
            worker=pilot.worker,
            submitted_at=pilot.submitted_at,
            ends_at=pilot.ends_at,
            batch_state=state,
        )

    def _system(self, name: str) -> BatchSystem:
        if name not in self.systems:
            raise UsageError(f"this version knows no batch system {name!r}; cancel its jobs with its own commands")
        return self.systems[name]


def _seen(worker: Worker, since: datetime) -> KnownPilot | None:
    pilot = worker_pilot(worker)
    if pilot is None:
        return None
    there = PilotState.THERE if is_there(worker, since) else PilotState.SILENT
    state = PilotState.LEFT if pilot.left else there
    return KnownPilot(system=pilot.system, job=pilot.job, state=state, worker=worker, ends_at=pilot.ends_at)


def _earlier(worker: Worker) -> list[str]:
    listed: Any = worker.metadata.get(EARLIER_PILOTS)
    return [str(name) for name in listed] if isinstance(listed, list) else []


def _entry(pilot: KnownPilot) -> SubmittedPilot:
    assert pilot.submitted_at is not None
    return SubmittedPilot(system=pilot.system, job=pilot.job, submitted_at=pilot.submitted_at)


def _chosen(pilots: Sequence[KnownPilot], name: str) -> KnownPilot:
    found = [pilot for pilot in pilots if name in {pilot.id, pilot.job}]
    if len(found) == 1:
        return found[0]
    known = ", ".join(pilot.id for pilot in pilots) or "none"
    what = "several pilots are called" if found else "there is no pilot"
    raise UsageError(f"{what} {name}; known are: {known}")
