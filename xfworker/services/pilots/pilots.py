"""
Submits pilots, lists them and stops them.

What is known of pilots is in the workers' records. A pilot that was submitted and has not been seen there yet waits in
the batch system's queue; which those are is kept where it was submitted.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from attrs import define, evolve, field

from xfworker.domain.errors import UsageError
from xfworker.domain.job_metadata import ABORT_REQUESTED
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Worker
from xfworker.ports.batch_system import BatchSystem, SubmittedPilot, SubmittedPilots
from xfworker.ports.clock import Clock
from xfworker.ports.xf_server import XFServer
from xfworker.services.pilots.choice import Choice
from xfworker.services.pilots.known_pilot import ABSENT, KnownPilot, PilotState, earlier_pilots, seen_pilot

_SILENT_SECONDS = 300.0


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
        seen = [pilot for worker in workers if (pilot := seen_pilot(worker, since)) is not None]
        ids = {pilot.id for pilot in seen} | {name for worker in workers for name in earlier_pilots(worker)}
        waiting = [
            KnownPilot(system=one.system, job=one.job, state=PilotState.SUBMITTED, submitted_at=one.submitted_at)
            for one in self.submitted.read()
            if f"{one.system}:{one.job}" not in ids
        ]
        pilots = [*seen, *waiting]
        return [self._asked(pilot) for pilot in pilots] if ask else pilots

    def scale(
        self, system: BatchSystem, count: int, text: str, *, ask: bool, report: Callable[[str], None]
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

    def stop(self, choice: Choice, *, ask: bool) -> list[KnownPilot]:
        """
        Cancel pilots; each that still runs hands its jobs back and leaves.

        Args:
            choice: Which.
            ask: Whether the batch system is asked first which of them it still lists. Most of those that do not answer
                have ended long ago, and a cancelled id that is not there any more is an error for some.

        Returns:
            Those that were meant; one that the batch system did not list has ``batch_state`` :data:`ABSENT` and was
            left alone.

        Raises:
            UsageError: There is no such pilot.
            BatchSystemError: The batch system refused.
        """
        with self.submitted.held():
            pilots = choice.of([one for one in self.known() if one.state is not PilotState.LEFT], self.server)
            chosen = [self._asked(pilot) for pilot in pilots] if ask else pilots
            cancelled = [pilot for pilot in chosen if pilot.batch_state != ABSENT]
            for name in dict.fromkeys(pilot.system for pilot in cancelled):
                jobs = [pilot.job for pilot in cancelled if pilot.system == name]
                self._system(name).cancel(jobs)
                gone = {f"{name}:{job}" for job in jobs}
                kept = [one for one in self.submitted.read() if f"{one.system}:{one.job}" not in gone]
                self.submitted.write(kept)
            return chosen

    def handed_back(self, jobs: Sequence[int]) -> list[int]:
        """List those of some jobs that will run again, because nobody aborted them."""
        found = [self.server.get(Job, serial) for serial in jobs]
        going_on = (JobState.RUNNING, JobState.READY)
        return [job.serial for job in found if job.state in going_on and ABORT_REQUESTED not in job.metadata]

    def _asked(self, pilot: KnownPilot) -> KnownPilot:
        if pilot.state is PilotState.LEFT:
            return pilot
        if pilot.system not in self._listings:
            self._listings[pilot.system] = self._system(pilot.system).listed()
        state = self._listings[pilot.system].get(pilot.job, ABSENT)
        return evolve(pilot, batch_state=state)

    def _system(self, name: str) -> BatchSystem:
        if name not in self.systems:
            raise UsageError(f"this version knows no batch system {name!r}; cancel its jobs with its own commands")
        return self.systems[name]


def _entry(pilot: KnownPilot) -> SubmittedPilot:
    assert pilot.submitted_at is not None
    return SubmittedPilot(system=pilot.system, job=pilot.job, submitted_at=pilot.submitted_at)
