"""Decides how a job ended, from what the operating system reports and what the server holds."""

from xfworker.domain.job_outcome import Ending, Outcome, ProcessExit, reported_error
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.domain.script_exit import ScriptExit

_WINDOWS_ERRORS = {
    0xC0000005: "access violation",
    0xC00000FD: "stack overflow",
    0xC000013A: "interrupted by Ctrl-C",
    0xC0000374: "heap corruption",
    0xC0000409: "stack buffer overrun",
}
_IN_NATIVE_CODE = "an error in native code, of a library or in how it was called; the stack is at the end of the log"
_FATAL_ERRORS = {
    "SIGSEGV": _IN_NATIVE_CODE,
    "SIGILL": _IN_NATIVE_CODE,
    "SIGFPE": _IN_NATIVE_CODE,
    "SIGABRT": _IN_NATIVE_CODE,
    "SIGBUS": (
        "a part of a file that is mapped into memory could not be read or written, mostly because the disk is full or "
        "the file was cut short or its disk went away; the stack is at the end of the log"
    ),
    "SIGXFSZ": "it wrote more than the system lets a file hold (ulimit -f)",
    "SIGXCPU": "it took more computing time than the system allows (ulimit -t)",
    "SIGPIPE": "it wrote into a pipe that nobody reads",
}
_SENDERS = {
    "SIGINT": "as Ctrl-C sends it",
    "SIGHUP": "as a terminal sends it that is closed",
    "SIGTERM": "which a person or the system sent: at a shutdown, or a batch system at the end of its time",
    "SIGKILL": "which a person or the system sent: a batch system, or Linux when memory ran out",
}
_WINDOWS_NO_MEMORY = 0xC0000017
_FIRST_WINDOWS_ERROR = 0xC0000000
_MEBIBYTE = 1024 * 1024
_MISUSED = f"the script ended with exit code {int(ScriptExit.HANDED_OVER)}, but the job was not handed over to a person"


def decide_outcome(end: ProcessExit, job: Job, *, last_words: str = "") -> Outcome:
    """
    Decide how a job ended.

    What the server holds comes first: outputs that are stored are stored, however the process ended afterwards. Then
    comes what the runner did itself, then what the operating system did, then what the script said by its exit code.

    Args:
        end: How the process ended.
        job: The job as the server holds it after that.
        last_words: The last line of the script's log, for crashes that nothing was reported of.
    """
    reported = reported_error(job.metadata)
    ending, message = _stored(job) or _enforced(end) or _by_signal(end) or _by_exit_code(end, reported, last_words)
    return Outcome(ending=ending, message=message, exit_code=end.exit_code, signal=end.signal)


def server_lost(end: ProcessExit | None, reason: str) -> Outcome:
    """
    Describe the end of a job whose server went away, so that nobody knows what is stored.

    Args:
        end: How the process ended, if it was started.
        reason: Why it is lost.
    """
    return Outcome(
        ending=Ending.SERVER_LOST,
        message=f"the server was lost while the script ran: {reason}",
        exit_code=None if end is None else end.exit_code,
        signal=None if end is None else end.signal,
    )


def not_started(reason: str) -> Outcome:
    """Describe a script that could not be started at all."""
    return Outcome(ending=Ending.NOT_STARTED, message=reason)


def preempted(reason: str) -> Outcome:
    """
    Describe a job whose worker gives it back, so that it runs again.

    Args:
        reason: Why.
    """
    return Outcome(ending=Ending.PREEMPTED, message=f"{reason}; the job runs again")


def aborted_before_start() -> Outcome:
    """Describe a job that was aborted while its script was being made ready."""
    return Outcome(ending=Ending.ABORTED, message="the job was aborted before its script was started")


def _stored(job: Job) -> tuple[Ending, str] | None:
    if job.state == JobState.DONE:
        return Ending.FINISHED, ""
    if job.state == JobState.READY_FOR_INTERACTIVE:
        return Ending.HANDED_OVER, reported_error(job.metadata)
    return (Ending.ABORTED, "the job was aborted") if job.state == JobState.ABORTED else None


def _enforced(end: ProcessExit) -> tuple[Ending, str] | None:
    if end.aborted:
        return Ending.ABORTED, "the job was aborted"
    if end.timed_out:
        return Ending.TIMED_OUT, "the script took longer than its time limit and was ended"
    if end.out_of_memory or _unsigned(end.exit_code or 0) == _WINDOWS_NO_MEMORY:
        return Ending.OUT_OF_MEMORY, f"the script was ended because memory ran out{_peak(end)}"
    return None


def _by_signal(end: ProcessExit) -> tuple[Ending, str] | None:
    if end.signal is None:
        return None
    if end.signal in _FATAL_ERRORS:
        return Ending.KILLED, f"the script crashed with {end.signal}: {_FATAL_ERRORS[end.signal]}"
    return Ending.KILLED, f"the script was ended by {end.signal}, {_SENDERS.get(end.signal, 'which came from outside')}"


def _by_exit_code(end: ProcessExit, reported: str, last_words: str) -> tuple[Ending, str]:
    code = end.exit_code or 0
    if code == ScriptExit.ERROR_REPORTED:
        return Ending.ERROR_REPORTED, reported or "the script reported an error without a message"
    if code == 0:
        return Ending.NO_FINISH, (
            "the script ended without calling finish(), so there are no outputs"
            + (f"; it had reported: {reported}" if reported else "")
        )
    if code == ScriptExit.HANDED_OVER:
        return Ending.CRASHED, _MISUSED
    if reported:
        return Ending.CRASHED, reported
    said = f"; its last words: {last_words}" if last_words else " and said nothing"
    return Ending.CRASHED, f"the script crashed with exit code {_formatted(code)}{said}"


def _peak(end: ProcessExit) -> str:
    if not end.peak_memory_bytes:
        return ""
    return f" (its largest process held {end.peak_memory_bytes / _MEBIBYTE:,.0f} MiB)"


def _unsigned(code: int) -> int:
    return code & 0xFFFFFFFF


def _formatted(code: int) -> str:
    unsigned = _unsigned(code)
    if unsigned < _FIRST_WINDOWS_ERROR:
        return str(code)
    name = _WINDOWS_ERRORS.get(unsigned)
    return f"0x{unsigned:08X}" + (f" ({name})" if name else "")
