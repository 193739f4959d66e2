"""A platform in memory: the same rules as the real server's, no network, and a clock that stands still."""

import threading
from pathlib import Path

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.api.composition.image_formats import session_formats
from xfworker.api.settings.model import Settings
from xfworker.domain.errors import UsageError
from xfworker.domain.job_arguments import JobArguments
from xfworker.ports.job_queue import Lease
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import ADMIN
from xfworker.services.script.session import Session
from xfworker.services.worker.job_executor import EndedJob, JobExecutor, ScriptSource
from xfworker.testing.in_process_runner import InProcessRunner
from xfworker.testing.platform import PlatformUnderTest
from xfworker.testing.recording_files import RecordingFiles
from xfworker.testing.recording_server import RecordingServer

_HOST = "memory"
_PORT = "1"


class MemoryPlatform(PlatformUnderTest):
    """
    A platform in memory.

    Scripts run inside this process and are given their session; a script that runs as a process of its own cannot
    reach it.

    Attributes:
        clock: Stands still until :meth:`~xfworker.adapters.memory.clock.ManualClock.advance` is called; sleeping moves
            it on and takes no time.
        platform: The server before anybody has come in.
    """

    clock: ManualClock

    def __init__(self, folder: Path) -> None:
        """Make an empty platform; ``folder`` exists, takes the files of runs, and is the caller's to remove."""
        super().__init__(folder)
        self.clock = ManualClock()
        self.files = MemoryFileStore()
        self.platform = Platform(MemoryRecordStore(), self.clock, MemoryTokenSigner(self.clock), files=self.files)
        self.server = self.platform.server_for(ADMIN)
        self.queue = self.platform.queue_for(ADMIN)

    def session(self, lease: Lease, directory: Path) -> Session:
        """Give the ports of a script that works on a job which was handed out."""
        arguments = JobArguments(
            job_serial=lease.job.serial, server_host=_HOST, server_port=_PORT, server_auth=lease.server_auth
        )
        return self.session_for(arguments, directory)

    def session_for(self, arguments: JobArguments, temporary_folder: Path) -> Session:
        """Give the ports of a script with these arguments: its own rights, its requests recorded, and the faults."""
        principal = self.platform.authenticate(arguments.server_auth)
        return Session(
            server=RecordingServer(
                server=self.platform.server_for(principal),
                faults=self.faults,
                requests=self.requests,
                clock=self.clock,
                get_ahead=self.get_ahead,
            ),
            files=RecordingFiles(files=self.files, faults=self.faults, requests=self.requests, clock=self.clock),
            filesystem=LocalFilesystem(temporary_folder),
            images=session_formats(Settings()),
            clock=self.clock,
            arguments=arguments,
        )

    def close(self) -> None:
        """Drop all records and files."""
        self.files.close()
        self.platform.close()

    def _run(
        self, lease: Lease, source: ScriptSource, directory: Path, *, in_process: bool | None
    ) -> tuple[EndedJob, Exception | None]:
        if in_process is False:
            raise UsageError(
                "a script that runs as a process of its own cannot reach a platform in this process's memory; use the "
                "xf_server fixture for that"
            )
        if threading.current_thread() is not threading.main_thread():
            raise UsageError("a script runs inside this process only in its main thread")
        runner = InProcessRunner(self.session_for)
        executor = JobExecutor(
            queue=self.queue,
            server=self.server,
            files=self.files,
            runner=runner,
            clock=self.clock,
            source=source,
            server_host=_HOST,
            server_port=_PORT,
        )
        ended = executor.run(lease, directory)
        return ended, runner.last.exception if runner.last is not None else None
