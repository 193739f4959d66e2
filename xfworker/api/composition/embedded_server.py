"""The built-in server as a child process, for commands and tests that need one of their own."""

import contextlib
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.process.owned_folder import owned_folder
from xfworker.adapters.transfer.partial_file import for_owner
from xfworker.api.composition.endpoint_file import ServerEndpoint, read_endpoint
from xfworker.domain.errors import ConfigurationError, ServerUnreachable

_STEP_SECONDS = 0.02
_SHOWN_LINES = 5


class EmbeddedServer:
    """
    A context manager around ``xfworker serve``, listening on a free loopback port.

    The server ends when this process does, however it ends: it holds the other end of a pipe that the system closes.

    Attributes:
        data: The server's data folder.
    """

    def __init__(
        self,
        data: Path,
        *,
        database: str | None = None,
        files: str | None = None,
        durable: bool = False,
        sns: Path | None = None,
        outputs_must_fit: bool = True,
        files_elsewhere: bool = False,
        processes: int = 1,
        start_seconds: float = 60.0,
        stop_seconds: float = 15.0,
    ) -> None:
        """
        Prepare; nothing is started yet.

        Args:
            data: The server's data folder; made where it is not there.
            database: Address of the database; SQLite in the data folder by default.
            files: Folder of the files, or ``s3://bucket/prefix``; ``files`` in the data folder by default.
            durable: Whether what was answered outlives a power cut.
            sns: Folder of ISQ files to serve as a catalogue of measurements.
            outputs_must_fit: Whether outputs that do not fit the task type's interface are refused.
            files_elsewhere: Whether scripts keep files in a store that this server does not serve.
            processes: How many processes serve; more than one need a PostgreSQL database.
            start_seconds: How long the server may take until it answers.
            stop_seconds: How long it may take to stop before it is killed.
        """
        self.data = Path(data).absolute()
        self._log_path = self.data / "server.log"
        self._command = [sys.executable, "-m", "xfworker", "serve", "--data", str(self.data), "--port", "0"]
        self._command += ["--end-with-input", "--durable" if durable else "--no-durable"]
        if database is not None:
            self._command += ["--database", database]
        if files is not None:
            self._command += ["--files", files]
        if sns is not None:
            self._command += ["--sns", str(sns)]
        if not outputs_must_fit:
            self._command += ["--no-outputs-must-fit"]
        if files_elsewhere:
            self._command += ["--files-elsewhere"]
        if processes != 1:
            self._command += ["--processes", str(processes)]
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._endpoint: ServerEndpoint | None = None

    def __repr__(self) -> str:
        return f"EmbeddedServer({str(self.data)!r})"

    @property
    def endpoint(self) -> ServerEndpoint:
        """
        Where the server is, and the token that may do everything.

        Raises:
            ServerUnreachable: It was not started.
        """
        if self._endpoint is None:
            raise ServerUnreachable("the built-in server was not started")
        return self._endpoint

    @property
    def host(self) -> str:
        """The host to connect to."""
        return self.endpoint.host

    @property
    def port(self) -> int:
        """The port to connect to."""
        return self.endpoint.port

    @property
    def url(self) -> str:
        """The server's address."""
        return self.endpoint.url

    @property
    def admin_token(self) -> str:
        """The token that may do everything."""
        return self.endpoint.admin_token

    @property
    def pid(self) -> int:
        """The server's process, as the server itself reports it."""
        return self.endpoint.pid

    def start(self) -> Self:
        """
        Start the server and wait until it answers.

        Raises:
            ServerUnreachable: It ended at once, or took too long.
            ConfigurationError: The data folder cannot be made or written to.
        """
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            log = open(self._log_path, "ab", opener=for_owner)  # noqa: SIM115  the server writes to it while it runs
        except OSError as error:
            raise ConfigurationError(
                f"the data folder {self.data} cannot be made or written to: {error.strerror or error}; choose another"
            ) from None
        with log, owned_folder("serve", LocalFilesystem()) as folder:
            announce = folder / "server.json"
            # Ctrl-C in a terminal goes to the whole process group; the server must outlive it, so that the end of
            # the job is kept.
            self._process = subprocess.Popen(  # noqa: S603  our own command line
                [*self._command, "--announce", str(announce)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=sys.platform != "win32",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
            try:
                self._endpoint = self._announced(announce)
            except BaseException:
                self.stop()
                raise
        return self

    __enter__ = start

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    def ended(self) -> str | None:
        """Say how the server ended, or ``None`` while it runs."""
        if self._process is None:
            return "it was not started"
        code = self._process.poll()
        if code is None:
            return None
        how = f"it was killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"
        last = " / ".join(self._last_lines())
        return f"{how}; the end of {self._log_path}: {last}" if last else how

    def stop(self) -> None:
        """Stop the server and wait for its end; stopping twice is not an error."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            process.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End the server without warning, as a crash would; for tests of what survives it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _announced(self, path: Path) -> ServerEndpoint:
        deadline = time.monotonic() + self._start_seconds
        while time.monotonic() < deadline:
            endpoint = read_endpoint(path)
            if endpoint is not None:
                return endpoint
            ended = self.ended()
            if ended is not None:
                raise ServerUnreachable(f"the built-in server did not start: {ended}")
            time.sleep(_STEP_SECONDS)
        raise ServerUnreachable(f"the built-in server did not answer within {self._start_seconds:g} s")

    def _last_lines(self) -> list[str]:
        try:
            with self._log_path.open("r", encoding="utf-8", errors="replace") as log:
                return [line.strip() for line in deque(log, _SHOWN_LINES)]
        except OSError:
            return []
