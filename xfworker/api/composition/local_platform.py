"""A server of one's own on this computer, with everything that is needed to run jobs on it."""

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import define

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.process.owned_folder import keep_folder, owned_folder, sweep_abandoned
from xfworker.adapters.process.runner import ProcessRunner
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.errors import JobError, ServerUnreachable
from xfworker.domain.records import Job, Worker
from xfworker.services.worker.job_executor import EndedJob, ExecutionEvents, JobExecutor, ScriptSource

# The server is a child of this process: when it does not answer, waiting will not bring it back.
_LIMITS = HttpLimits(connect_seconds=5.0, attempts=2, patience_seconds=10.0)


@define(kw_only=True)
class LocalPlatform:
    """
    A running server and the client side of it, with all rights.

    Attributes:
        server: The records.
        files: The files.
        queue: Hands out jobs.
        filesystem: The local disks.
        runner: Starts scripts.
        transport: The connections to it.
        embedded: The server's process.
        folder: Scratch space that goes when the server goes.
    """

    server: HttpXFServer
    files: HttpFileStore
    queue: HttpJobQueue
    filesystem: LocalFilesystem
    runner: ProcessRunner
    transport: HttpTransport
    embedded: EmbeddedServer
    folder: Path
    _worker_serial: int | None = None

    def keep(self) -> None:
        """Leave the server's data where they are when it ends."""
        keep_folder(self.folder)

    def check_alive(self) -> None:
        """
        Make sure that the server runs.

        Raises:
            ServerUnreachable: Its process ended; the message says how.
        """
        ended = self.embedded.ended()
        if ended is not None:
            raise ServerUnreachable(f"the built-in server is gone: {ended}")

    def run_job(self, job: Job, source: ScriptSource, events: ExecutionEvents) -> EndedJob:
        """
        Run one job to its end.

        Raises:
            ServerUnreachable: The server died meanwhile.
        """
        if self._worker_serial is None:
            name = f"{platform.node()}-{os.getpid()}"
            self._worker_serial = self.queue.register(Worker(name=name, metadata={"local": True})).serial
        lease = self.queue.claim(self._worker_serial, job_serial=job.serial)
        if lease is None:
            raise JobError(f"job {job.serial} is not ready to run")
        executor = JobExecutor(
            queue=self.queue,
            server=self.server,
            files=self.files,
            runner=self.runner,
            clock=SystemClock(),
            source=source,
            server_host=self.embedded.endpoint.host,
            server_port=str(self.embedded.endpoint.port),
            retry_deadline_seconds=0.0,
        )
        directory = Path(tempfile.mkdtemp(prefix=f"job_{job.serial}_", dir=self.folder))
        try:
            ended = executor.run(lease, directory, events)
        finally:
            self.check_alive()
        return ended


@contextmanager
def local_platform(data: Path | None, *, keep: bool = False) -> Iterator[LocalPlatform]:
    """
    Start a server and give all that is needed to run jobs on it; stop it at the end.

    What earlier ones left because they were killed is removed first.

    Args:
        data: Where the server keeps its data; a temporary folder by default, which is removed at the end.
        keep: Leave a temporary folder where it is.
    """
    with ExitStack() as stack:
        sweep_abandoned(LocalFilesystem())
        scratch = stack.enter_context(owned_folder("run", LocalFilesystem(), keep=keep))
        filesystem = LocalFilesystem(scratch)
        embedded = stack.enter_context(EmbeddedServer(data or scratch / "data"))
        transport = HttpTransport(embedded.endpoint.url, token=embedded.endpoint.admin_token, limits=_LIMITS)
        files = HttpFileStore(limits=_LIMITS)
        server = HttpXFServer(transport)
        runner = ProcessRunner()
        stack.callback(transport.close)
        stack.callback(files.close)
        stack.callback(runner.close)
        yield LocalPlatform(
            server=server,
            files=files,
            queue=HttpJobQueue(transport),
            filesystem=filesystem,
            runner=runner,
            transport=transport,
            embedded=embedded,
            folder=scratch,
        )
