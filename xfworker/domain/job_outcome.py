"""How a job's script ended, as its runner saw it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import define


class Ending(StrEnum):
    """The ways in which a script can end."""

    FINISHED = "finished"
    """It called ``finish`` and the server has the outputs."""
    ERROR_REPORTED = "error_reported"
    """It called ``error``."""
    CRASHED = "crashed"
    """It ended by an uncaught exception, or with an exit code that is not 0."""
    KILLED = "killed"
    """A signal ended it (or, on Windows, somebody terminated it)."""
    OUT_OF_MEMORY = "out_of_memory"
    """The system or its memory limit ended it because memory ran out."""
    TIMED_OUT = "timed_out"
    """It took longer than its time limit."""
    ABORTED = "aborted"
    """A person aborted the job."""
    NO_FINISH = "no_finish"
    """It ended with exit code 0 without calling ``finish``."""
    NOT_STARTED = "not_started"
    """It could not be started at all."""
    HANDED_OVER = "handed_over"
    """It handed the job over to a person."""
    PREEMPTED = "preempted"
    """Its worker stopped in an orderly way, or its machine was taken, and it gave the job back; it runs again."""
    HANDED_BACK = "handed_back"
    """The same, as older workers say it."""
    SERVER_LOST = "server_lost"
    """The server could not be reached any more."""

    @property
    def gives_back(self) -> bool:
        """Whether the job is ready again, and the attempt not counted."""
        return self in {Ending.PREEMPTED, Ending.HANDED_BACK}


@define(frozen=True, kw_only=True)
class ProcessExit:
    """
    What the operating system reports of an ended script.

    Attributes:
        exit_code: The exit code, or ``None`` where a signal ended it.
        signal: The signal's name, such as ``SIGKILL``, or ``None``.
        out_of_memory: Whether the system counted an out-of-memory kill.
        timed_out: Whether the runner ended it for taking too long.
        aborted: Whether the runner ended it because the job was aborted.
        peak_memory_bytes: The largest resident memory seen, or ``None`` where unknown.
    """

    exit_code: int | None = None
    signal: str | None = None
    out_of_memory: bool = False
    timed_out: bool = False
    aborted: bool = False
    peak_memory_bytes: int | None = None


@define(frozen=True, kw_only=True)
class Outcome:
    """
    How a job's script ended, and the sentence that people read about it.

    Attributes:
        ending: Which of the ways it was.
        message: A sentence; empty for a finished script.
        exit_code: The exit code, or ``None`` where there was none.
        signal: The signal's name, or ``None``.
    """

    ending: Ending
    message: str = ""
    exit_code: int | None = None
    signal: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the outcome as it is kept in the job's metadata under ``outcome``."""
        return {
            "ending": self.ending.value,
            "message": self.message,
            "exit_code": self.exit_code,
            "signal": self.signal,
        }


def reported_error(metadata: Mapping[str, Any]) -> str:
    """Give the error message that the script itself saved on the job, or an empty string."""
    message = metadata.get("error_message")
    return message if isinstance(message, str) else ""
