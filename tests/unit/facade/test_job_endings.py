"""How a script's work ends: finished, with an error, handed over, or by an exception that nobody caught."""

import sys
import threading

import pytest

from xfworker.api.facade.worker_job import XFWorkerJob
from xfworker.domain.change import Change
from xfworker.domain.errors import (
    FileError,
    InvalidParameter,
    JobAborted,
    RecordConflict,
    RecordNotFound,
    ServerUnreachable,
    UsageError,
)
from xfworker.domain.records import Job, Task
from xfworker.domain.script_exit import ScriptExit

GOOD = {"volume": 1.5, "label": "a"}


@pytest.fixture
def files_job(script_platform):
    """The session of a job whose outputs may be anything."""
    return script_platform.start(script_platform.new_job(script_platform.new_task()))


def uncaught(error):
    """Raise the error as a script would and let Python's hook have it."""
    try:
        raise error
    except type(error):
        sys.excepthook(*sys.exc_info())


def test_finish_stores_outputs_and_state_and_removes_the_working_directory(script_platform, worker):
    (worker.working_dir.path / "x.raw").write_bytes(b"1")
    worker.finish({"volume": 1.5, "label": None}, units={"volume": "mm3"})
    kept = script_platform.job(worker.job["serial"])
    assert kept.state == "Done"
    assert kept.outputs == {"volume": 1.5, "label": None}
    assert kept.metadata["output_units"] == {"volume": "mm3"}
    assert not worker.working_dir.path.exists()
    assert worker.job["state"] == "Done"


def test_finish_saves_edits_that_wait(script_platform, worker):
    worker.job["name"] = "left femur"
    worker.clear_error_message(save=False)
    worker.finish(GOOD)
    assert script_platform.job(worker.job["serial"]).name == "left femur"


def test_finish_refuses_files_that_were_not_uploaded_and_says_where_they_lie(script_platform, files_job):
    worker = XFWorkerJob(session=files_job)
    (worker.working_dir.path / "sub").mkdir()
    path = worker.working_dir.path / "sub" / "table.csv"
    path.write_text("a\n1\n")
    bitmap = worker.create_output_bitmap("never.png")
    outputs = {"table": worker.create_output_csv("table.csv"), "deep": worker.create_output_snapshot(bitmap)}
    with pytest.raises(InvalidParameter) as refused:
        worker.finish(outputs)
    assert [text.partition(":")[0] for text in refused.value.faults] == ["outputs.table", "outputs.deep"]
    assert f"lies at {path}: call upload_output_file" in str(refused.value)
    assert "never.png was not uploaded; write it" in str(refused.value)
    assert script_platform.job(worker.job["serial"]).state == "Running"
    assert path.exists()
    worker.upload_output_file(path)
    worker.finish({"table": outputs["table"]})
    assert script_platform.job(worker.job["serial"]).state == "Done"


def test_files_of_other_jobs_and_of_user_data_are_not_asked_for(script_platform, files_job):
    worker = XFWorkerJob(session=files_job)
    other = {"type": "CSV", "source": "job_result", "job_serial": 999, "filename": "a.csv"}
    userdata = {"type": "ForeignFile", "source": "userdata", "virtualpath": "a/b.csv", "filename": "b.csv"}
    worker.finish({"other": other, "userdata": userdata})
    assert script_platform.job(worker.job["serial"]).state == "Done"


def test_finish_is_one_change(script_platform, session):
    seen = []
    inner = session.server

    class Watching:
        def __getattr__(self, name):
            return getattr(inner, name)

        def update(self, kind, serial, change):
            seen.append(change)
            return inner.update(kind, serial, change)

    session.server = Watching()
    XFWorkerJob(session=session).finish(GOOD)
    assert len(seen) == 1
    assert seen[0].values["/state"] == "Done"
    assert seen[0].values["/outputs"] == GOOD
    assert seen[0].expected_version is not None


