import pytest

from xfworker.domain.job_outcome import Ending, Outcome, ProcessExit
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.services.worker.outcome import (
    aborted_before_start,
    decide_outcome,
    not_started,
    preempted,
    server_lost,
)


def job(state=JobState.RUNNING, **metadata):
    return Job(serial=17, task_serial=1, workflow_serial=1, project_serial=1, state=state, metadata=metadata)


@pytest.mark.parametrize(
    ("end", "state", "ending"),
    [
        (ProcessExit(exit_code=0), JobState.DONE, Ending.FINISHED),
        (ProcessExit(exit_code=1), JobState.DONE, Ending.FINISHED),
        (ProcessExit(signal="SIGKILL"), JobState.DONE, Ending.FINISHED),
        (ProcessExit(exit_code=83), JobState.READY_FOR_INTERACTIVE, Ending.HANDED_OVER),
        (ProcessExit(exit_code=0), JobState.ABORTED, Ending.ABORTED),
        (ProcessExit(exit_code=0), JobState.RUNNING, Ending.NO_FINISH),
        (ProcessExit(exit_code=1), JobState.RUNNING, Ending.CRASHED),
        (ProcessExit(exit_code=83), JobState.RUNNING, Ending.CRASHED),
        (ProcessExit(exit_code=81), JobState.RUNNING, Ending.ERROR_REPORTED),
        (ProcessExit(exit_code=0xC0000017), JobState.RUNNING, Ending.OUT_OF_MEMORY),
        (ProcessExit(exit_code=0xC0000017 - (1 << 32)), JobState.RUNNING, Ending.OUT_OF_MEMORY),
        (ProcessExit(signal="SIGKILL"), JobState.RUNNING, Ending.KILLED),
        (ProcessExit(signal="SIGKILL", out_of_memory=True), JobState.RUNNING, Ending.OUT_OF_MEMORY),
        (ProcessExit(signal="SIGTERM", timed_out=True), JobState.RUNNING, Ending.TIMED_OUT),
        (ProcessExit(signal="SIGTERM", aborted=True), JobState.RUNNING, Ending.ABORTED),
        (ProcessExit(exit_code=81, aborted=True), JobState.RUNNING, Ending.ABORTED),
    ],
)
def test_every_way_of_ending_has_its_name(end, state, ending):
    assert decide_outcome(end, job(state)).ending is ending


def test_what_the_script_reported_is_the_message_of_a_reported_error():
    outcome = decide_outcome(ProcessExit(exit_code=81), job(error_message="no bone in this image"))
    assert outcome.message == "no bone in this image"


def test_what_the_exception_hook_saved_is_the_message_of_a_crash():
    outcome = decide_outcome(ProcessExit(exit_code=1), job(error_message="ValueError: bad"))
    assert outcome.message == "ValueError: bad"


def test_a_crash_without_a_word_names_its_exit_code():
    assert "exit code 5" in decide_outcome(ProcessExit(exit_code=5), job()).message


def test_a_crash_without_a_report_tells_the_last_words():
    outcome = decide_outcome(ProcessExit(exit_code=1), job(), last_words="ModuleNotFoundError: No module named 'x'")
    assert "ModuleNotFoundError: No module named 'x'" in outcome.message


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (-1073741819, "0xC0000005 (access violation)"),
        (0xC00000FD, "0xC00000FD (stack overflow)"),
        (0xC000013A, "0xC000013A (interrupted by Ctrl-C)"),
        (0xC0000374, "0xC0000374 (heap corruption)"),
        (0xC0000409, "0xC0000409 (stack buffer overrun)"),
        (0xC0000000, "0xC0000000"),
        (0xBFFFFFFF, "3221225471"),
    ],
)
def test_a_windows_fault_is_named(code, said):
    message = decide_outcome(ProcessExit(exit_code=code), job()).message
    assert message == f"the script crashed with exit code {said} and said nothing"


def test_what_is_said_of_scripts_that_ended_without_finish_and_of_jobs_that_did_not_run_to_their_end():
    ended = "the script ended without calling finish(), so there are no outputs"
    assert decide_outcome(ProcessExit(exit_code=0), job()).message == ended
    reported = decide_outcome(ProcessExit(exit_code=0), job(error_message="no bone"))
    assert reported.message == f"{ended}; it had reported: no bone"
    assert decide_outcome(ProcessExit(exit_code=0), job(JobState.DONE)).message == ""
    memory = decide_outcome(ProcessExit(signal="SIGKILL", out_of_memory=True), job())
    assert memory.message == "the script was ended because memory ran out"
    lost = "the server was lost while the script ran: connection refused"
    assert server_lost(None, "connection refused") == Outcome(ending=Ending.SERVER_LOST, message=lost)
    assert server_lost(ProcessExit(exit_code=3, signal="SIGTERM"), "connection refused") == Outcome(
        ending=Ending.SERVER_LOST, message=lost, exit_code=3, signal="SIGTERM"
    )
    assert not_started("no Python") == Outcome(ending=Ending.NOT_STARTED, message="no Python")
    assert preempted("it stops") == Outcome(ending=Ending.PREEMPTED, message="it stops; the job runs again")
    assert aborted_before_start() == Outcome(
        ending=Ending.ABORTED, message="the job was aborted before its script was started"
    )


def test_a_killed_script_names_the_signal():
    outcome = decide_outcome(ProcessExit(signal="SIGSEGV"), job())
    assert "SIGSEGV" in outcome.message
    assert outcome.to_json()["signal"] == "SIGSEGV"


def test_out_of_memory_tells_how_much_was_used():
    outcome = decide_outcome(ProcessExit(signal="SIGKILL", out_of_memory=True, peak_memory_bytes=3 << 30), job())
    assert "3,072 MiB" in outcome.message


@pytest.mark.parametrize("ending", [end for end in Ending if end not in {Ending.FINISHED, Ending.HANDED_OVER}])
def test_every_failure_has_a_headline(ending):
    from xfworker.api.cli.job_display import HEADLINES

    assert HEADLINES[ending]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SIGINT", "ended by SIGINT, as Ctrl-C sends it"),
        ("SIGTERM", "a person or the system sent"),
        ("SIGBUS", "mostly because the disk is full"),
        ("SIGSEGV", "the stack is at the end of the log"),
        ("SIGUSR1", "which came from outside"),
        ("SIGILL", "an error in native code"),
        ("SIGFPE", "an error in native code"),
        ("SIGABRT", "an error in native code"),
        ("SIGXFSZ", "ulimit -f"),
        ("SIGXCPU", "ulimit -t"),
        ("SIGPIPE", "it wrote into a pipe"),
        ("SIGHUP", "as a terminal sends it"),
        ("SIGKILL", "or Linux when memory ran out"),
    ],
)
def test_a_signal_is_explained_by_what_sends_it(name, said):
    assert said in decide_outcome(ProcessExit(signal=name), job()).message
