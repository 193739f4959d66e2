"""What came of running a task, and the error that says why nothing came of it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.domain.errors import JobError
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job
from xfworker.testing.job_outputs import Fetch, wrap_outputs
from xfworker.testing.requests import Request

_LOG_LINES = 40

HEADLINES: Mapping[Ending, str] = {
    Ending.ERROR_REPORTED: "reported an error",
    Ending.CRASHED: "crashed",
    Ending.NO_FINISH: "ended without calling finish()",
    Ending.HANDED_OVER: "handed the job over to a person",
    Ending.NOT_STARTED: "could not be started",
}


@define(frozen=True, kw_only=True, slots=False)
class TaskResult:
    """
    A task that was run.

    Attributes:
        job: The job as the server holds it.
        outcome: How the script ended.
        log: What the script wrote to stdout and stderr.
        events: What the activity log holds of the job, the script's own messages and the server's entries.
        requests: What the script asked of the server and of the file store, in order.
        exception: What the script raised, where it ran in this process.
        directory: The folder in which the script ran; ``temp`` in it is where working directories are made.
        file_names: The names of the files that the job stored.
    """

    job: Job
    outcome: Outcome
    log: str
    events: tuple[ActivityEvent, ...] = ()
    requests: tuple[Request, ...] = ()
    exception: Exception | None = None
    directory: Path
    file_names: tuple[str, ...] = ()
    _fetch: Fetch = field(repr=False)
    _stored: Callable[[str], Path] = field(repr=False)

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """
        The outputs by key.

        Numbers, strings and bools are what they are; composites are dicts with methods that open their files:
        ``outputs["segments"].image()``, ``outputs["table"].rows()``.
        """
        return wrap_outputs(self.job.outputs, self._fetch)

    @cached_property
    def files(self) -> dict[str, Path]:
        """Every file that the job stored, by name, as local paths; named by an output or not."""
        return {name: self._stored(name) for name in self.file_names}

    @property
    def state(self) -> JobState:
        """The job's state."""
        return self.job.state

    @property
    def error_message(self) -> str:
        """What people read about the failure; empty where there was none."""
        message = self.job.metadata.get("error_message")
        return message if isinstance(message, str) else ""

    @property
    def messages(self) -> list[str]:
        """The titles of the messages that the script wrote to the activity log."""
        return [event.title for event in self.events if event.type == "Message"]

    def operations(self, *names: str) -> list[Request]:
        """Give the requests of some operations, such as ``operations("upload")``."""
        return [request for request in self.requests if request.operation in names]


class TaskFailed(JobError):
    """
    A task that a test ran did not end well.

    Its cause is the script's own exception, with the script's own traceback, where it ran in this process.

    Attributes:
        result: What came of it all the same.
    """

    def __init__(self, result: TaskResult) -> None:
        """Say what happened, with the end of the log."""
        self.result = result
        how = HEADLINES.get(result.outcome.ending, result.outcome.ending.value.replace("_", " "))
        message = f"job {result.job.serial} ({result.job.name}) {how}"
        if result.outcome.message and result.outcome.message not in message:
            message += f": {result.outcome.message}"
        end = "\n".join(result.log.splitlines()[-_LOG_LINES:])
        super().__init__(f"{message}\n--- end of the log ---\n{end}" if end else message)