def test_finish_applies_itself_again_when_others_changed_the_job(script_platform, worker):
    script_platform.edit_metadata(worker.job["serial"], remark="theirs")
    worker.finish(GOOD)
    kept = script_platform.job(worker.job["serial"])
    assert kept.state == "Done"
    assert kept.metadata["remark"] == "theirs"


def test_outputs_of_an_earlier_attempt_do_not_stay(script_platform):
    job = script_platform.new_job()
    script_platform.edit_job(job.serial, outputs={"old": 1})
    worker = XFWorkerJob(session=script_platform.start(job))
    worker.finish(GOOD)
    assert script_platform.job(job.serial).outputs == GOOD


def test_finish_lists_all_faults_at_once_and_keeps_everything(script_platform, worker):
    with pytest.raises(InvalidParameter) as caught:
        worker.finish({"volume": -1, "nonsense": 2})
    text = str(caught.value)
    assert "volume" in text
    assert "below the minimum" in text
    assert "nonsense" in text
    assert "label" in text
    assert script_platform.job(worker.job["serial"]).state == "Running"
    assert worker.working_dir.path.exists()
    worker.finish(GOOD)
    assert script_platform.job(worker.job["serial"]).state == "Done"


def test_finish_refuses_what_is_no_json_with_its_path(script_platform, worker):
    with pytest.raises(InvalidParameter, match=r"outputs\.volume: NaN is not a JSON number"):
        worker.finish({"volume": float("nan"), "label": "a"})
    assert worker.working_dir.path.exists()


@pytest.mark.parametrize("outputs", [None, [1], "x", 3])
def test_finish_takes_a_dict(worker, outputs):
    with pytest.raises(UsageError, match="finish takes a dict"):
        worker.finish(outputs)


def test_finish_twice_is_a_mistake(worker):
    worker.finish(GOOD)
    with pytest.raises(UsageError, match="finished already"):
        worker.finish(GOOD)


def test_the_working_directory_stays_when_the_server_cannot_be_reached(session):
    inner = session.server

    class Away:
        def __getattr__(self, name):
            return getattr(inner, name)

        def update(self, kind, serial, change):
            raise ServerUnreachable("gone")

    session.server = Away()
    worker = XFWorkerJob(session=session)
    with pytest.raises(ServerUnreachable):
        worker.finish(GOOD)
    assert worker.working_dir.path.exists()


def test_a_lost_answer_to_finish_is_no_failure(session, script_platform):
    inner = session.server
    answers = []

    class Losing:
        def __getattr__(self, name):
            return getattr(inner, name)

        def update(self, kind, serial, change):
            answers.append(1)
            done = script_platform.admin.update(kind, serial, change)
            if len(answers) == 1:
                raise ServerUnreachable("the answer was lost")
            return done

    session.server = Losing()
    worker = XFWorkerJob(session=session)
    worker.finish(GOOD)
    assert script_platform.job(worker.job["serial"]).state == "Done"


def test_conflicts_without_end_are_raised(session, script_platform):
    inner = session.server

    class Busy:
        def __getattr__(self, name):
            return getattr(inner, name)

        def update(self, kind, serial, change):
            if change.expected_version is not None:
                script_platform.edit_metadata(serial, count=str(change.expected_version))
            return inner.update(kind, serial, change)

    session.server = Busy()
    worker = XFWorkerJob(session=session)
    worker.job["name"] = "mine"
    with pytest.raises(RecordConflict, match="in a row"):
        worker.save_job()
    assert max(script_platform.clock.slept) <= 0.5


def test_a_job_that_was_aborted_takes_nothing_more(script_platform, worker):
    script_platform.edit_metadata(worker.job["serial"], abort_requested={"by": "me"})
    with pytest.raises(JobAborted):
        worker.finish(GOOD)
    assert worker.working_dir.path.exists()


def test_error_saves_the_message_and_exits_with_its_own_code(script_platform, worker, capsys):
    with pytest.raises(SystemExit) as end:
        worker.error("no bone in the image")
    assert end.value.code == ScriptExit.ERROR_REPORTED
    kept = script_platform.job(worker.job["serial"])
    assert kept.metadata["error_message"] == "no bone in the image"
    assert kept.state == "Running"
    assert worker.working_dir.path.exists()
    assert "no bone in the image" in capsys.readouterr().err


