"""The batch jobs of pilots that do not react to the abort of a job."""

from collections.abc import Sequence

from attrs import define, field

from xfworker.domain.records import Job, Worker
from xfworker.domain.resources import worker_pilot
from xfworker.services.pilots.choice import Choice, ran_on_an_earlier_pilot
from xfworker.services.pilots.known_pilot import KnownPilot
from xfworker.services.pilots.pilots import Pilots

_ANSWER_SECONDS = 60.0
"""Within which a pilot is heard of again: several heartbeats, or a restart of the server between two of them."""
_POLL_SECONDS = 2.0


@define(kw_only=True)
class AbortedJobs:
    """
    Jobs that are aborted, with the pilots that ran them.

    A pilot that is heard of ends the script itself, and other jobs of it go on. One that is not holds its machine until
    its time is over, also when the lease has ended and the job counts as aborted.

    Attributes:
        pilots: The pilots of the server.
    """

    pilots: Pilots
    _before: dict[int | None, Worker] = field(factory=dict, init=False)

    def add(self, job: Job) -> None:
        """
        Keep the pilot that runs a job, before the job is aborted: afterwards its record may not lead to it any more.

        Args:
            job: The job, as it is.
        """
        if job.worker_serial is None or job.state.is_final:
            return
        worker = self.pilots.server.get(Worker, job.worker_serial)
        if worker_pilot(worker) is not None and not ran_on_an_earlier_pilot(job, worker):
            self._before[worker.serial] = worker

    def cancel_unanswering(self) -> Sequence[KnownPilot]:
        """
        Wait until each pilot was heard of again, and cancel the batch jobs of those that are not within a minute.

        Returns:
            Those that were not heard of; as :meth:`Pilots.stop` gives them.

        Raises:
            UsageError: This version does not know the batch system.
            BatchSystemError: The batch system refused.
        """
        deadline = self.pilots.clock.monotonic() + _ANSWER_SECONDS
        while (silent := self._silent()) and self.pilots.clock.monotonic() < deadline:
            self.pilots.clock.sleep(_POLL_SECONDS)
        if not silent:
            return []
        return self.pilots.stop(Choice(workers=[str(worker.serial) for worker in silent]), ask=True)

    def _silent(self) -> list[Worker]:
        """List the pilots that were not heard of since, as workers."""
        now = [(before, self.pilots.server.get(Worker, before.serial)) for before in self._before.values()]
        # A record that another pilot took over, and a pilot that has left, were heard of.
        return [worker for before, worker in now if worker.last_seen_at == before.last_seen_at and not _left(worker)]


def _left(worker: Worker) -> bool:
    pilot = worker_pilot(worker)
    return pilot is None or pilot.left
