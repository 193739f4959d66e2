import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from xfworker.domain.errors import UsageError
from xfworker.domain.job_outcome import Ending
from xfworker.domain.job_state import JobState
from xfworker.testing import TaskFailed

HEAD = "import xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\ninputs = worker.job['inputs']\n"


@pytest.fixture
def script(tmp_path):
    def write(body, name="task.py", head=HEAD):
        path = tmp_path / "scripts" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(head + dedent(body), encoding="utf-8")
        return path

    return write


def test_a_script_finishes_with_numbers_tables_and_images(run_task, script):
    path = script(
        """
        import numpy as np
        import omni

        image = worker.get_omni_image(inputs["image"])
        mask = np.asarray(image.pixels) > inputs["threshold"]
        segments = image.derive_segments(
            worker.create_related_path(image.metadata_path, "_seg.omni"),
            worker.create_related_path(image.metadata_path, "_seg.raw"),
        )
        segments.pixels = mask.astype(np.uint8)
        segments.save()
        table = worker.create_temp_path("table.csv")
        table.write_text("name;BV/TV\\nfemur;0.25\\n")
        worker.upload_output_file(table)
        print("over the threshold:", mask.sum())
        worker.finish(
            {
                "segments": worker.upload_omni_output(segments),
                "table": worker.create_output_csv(table.name),
                "bvtv": float(mask.mean()),
            },
            units={"bvtv": "1"},
        )
        """
    )
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    result = run_task(path, image=array, threshold=44)
    assert result.state is JobState.DONE
    assert result.outputs["bvtv"] == 0.25
    np.testing.assert_array_equal(result.outputs["segments"].image().pixels, array > 44)
    result.outputs["segments"].assert_same_as(array > 44)
    assert result.outputs["table"].rows() == [["name", "BV/TV"], ["femur", "0.25"]]
    assert "over the threshold: 15" in result.log
    assert sorted(result.files) == ["image_seg.omni", "image_seg.raw", "table.csv"]
    assert result.files["image_seg.raw"].stat().st_size == 60
    assert [request.target for request in result.operations("update")][-1] == f"job {result.job.serial}"


def test_messages_to_the_activity_log_are_at_hand(run_task, script):
    path = script(
        """
        with worker.server_connection() as connection:
            xfworkerutil.create_activity_log_event(connection, "half way")
        worker.finish({})
        """
    )
    assert run_task(path).messages == ["half way"]


def test_a_crash_raises_with_the_traceback_of_the_script(run_task, script):
    path = script(
        """
        def threshold(value):
            return 1 / value

        threshold(0)
        """
    )
    with pytest.raises(
        TaskFailed, match=r"crashed: ZeroDivisionError: division by zero \(task\.py, line 6\)"
    ) as caught:
        run_task(path)
    frames = traceback.extract_tb(caught.value.__cause__.__traceback__)
    assert [(frame.filename, frame.name) for frame in frames] == [(str(path), "<module>"), (str(path), "threshold")]
    assert "return 1 / value" in str(caught.value)
    assert caught.value.result.error_message.startswith("ZeroDivisionError")


def test_an_error_that_the_script_reports_raises_with_its_message(run_task, script):
    with pytest.raises(TaskFailed, match="reported an error: the scan is empty") as caught:
        run_task(script("worker.error('the scan is empty')"))
    assert (caught.value.result.state, caught.value.__cause__) == (JobState.FAILED, None)


@pytest.mark.parametrize(
    ("body", "ending"),
    [
        ("", Ending.NO_FINISH),
        ("import sys; sys.exit('stopped')", Ending.CRASHED),
        ("raise SystemExit(0)", Ending.NO_FINISH),
        ("raise SystemExit(7)", Ending.CRASHED),
        ("worker.switch_to_interactive_mode('please look')", Ending.HANDED_OVER),
        ("worker.finish({}); raise SystemExit(1)", Ending.FINISHED),
        ("this is no Python", Ending.CRASHED),
    ],
)
def test_every_way_to_end_is_told_apart(run_task, script, body, ending):
    result = run_task(script(body), check=False)
    assert result.outcome.ending is ending
    assert "stopped" in result.log or "stopped" not in body


def test_a_script_sees_its_own_surroundings_and_leaves_ours_as_they_were(run_task, script, monkeypatch):
    monkeypatch.setenv("LAB", "bone")
    path = script(
        """
        import json, os, signal, sys, threading

        seen = {
            "name": __name__,
            "file": __file__,
            "arguments": list(sys.argv),
            "folder": os.getcwd(),
            "first": sys.path[0],
            "serial": os.environ["XF_JOB_SERIAL"],
            "lab": os.environ["LAB"],
            "main": sys.modules["__main__"].__dict__.get("seen") is None,
        }
        os.environ["LAB"] = "changed"
        os.environ["NEW"] = "1"
        os.chdir("/")
        sys.path.insert(0, "/nowhere")
        sys.argv.append("more")
        sys.excepthook = threading.excepthook = print
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        worker.finish({"seen": json.dumps(seen)})
        """
    )

    def surroundings():
        return (
            dict(os.environ),
            Path.cwd(),
            list(sys.path),
            list(sys.argv),
            sys.excepthook,
            threading.excepthook,
            signal.getsignal(signal.SIGTERM),
            sys.modules["__main__"],
            sys.stdout,
        )

    before = surroundings()
    result = run_task(path)
    assert surroundings() == before
    seen = json.loads(result.outputs["seen"])
    assert (seen["name"], seen["file"], seen["arguments"]) == ("__main__", str(path), [str(path)])
    assert (seen["first"], seen["folder"], seen["lab"]) == (str(path.parent), str(result.directory), "bone")
    assert seen["serial"] == str(result.job.serial)