def test_error_exits_even_when_the_message_cannot_be_saved(session, capsys):
    inner = session.server

    class Away:
        def __getattr__(self, name):
            return getattr(inner, name)

        def update(self, kind, serial, change):
            raise ServerUnreachable("gone")

    session.server = Away()
    with pytest.raises(SystemExit) as end:
        XFWorkerJob(session=session).error("x")
    assert end.value.code == ScriptExit.ERROR_REPORTED
    assert "could not be saved" in capsys.readouterr().err


def test_error_does_not_save_edits_that_were_never_meant_to_be(script_platform, worker):
    worker.job["state"] = "nonsense"
    with pytest.raises(SystemExit):
        worker.error("x")
    assert script_platform.job(worker.job["serial"]).metadata["error_message"] == "x"


def test_error_messages_hold_no_token_and_no_broken_text(script_platform, session):
    worker = XFWorkerJob(session=session)
    with pytest.raises(SystemExit):
        worker.error(f"bad \ud800 \0 {session.arguments.server_auth} {'x' * 100_000}")
    message = script_platform.job(worker.job["serial"]).metadata["error_message"]
    assert session.arguments.server_auth not in message
    assert len(message) < 5000


def test_an_uncaught_exception_becomes_the_error_message(script_platform, worker, capsys):
    uncaught(ValueError("the mask is empty"))
    message = script_platform.job(worker.job["serial"]).metadata["error_message"]
    assert message.startswith("ValueError: the mask is empty (test_job_endings.py, line ")
    assert "Traceback" in capsys.readouterr().err


def test_an_error_of_ours_shows_the_scripts_frames_only(script_platform, session, capsys):
    sys.excepthook = sys.__excepthook__
    worker = XFWorkerJob(session=session)
    try:
        worker.download_input_file({"source": "nowhere", "filename": "a"})
    except FileError:
        sys.excepthook(*sys.exc_info())
    shown = capsys.readouterr().err
    assert "worker.download_input_file" in shown
    assert "reference_resource" not in shown
    assert "FileError: a file reference needs a source" in shown
    assert "FileError" in script_platform.job(worker.job["serial"]).metadata["error_message"]


def test_an_exception_without_a_readable_message_is_named(script_platform, worker, capsys):
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError

    sys.excepthook(Broken, Broken(), None)
    assert "Broken" in script_platform.job(worker.job["serial"]).metadata["error_message"]


def test_ctrl_c_is_reported_as_an_interruption(script_platform, worker, capsys):
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert "interrupted" in script_platform.job(worker.job["serial"]).metadata["error_message"]


def test_an_exception_in_a_thread_is_reported(script_platform, session):
    def work():
        raise OSError("disk")

    shown = []
    threading.excepthook = shown.append
    worker = XFWorkerJob(session=session)
    thread = threading.Thread(target=work, name="counting")
    thread.start()
    thread.join()
    assert [str(args.exc_value) for args in shown] == ["disk"]
    assert "in thread counting: OSError: disk" in script_platform.job(worker.job["serial"]).metadata["error_message"]


def test_the_hooks_are_as_they_were_after_the_end(session):
    before = sys.excepthook, threading.excepthook
    worker = XFWorkerJob(session=session)
    assert sys.excepthook != before[0]
    assert threading.excepthook != before[1]
    worker.finish(GOOD)
    assert (sys.excepthook, threading.excepthook) == before


def test_a_second_job_in_one_process_takes_the_hook_over(script_platform, worker):
    other = XFWorkerJob(session=script_platform.start())
    uncaught(ValueError("second"))
    assert "error_message" in script_platform.job(other.job["serial"]).metadata
    assert "error_message" not in script_platform.job(worker.job["serial"]).metadata


