"""How a script's work on its job ends: finished, handed over, or with an error message."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from xfworker.domain.change import Change, pointer
from xfworker.domain.errors import ServerError, UsageError
from xfworker.domain.job import Job
from xfworker.domain.job_state import JobState
from xfworker.domain.json_value import clean_string
from xfworker.services.retry_policy import RetryPolicy
from xfworker.services.script.saving import save_intent
from xfworker.services.script.session import Session

ERROR_MESSAGE = "error_message"
"""The key of a job's metadata that holds what people read about its failure."""
OUTPUT_UNITS = "output_units"
"""The key of a job's metadata that holds the unit of each output."""

_RETRY = RetryPolicy(on=(ServerError,), attempts=5, first_wait_seconds=1.0, longest_wait_seconds=8.0)
"""Hours of work hang on one request, so a server that is briefly away is waited for."""


def finish_job(session: Session, edits: Change, outputs: Mapping[str, Any], *, expected_version: int) -> Job:
    """
    Store the outputs and the state ``Done`` in one compare-and-set, with the script's unsaved edits.

    Raises:
        InvalidParameter: The outputs do not fit the task type's interface.
        LeaseLost: The attempt at the job is over.
        RecordConflict: Others changed the job every time that this was tried.
    """
    own = {"/outputs", "/state"}
    intent = evolve(
        edits,
        values={text: value for text, value in edits.values.items() if not _is_output(text) and text not in own}
        | {"/outputs": dict(outputs), "/state": JobState.DONE.value},
        removals=tuple(text for text in edits.removals if not _is_output(text) and text not in own),
        expected_version=expected_version,
    )
    return _save_end(session, intent)


def _save_end(session: Session, intent: Change) -> Job:
    serial = session.arguments.job_serial
    return _RETRY.with_retries(
        lambda: save_intent(session.server, session.clock, Job, serial, intent), session.clock, f"end job {serial}"
    )


def save_error_message(session: Session, message: str, *, also: Mapping[str, Any] | None = None) -> Job:
    """
    Save the error message of the job, whatever its lock version is by now.

    Args:
        session: Whose job it is.
        message: What people read.
        also: Other metadata that waits to be saved.
    """
    values = {pointer("metadata", key): value for key, value in (also or {}).items()}
    values[pointer("metadata", ERROR_MESSAGE)] = clean_string(message)
    return session.server.update(Job, session.arguments.job_serial, Change(values=values))


def hand_over(session: Session, job: Job, edits: Change, *, error_message: str | None) -> Job:
    """
    Leave the job to a person: the task's jobs begin as interactive from now on, and this one waits for its user.

    Raises:
        RecordConflict: Others changed the task or the job every time that this was tried.
    """
    from xfworker.domain.records import Task, Workflow  # few scripts hand over; the import would slow every start

    workflow = session.server.get(Workflow, job.workflow_serial)

    def version_of(_: Task) -> int:
        return session.server.get(Workflow, job.workflow_serial).occ_lock_version

    save_intent(
        session.server,
        session.clock,
        Task,
        job.task_serial,
        Change(
            values={"/initial_state": JobState.READY_FOR_INTERACTIVE.value},
            expected_version=workflow.occ_lock_version,
        ),
        version_of=version_of,
    )
    message = {} if error_message is None else {pointer("metadata", ERROR_MESSAGE): clean_string(error_message)}
    intent = evolve(
        edits,
        values={**edits.values, **message, "/state": JobState.READY_FOR_INTERACTIVE.value},
        expected_version=job.occ_lock_version,
    )
    return _save_end(session, intent)


def units_of(units: Mapping[str, str]) -> dict[str, str]:
    """
    Give the units of outputs, by output key.

    Raises:
        UsageError: It is not a mapping of strings to strings.
    """
    if not isinstance(units, Mapping) or not all(isinstance(text, str) for pair in units.items() for text in pair):
        raise UsageError(f"units are strings by output key, such as {{'volume': 'mm3'}}, not {units!r:.200}")
    return dict(units)


def check_units(units: Mapping[str, str], outputs: Mapping[str, Any]) -> None:
    """
    Refuse units of outputs that are not given with them.

    Raises:
        UsageError: It is not a mapping of strings to strings, or names an output that is not there.
    """
    absent = sorted(key for key in units_of(units) if key not in outputs)
    if absent:
        there = ", ".join(map(repr, outputs)) or "none"
        raise UsageError(f"finish: units are given of {', '.join(map(repr, absent))}; the outputs are {there}")


def _is_output(text: str) -> bool:
    return text.startswith("/outputs/")
