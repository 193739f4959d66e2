"""Which pilots a command means: by their own names, by their workers, by a job, or those that do not answer."""

from collections.abc import Sequence

from attrs import define

from xfworker.domain.conversion import format_time
from xfworker.domain.errors import UsageError
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Worker
from xfworker.domain.resources import PILOT_SINCE, recorded_time
from xfworker.ports.xf_server import XFServer
from xfworker.services.pilots.known_pilot import KnownPilot, PilotState, earlier_pilots


@define(frozen=True, kw_only=True)
class Choice:
    """
    Which pilots are meant; without anything all that are there or wait.

    Attributes:
        ids: By their names, as ``slurm:123`` or ``123``.
        jobs: Those that run these jobs, by the jobs' serials.
        workers: By their workers' names or serials.
        unanswering: All that have not been heard of for minutes.
    """

    ids: Sequence[str] = ()
    jobs: Sequence[int] = ()
    workers: Sequence[str] = ()
    unanswering: bool = False

    def of(self, pilots: Sequence[KnownPilot], server: XFServer) -> list[KnownPilot]:
        """
        Give those that are meant, each once.

        Args:
            pilots: All that are known and have not left.
            server: Where the jobs and the workers are.

        Raises:
            UsageError: One that is named is not there; the message says why.
            RecordNotFound: There is no such job.
        """
        if not (self.ids or self.jobs or self.workers or self.unanswering):
            return [pilot for pilot in pilots if pilot.counts]
        chosen = [_named(pilots, name) for name in self.ids]
        chosen += [_of_job(pilots, server, serial) for serial in self.jobs]
        chosen += [_of_worker(pilots, server, name) for name in self.workers]
        if self.unanswering:
            chosen += [pilot for pilot in pilots if pilot.state is PilotState.SILENT]
        return list({pilot.id: pilot for pilot in chosen}.values())


def ran_on_an_earlier_pilot(job: Job, worker: Worker) -> bool:
    """
    Return whether a job began before its worker's record was taken over by the pilot that has it now.

    Args:
        job: The job.
        worker: The record of its worker.
    """
    since = recorded_time(worker, PILOT_SINCE)
    return since is not None and (job.started_at is None or job.started_at < since)


def _named(pilots: Sequence[KnownPilot], name: str) -> KnownPilot:
    found = [pilot for pilot in pilots if name in {pilot.id, pilot.job}]
    if len(found) == 1:
        return found[0]
    known = ", ".join(pilot.id for pilot in pilots) or "none"
    what = "several pilots are called" if found else "there is no pilot"
    raise UsageError(f"{what} {name}; known are: {known}")


def _of_job(pilots: Sequence[KnownPilot], server: XFServer, serial: int) -> KnownPilot:
    job = server.get(Job, serial)
    if job.worker_serial is None:
        raise UsageError(f"no pilot runs job {serial}: it is {job.state.value}")
    worker = server.get(Worker, job.worker_serial)
    pilot = _of(pilots, worker, f"job {serial} ({job.state.value})")
    if ran_on_an_earlier_pilot(job, worker):
        raise UsageError(
            f"job {serial} ({job.state.value}) began before {pilot.id}, which took over the worker's record: it ran on "
            f"an earlier one ({', '.join(earlier_pilots(worker)[-3:]) or 'not known'}); cancel that one by the batch "
            "system's own command, if it still lists it"
        )
    if job.state is not JobState.RUNNING and pilot.state is not PilotState.SILENT:
        assert worker.last_seen_at is not None  # or it would count as silent
        raise UsageError(
            f"job {serial} is {job.state.value}, and its pilot {pilot.id} was last heard of at "
            f"{format_time(worker.last_seen_at)[:19]}: it counts as one that does not answer after five minutes, and "
            f"may run other jobs; to cancel it all the same: xfworker cluster stop {pilot.id}"
        )
    return pilot


def _of_worker(pilots: Sequence[KnownPilot], server: XFServer, name: str) -> KnownPilot:
    workers = server.find(Worker)
    found = [worker for worker in workers if worker.name == name]
    if not found:
        found = [worker for worker in workers if str(worker.serial) == name]
    if not found:
        raise UsageError(f"there is no worker {name}; `xfworker worker list` shows them")
    return _of(pilots, found[0], "it")


def _of(pilots: Sequence[KnownPilot], worker: Worker, what: str) -> KnownPilot:
    """Give the pilot that a worker is."""
    for pilot in pilots:
        if pilot.worker is not None and pilot.worker.serial == worker.serial:
            return pilot
    raise UsageError(
        f"worker {worker.serial} ({worker.name}) is not a pilot that is there, so no batch job of {what} can be "
        "cancelled: it has left in order, or it was started by hand; then stop its process on its computer"
    )
