"""A job that was handed out to a test instead of a script."""

import sys
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xfworker.domain.job_outcome import ProcessExit
from xfworker.domain.records import Job
from xfworker.ports.job_queue import JobQueue, Lease
from xfworker.ports.xf_server import XFServer
from xfworker.services.script.session import Session
from xfworker.services.worker.outcome import decide_outcome

if TYPE_CHECKING:
    from xfworker.api.facade.worker_job import XFWorkerJob


class StartedJob:
    """
    A running job for a test that works on it by itself, as a script would.

    Attributes:
        serial: The job's serial.
        lease: The right to run it.
        directory: A folder for it.
    """

    def __init__(
        self,
        lease: Lease,
        directory: Path,
        *,
        server: XFServer,
        queue: JobQueue,
        open_session: Callable[[Lease, Path], Session],
    ) -> None:
        """
        Take a job that was handed out.

        Args:
            lease: The right to run it.
            directory: A folder for it.
            server: Shows the job's record.
            queue: Takes the report of its end.
            open_session: Gives the ports of its script.
        """
        self._server = server
        self._queue = queue
        self._open_session = open_session
        self._hooks = sys.excepthook, threading.excepthook
        self.serial = lease.job.serial
        self.lease = lease
        self.directory = directory

    def __repr__(self) -> str:
        return f"<started job {self.serial}>"

    @cached_property
    def session(self) -> Session:
        """The job's ports, with its own rights and with the platform's faults."""
        return self._open_session(self.lease, self.directory)

    @cached_property
    def worker(self) -> "XFWorkerJob":
        """What a script makes by ``xfworkerutil.XFWorkerJob()``."""
        from xfworker.api.facade.worker_job import XFWorkerJob

        return XFWorkerJob(session=self.session)

    @property
    def record(self) -> Job:
        """The job as the server holds it now."""
        return self._server.get(Job, self.serial)

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs as the server holds them now."""
        return self.record.outputs

    def end(self, exit_code: int = 0) -> Job:
        """Report that the job's script ended with an exit code, as its worker would, and give the job as it is then."""
        end = ProcessExit(exit_code=exit_code)
        return self._queue.end(self.lease, decide_outcome(end, self.record))

    def close(self) -> None:
        """Give back Python's hooks for uncaught exceptions, which :attr:`worker` took."""
        sys.excepthook, threading.excepthook = self._hooks
        if "session" in self.__dict__:
            self.session.close()
