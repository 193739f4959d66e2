"""A real server on a loopback port, with a proxy before it that tests can break."""

import contextlib
from pathlib import Path

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.api.composition.local_platform import LocalPlatform, local_platform
from xfworker.api.composition.session import session
from xfworker.domain.job_arguments import JobArguments
from xfworker.ports.job_queue import Lease
from xfworker.services.script.session import Session
from xfworker.services.worker.job_executor import EndedJob, JobExecutor, ScriptSource
from xfworker.testing.fault_proxy import FaultProxy, Upstream
from xfworker.testing.in_process_runner import InProcessRunner
from xfworker.testing.platform import PlatformUnderTest


class ServedPlatform(PlatformUnderTest):
    """
    A server as a process of its own, over real HTTP.

    Scripts run as processes of their own, as under a worker; ``in_process=True`` runs them here instead, over HTTP all
    the same. Faults happen on the wire, and each HTTP request counts as one operation: where the client tries again by
    itself, ask for more failures than it makes attempts to see an error.

    Attributes:
        host: The host that is passed to scripts.
        port: The port that is passed to scripts.
    """

    def __init__(self, folder: Path) -> None:
        """Start the server; ``folder`` exists, takes its data, and is the caller's to remove."""
        super().__init__(folder)
        self._stack = contextlib.ExitStack()
        local: LocalPlatform = self._stack.enter_context(local_platform(folder / "data"))
        self._local = local
        self.clock = SystemClock()
        self.server = local.server
        self.files = local.files
        self.queue = local.queue
        proxy = FaultProxy(
            Upstream(
                host=local.embedded.host,
                port=local.embedded.port,
                faults=self.faults,
                requests=self.requests,
                clock=self.clock,
                get_ahead=self.get_ahead,
            )
        )
        self._stack.callback(proxy.close)
        self.host, self.port = proxy.host, proxy.port

    @property
    def url(self) -> str:
        """The server's address, through the proxy."""
        return f"http://{self.host}:{self.port}"

    @property
    def admin_token(self) -> str:
        """The token that may do everything."""
        return self._local.embedded.admin_token

    def session(self, lease: Lease, directory: Path) -> Session:
        """Give the ports of a script that works on a job which was handed out."""
        arguments = JobArguments(
            job_serial=lease.job.serial,
            server_host=self.host,
            server_port=str(self.port),
            server_auth=lease.server_auth,
        )
        return self._session_for(arguments, directory)

    def _session_for(self, arguments: JobArguments, temporary_folder: Path) -> Session:
        return session(arguments=arguments, filesystem=LocalFilesystem(temporary_folder))

    def close(self) -> None:
        """Stop the server."""
        self._stack.close()

    def _run(
        self, lease: Lease, source: ScriptSource, directory: Path, *, in_process: bool | None
    ) -> tuple[EndedJob, Exception | None]:
        here = InProcessRunner(self._session_for) if in_process else None
        executor = JobExecutor(
            queue=self.queue,
            server=self.server,
            files=self.files,
            runner=here or self._local.runner,
            clock=self.clock,
            source=source,
            server_host=self.host,
            server_port=str(self.port),
            retry_deadline_seconds=0.0,
        )
        ended = executor.run(lease, directory)
        return ended, None if here is None or here.last is None else here.last.exception