def test_a_job_that_is_not_there_is_an_error_and_leaves_no_directory(session, tmp_path):
    session.arguments = type(session.arguments)(
        job_serial=999, server_host="h", server_port="1", server_auth=session.arguments.server_auth
    )
    with pytest.raises(RecordNotFound):
        XFWorkerJob(session=session)
    assert list((tmp_path / "xftemp").iterdir()) == []


def test_switching_to_interactive_mode_hands_job_and_task_over(script_platform, worker):
    with pytest.raises(SystemExit) as end:
        worker.switch_to_interactive_mode("please draw the contours")
    assert end.value.code == ScriptExit.HANDED_OVER
    kept = script_platform.job(worker.job["serial"])
    assert kept.state == "ReadyForInteractive"
    assert kept.metadata["error_message"] == "please draw the contours"
    assert script_platform.admin.get(Task, kept.task_serial).initial_state == "ReadyForInteractive"


def test_switching_to_interactive_mode_survives_others_changing_the_workflow(script_platform, worker, session):
    inner = session.server
    met = []

    class Racing:
        def __getattr__(self, name):
            return getattr(inner, name)

        def update(self, kind, serial, change):
            if kind is Task and not met:
                met.append(script_platform.admin.update(Task, serial, Change(values={"/name": "theirs"})))
            if kind is Job and len(met) == 1:
                met.append(script_platform.edit_metadata(serial, remark="theirs"))
            return inner.update(kind, serial, change)

    session.server = Racing()
    with pytest.raises(SystemExit):
        worker.switch_to_interactive_mode()
    task = script_platform.admin.get(Task, script_platform.task.serial)
    assert (task.name, task.initial_state) == ("theirs", "ReadyForInteractive")
    kept = script_platform.job(worker.job["serial"])
    assert (kept.state, kept.metadata["remark"]) == ("ReadyForInteractive", "theirs")


def test_hooking_exceptions_again_takes_them_back_and_shows_them_as_the_other_hook_did(script_platform, worker):
    shown = []
    sys.excepthook = lambda *found: shown.append(found[0])
    worker.hook_exceptions()
    uncaught(ValueError("after"))
    assert shown == [ValueError]
    assert "ValueError: after" in script_platform.job(worker.job["serial"]).metadata["error_message"]


def test_a_hook_that_passes_on_to_the_one_before_it_is_no_circle(script_platform, worker, capsys):
    before = sys.excepthook

    def passing_on(*found):
        before(*found)

    sys.excepthook = passing_on
    worker.hook_exceptions()
    uncaught(ValueError("once"))
    assert capsys.readouterr().err.count("ValueError: once") == 1


def test_hooking_again_takes_the_exceptions_of_threads_back(script_platform, worker):
    shown = []
    threading.excepthook = shown.append
    worker.hook_exceptions()
    thread = threading.Thread(target=int, args=("x",), name="reader")
    thread.start()
    thread.join()
    assert len(shown) == 1
    assert "in thread reader: ValueError" in script_platform.job(worker.job["serial"]).metadata["error_message"]


def test_units_of_outputs_that_are_not_given_are_refused(script_platform, worker):
    with pytest.raises(UsageError, match=r"units are given of 'volumne'; the outputs are 'volume', 'label'"):
        worker.finish(GOOD, units={"volumne": "mm3"})
    assert script_platform.job(worker.job["serial"]).state == "Running"
    worker.finish(GOOD, units={"volume": "mm3"})


def test_units_that_were_set_before_of_outputs_that_are_not_given_are_refused(worker):
    worker.set_output_units({"volumne": "mm3"})
    with pytest.raises(UsageError, match=r"units are given of 'volumne'; the outputs are 'volume', 'label'"):
        worker.finish(GOOD)
    worker.set_output_units({"volume": "mm3"})
    worker.finish(GOOD)


def test_a_mistyped_field_is_refused_by_finish(worker):
    worker.job["outputz"] = {"a": 1}
    with pytest.raises(UsageError, match="has no field 'outputz'"):
        worker.finish(GOOD)