def test_two_runs_do_not_see_each_other(run_task, script):
    script("count = 0\n", "counting.py", head="")
    path = script(
        """
        import counting

        counting.count += 1
        known = "leftover" in globals()
        leftover = True
        worker.finish({"count": counting.count, "known": known})
        """
    )
    assert [run_task(path).outputs for _ in range(2)] == [{"count": 1, "known": False}] * 2
    assert "counting" not in sys.modules


def test_modules_beside_scripts_may_have_the_same_names(run_task, tmp_path):
    for name in ("left", "right"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "settings.py").write_text(f"NAME = {name!r}\n")
        (folder / "main.py").write_text(f"{HEAD}import settings\nworker.finish({{'name': settings.NAME}})\n")
    assert run_task(tmp_path / "left" / "main.py").outputs["name"] == "left"
    assert run_task(tmp_path / "right" / "main.py").outputs["name"] == "right"


def test_a_module_of_the_tests_is_neither_seen_by_the_script_nor_lost(run_task, script, tmp_path, monkeypatch):
    (tmp_path / "counting.py").write_text("NAME = 'of the tests'\n")
    monkeypatch.syspath_prepend(tmp_path)
    import counting

    monkeypatch.setitem(sys.modules, "counting", counting)
    script("NAME = 'of the script'\n", "counting.py", head="")
    result = run_task(script("import counting; worker.finish({'name': counting.NAME})"))
    assert result.outputs["name"] == "of the script"
    assert sys.modules["counting"] is counting


def test_the_scripts_own_threads_see_its_session_and_are_waited_for(run_task, script):
    path = script(
        """
        import threading

        def work():
            other = xfworkerutil.XFWorkerJob()
            started.wait()
            other.finish({"serial": other.job["serial"]})

        started = threading.Event()
        threading.Thread(target=work).start()
        started.set()
        """
    )
    result = run_task(path)
    assert result.outputs == {"serial": result.job.serial}


def test_warnings_of_a_script_do_not_end_it(run_task, script):
    result = run_task(script("import warnings; warnings.warn('old'); worker.finish({})"))
    assert "UserWarning: old" in result.log


def test_events_go_to_the_log_of_the_job_and_no_further(run_task, script, monkeypatch, capsys):
    import structlog

    monkeypatch.setenv("XFWORKER_LOGGING_LEVEL", "info")
    path = script(
        """
        path = worker.create_temp_path("a.txt")
        path.write_text("a")
        worker.upload_output_file(path)
        worker.finish({})
        """
    )
    before = structlog.is_configured(), structlog.get_config()
    result = run_task(path)
    assert f'"job_serial": {result.job.serial}, ' in result.log
    assert "xfworker.upload_finished" in result.log
    assert (structlog.is_configured(), structlog.get_config()) == before
    monkeypatch.setenv("XFWORKER_LOGGING_LEVEL", "error")
    assert run_task(path).log == ""


def test_modules_that_scripts_import_by_bare_name_are_theirs_only(run_task, script):
    run_task(script("import omni, network, xfsortorder; worker.finish({})"))
    assert not {"omni", "network", "xfsortorder"} & set(sys.modules)


def test_faults_reach_the_script_and_what_it_makes_of_them_is_seen(run_task, script, xf_platform):
    path = script(
        """
        path = worker.create_temp_path("a.txt")
        path.write_text("a")
        for attempt in range(5):
            try:
                worker.upload_output_file(path)
                break
            except xfworkerutil.XFWorkerError if hasattr(xfworkerutil, "XFWorkerError") else Exception:
                print("attempt", attempt, "failed")
        worker.finish({"attempts": attempt + 1})
        """
    )
    xf_platform.fail_next("upload", times=2)
    result = run_task(path)
    assert result.outputs["attempts"] == 3
    assert [request.error for request in result.operations("upload")] == ["TransferInterrupted"] * 2 + [""]


def test_an_edit_that_somebody_else_makes_in_between_is_not_lost(run_task, script, xf_platform):
    xf_platform.conflict_next(times=3)
    result = run_task(script("worker.finish({'answer': 42})"))
    assert result.outputs["answer"] == 42
    assert result.job.metadata["changed_by_somebody_else"] == 3


def test_a_package_is_run_with_its_interface(run_task, tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    metadata = {"package_format": "XFP-TT1.0", "name": "Lab.Double", "version": "1.0.0.0"}
    interface = {
        "inputs": [{"key": "value", "type": "Int", "supported_modes": ["fixed", "ui"], "default": 4}],
        "outputs": [{"key": "double", "type": "Int"}],
    }
    (folder / "metadata.json").write_text(json.dumps(metadata))
    (folder / "interface.json").write_text(json.dumps(interface))
    (folder / "main.py").write_text(f"{HEAD}worker.finish({{'double': 2 * inputs['value']}})\n")
    assert run_task(folder).outputs == {"double": 8}
    assert run_task(folder, value=21).outputs == {"double": 42}
    with pytest.raises(UsageError, match="value"):
        run_task(folder, value="many")


def test_inputs_may_have_the_names_of_options(run_task, script):
    result = run_task(script("worker.finish({'check': inputs['check']})"), {"check": 3})
    assert result.outputs == {"check": 3}


def test_what_is_no_task_is_refused(run_task, tmp_path):
    with pytest.raises(UsageError, match="there is no"):
        run_task(tmp_path / "missing.py")


def test_a_platform_in_memory_cannot_run_other_processes(xf_platform, script):
    with pytest.raises(UsageError, match="xf_server"):
        xf_platform.run_task(script("worker.finish({})"), in_process=False)
