import os
import socket

import numpy as np
import pytest

from xfworker.domain.errors import NotEnoughSpace
from xfworker.domain.job_outcome import Ending
from xfworker.domain.job_state import JobState
from xfworker.testing import TaskFailed

HEAD = "import xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\ninputs = worker.job['inputs']\n"
ECHO = f"""{HEAD}
path = worker.create_temp_path("echo.bin")
path.write_bytes(worker.download_input_file(inputs["file"]).read_bytes()[::-1])
worker.upload_output_file(path)
worker.finish({{"file": worker.create_output_foreign_file(path.name)}})
"""
CONTENT = os.urandom(300_000)


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "task.py"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def blob(tmp_path):
    path = tmp_path / "input.bin"
    path.write_bytes(CONTENT)
    return path


def test_a_script_runs_as_a_process_of_its_own_over_http(run_task, script):
    path = script(f"{HEAD}import os\nworker.finish({{'pid': os.getpid(), 'sum': sum(inputs['numbers'])}})")
    result = run_task(path, numbers=[1, 2, 3], subprocess=True)
    assert result.state is JobState.DONE
    assert result.outputs["sum"] == 6
    assert result.outputs["pid"] != os.getpid()
    assert [request.operation for request in result.requests] == ["get", "update"]


def test_a_crash_shows_the_traceback_in_the_log(run_task, script):
    with pytest.raises(TaskFailed, match=r"(?s)ValueError: no bone.*Traceback.*line 4") as caught:
        run_task(script(f"{HEAD}raise ValueError('no bone')"), subprocess=True)
    assert caught.value.result.outcome.ending is Ending.CRASHED


def test_files_travel_and_are_noted(run_task, script, blob):
    result = run_task(script(ECHO), file=blob, subprocess=True)
    assert result.outputs["file"].bytes() == CONTENT[::-1]
    (download,) = result.operations("download")
    assert (download.bytes, download.target.endswith("/input.bin")) == (len(CONTENT), True)
    assert sum(request.bytes for request in result.operations("upload")) == len(CONTENT)


def test_connections_that_break_in_the_middle_are_survived(run_task, script, blob, xf_server):
    xf_server.fail_next("download")
    xf_server.fail_next("upload")
    xf_server.fail_next("get")
    result = run_task(script(ECHO), file=blob, subprocess=True)
    assert result.outputs["file"].bytes() == CONTENT[::-1]
    for operation, error in (("download", "cut off"), ("upload", "cut off"), ("get", "503")):
        assert result.operations(operation)[0].error == error
        assert result.operations(operation)[-1].error == ""


def test_a_refusal_reaches_the_script_as_the_error_that_was_asked_for(xf_server, tmp_path):
    job = xf_server.make_job()
    path = tmp_path / "a.bin"
    path.write_bytes(b"a")
    xf_server.fail_next("upload", error=NotEnoughSpace("the store is full"))
    with pytest.raises(NotEnoughSpace, match="the store is full"):
        job.worker.upload_output_file(path)
    job.worker.upload_output_file(path)
    job.close()


def test_lost_races_are_won_in_the_end(run_task, script, xf_server):
    xf_server.conflict_next(times=2)
    result = run_task(script(f"{HEAD}worker.finish({{'answer': 42}})"), subprocess=True)
    assert result.job.metadata["changed_by_somebody_else"] == 2
    assert [request.error for request in result.operations("update")] == ["409", "409", ""]


def test_the_same_script_gives_the_same_in_memory_and_over_http(run_task, script):
    path = script(
        f"""{HEAD}
import numpy as np
image = worker.get_omni_image(inputs["image"])
worker.finish({{"mean": float(np.mean(image.pixels)), "spacing": list(image.spacing_mm)}})
"""
    )
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    results = [run_task(path, image=array, subprocess=subprocess) for subprocess in (False, True)]
    assert results[0].outputs == results[1].outputs == {"mean": 11.5, "spacing": [1.0, 1.0, 1.0]}
    operations = [[r.operation for r in result.requests if r.operation != "stat"] for result in results]
    assert sorted(operations[0]) == sorted(operations[1])


def test_the_proxy_listens_on_loopback_only(xf_server):
    with socket.create_connection((xf_server.host, xf_server.port)):
        assert xf_server.host == "127.0.0.1"
