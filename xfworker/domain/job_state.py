"""The states of a job and which follows which."""

from enum import StrEnum

from xfworker.domain.errors import IllegalTransition


class JobState(StrEnum):
    """Where a job stands. ``Done`` and ``ReadyForInteractive`` are attested; the others are this project's."""

    WAITING = "Waiting"
    READY = "Ready"
    READY_FOR_INTERACTIVE = "ReadyForInteractive"
    RUNNING = "Running"
    DONE = "Done"
    FAILED = "Failed"
    ABORTED = "Aborted"

    @property
    def is_final(self) -> bool:
        """Whether the job's work has ended, well or badly."""
        return self in _FINAL


_FINAL = frozenset({JobState.DONE, JobState.FAILED, JobState.ABORTED})

# Running -> Ready is a lost lease: the worker died and the job is handed out again.
# Final -> Waiting/Ready is a restart. ReadyForInteractive -> Done is a person finishing by hand.
_ALLOWED: dict[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset({JobState.READY, JobState.READY_FOR_INTERACTIVE, JobState.ABORTED, JobState.FAILED}),
    JobState.READY: frozenset({JobState.RUNNING, JobState.WAITING, JobState.ABORTED, JobState.FAILED}),
    JobState.READY_FOR_INTERACTIVE: frozenset(
        {JobState.RUNNING, JobState.WAITING, JobState.DONE, JobState.ABORTED, JobState.FAILED}
    ),
    JobState.RUNNING: frozenset(
        {JobState.DONE, JobState.FAILED, JobState.ABORTED, JobState.READY, JobState.READY_FOR_INTERACTIVE}
    ),
    JobState.DONE: frozenset({JobState.WAITING, JobState.READY, JobState.READY_FOR_INTERACTIVE}),
    JobState.FAILED: frozenset({JobState.WAITING, JobState.READY, JobState.READY_FOR_INTERACTIVE}),
    JobState.ABORTED: frozenset({JobState.WAITING, JobState.READY, JobState.READY_FOR_INTERACTIVE}),
}


def allowed_next(state: JobState) -> frozenset[JobState]:
    """Give the states that may follow ``state``."""
    return _ALLOWED[state]


def check_transition(job_serial: int, before: JobState, after: JobState) -> None:
    """
    Refuse a change of state that the table does not allow; staying in a state is always allowed.

    Raises:
        IllegalTransition: Naming the job, both states, and the states that would be allowed.
    """
    if before == after or after in _ALLOWED[before]:
        return
    options = ", ".join(sorted(_ALLOWED[before]))
    raise IllegalTransition(
        f"job {job_serial} cannot go from {before} to {after}; from {before} it can go to: {options}"
    )
