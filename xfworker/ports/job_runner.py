"""Running one job's script somewhere."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from attrs import define, field

from xfworker.domain.job_outcome import ProcessExit


@define(frozen=True, kw_only=True)
class ScriptCall:
    """
    One start of a script.

    Attributes:
        command: Program and arguments, such as ``(sys.executable, "-u", "/path/segment.py")``.
        environment: The whole environment of the process, ``XF_*`` included; secrets are in it, so it is never shown.
        working_directory: Where the process starts.
        log_path: The file that gets stdout and stderr as they come.
        time_limit_seconds: After so long the script is ended.
        memory_limit_bytes: The most memory that it may take.
        cores: The processor cores that it declares; a runner that can keeps it to them.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    working_directory: Path
    log_path: Path
    time_limit_seconds: float | None = None
    memory_limit_bytes: int | None = None
    cores: int | None = None


class RunningScript(Protocol):
    """A script that was started."""

    def wait(self, timeout_seconds: float | None = None) -> ProcessExit | None:
        """Wait for the end; give ``None`` where it has not come within the time."""
        ...

    def abort(self) -> None:
        """Ask the whole process group to stop, and after a grace time end it. The exit then says ``aborted``."""
        ...

    def pass_signal(self, number: int) -> None:
        """Pass a signal on to the script, as if it had been sent to it."""
        ...


class JobRunner(Protocol):
    """Starts scripts."""

    def start(self, call: ScriptCall, on_output: Callable[[bytes], None] | None = None) -> RunningScript:
        """
        Start a script in a process group of its own.

        Args:
            call: What to start.
            on_output: Called from another thread with what the script writes, after it is in the log file.

        Raises:
            JobError: It could not be started; the message says why.
        """
        ...
