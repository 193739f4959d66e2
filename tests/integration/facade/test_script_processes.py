"""Scripts as processes: how they start, how they crash, what they cost, and what happens when many save at once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from tests.contract.suites.facade_project import ScriptProject, http_place
from tests.free_ports import free_port
from tests.integration.facade.faulty_wire import FaultyWire
from xfworker.api.composition.module_folders import SHIM_FOLDER as SHIMS
from xfworker.domain.job_state import JobState

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with http_place(tmp_path_factory.mktemp("processes"), database="memory:") as made:
        yield made


@pytest.fixture
def script_project(place, tmp_path):
    return ScriptProject.make(place, tmp_path)


@pytest.fixture
def job(script_project):
    return script_project.new_job()


@pytest.fixture
def arguments(script_project, job):
    return script_project.arguments(job)


def start(script_project, arguments, script, **more):
    path = script
    if not isinstance(script, Path):
        path = script_project.folder / "script.py"
        path.write_text(script)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XF")}
    environment |= {"XFTEMP": str(script_project.folder), "PYTHONPATH": os.pathsep.join([str(SHIMS), str(ROOT)])}
    if arguments is not None:
        environment |= arguments.to_environment()
    return subprocess.Popen(
        [sys.executable, str(path)],
        env=environment | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=script_project.folder,
    )


def run(script_project, arguments, script, **more):
    process = start(script_project, arguments, script, **more)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


HELLO = "import xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\n"


@pytest.mark.parametrize("name", ["XF_JOB_SERIAL", "XF_SERVER_HOST", "XF_SERVER_PORT", "XF_SERVER_AUTH"])
def test_a_missing_variable_is_one_sentence_that_names_it(script_project, arguments, name):
    code, out, err = run(script_project, arguments, HELLO, **{name: ""})
    assert code == 1
    assert out == ""
    assert err.count("\n") == 1
    assert f"environment variable {name} " in err
    assert arguments.server_auth not in err


@pytest.mark.parametrize(
    ("name", "value"),
    [("XF_JOB_SERIAL", "seven"), ("XF_JOB_SERIAL", "-1"), ("XF_SERVER_PORT", "99999"), ("XF_SERVER_AUTH", "a b")],
)
def test_a_malformed_variable_is_one_sentence_that_names_it(script_project, arguments, name, value):
    code, _, err = run(script_project, arguments, HELLO, **{name: value})
    assert code == 1
    assert err.count("\n") == 1
    assert name in err


def test_the_arguments_are_read_from_the_environment(script_project, arguments):
    script = (
        "import xfworkerutil\n"
        "given = xfworkerutil.XFWorkerArguments()\n"
        "print(given.job_serial, given.server_host, repr(given.server_port), len(given.server_auth))\n"
    )
    code, out, err = run(script_project, arguments, script)
    assert (code, err) == (0, "")
    assert out.split() == [
        str(arguments.job_serial),
        arguments.server_host,
        repr(arguments.server_port),
        str(len(arguments.server_auth)),
    ]


def test_a_server_that_is_not_there_is_told_without_a_transports_traceback(script_project, arguments):
    port = str(free_port())
    code, _, err = run(script_project, evolve(arguments, server_port=port), HELLO, XFWORKER_HTTP_ATTEMPTS="1")
    assert code == 1
    assert "urllib3" not in err
    assert f"127.0.0.1:{port}" in err
    assert "line 2, in <module>" in err


def test_a_refused_token_is_told_and_not_shown(script_project, arguments):
    code, _, err = run(script_project, evolve(arguments, server_auth="wrong-token"), HELLO)
    assert code == 1
    assert "AuthenticationFailed" in err
    assert "wrong-token" not in err


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise Exception('the bone is broken')", "Exception: the bone is broken (script.py, line 3)"),
        ("def f():\n    return 1 / 0\nf()", "ZeroDivisionError: division by zero (script.py, line 4)"),
        ("import json\njson.loads('{')", "JSONDecodeError: "),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: interrupted (Ctrl-C) (script.py, line 3)"),
        ("raise ValueError('x' * 100000)", "ValueError: xxx"),
        ("raise ValueError('\\ud800 ü 骨')", "ValueError: \\ud800 ü 骨 (script.py"),
        ("worker.finish({'volume': -1})", "InvalidParameter: "),
        ("worker.finish({'volume': float('nan')})", "InvalidParameter: "),
    ],
)
def test_an_uncaught_exception_is_the_jobs_error_message(script_project, job, arguments, body, message):
    code, _, err = run(script_project, arguments, HELLO + body, PYTHONIOENCODING="utf-8")
    assert code != 0
    kept = script_project.job(job.serial)
    assert kept.metadata["error_message"].startswith(message)
    assert kept.state is JobState.RUNNING
    assert len(list(script_project.folder.glob("xf-job-*"))) == 1
    assert "urllib3" not in err


def test_the_error_message_is_saved_when_the_script_sits_on_unsaved_nonsense(script_project, job, arguments):
    code, _, _ = run(script_project, arguments, HELLO + "worker.job['state'] = object()\nraise ValueError('x')\n")
    assert code == 1
    assert script_project.job(job.serial).metadata["error_message"].startswith("ValueError: x")


def test_an_error_in_a_thread_is_told_and_the_script_goes_on(script_project, job, arguments):
    body = (
        "import threading\n"
        "def work():\n    raise OSError('disk')\n"
        "thread = threading.Thread(target=work, name='reader')\nthread.start()\nthread.join()\n"
        "worker.finish({'volume': 1})\n"
    )
    code, _, err = run(script_project, arguments, HELLO + body)
    assert code == 0, err
    kept = script_project.job(job.serial)
    assert kept.state is JobState.DONE
    assert "in thread reader: OSError: disk" in kept.metadata["error_message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("worker.finish({'volume': 1})", 0),
        ("worker.error('no')", 81),
        ("worker.switch_to_interactive_mode('draw')", 83),
        ("import sys; sys.exit('stop')", 1),
        ("", 0),
    ],
)
def test_exit_codes(script_project, arguments, body, code):
    assert run(script_project, arguments, HELLO + body)[0] == code


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_the_script_at_once_with_a_message(script_project, job, arguments):
    process = start(script_project, arguments, HELLO + "print('ready', flush=True)\nimport time\ntime.sleep(600)\n")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert "interrupted" in script_project.job(job.serial).metadata["error_message"]


@pytest.fixture
def wire(arguments):
    with FaultyWire(int(arguments.server_port)) as counting:
        yield counting


def test_a_job_costs_at_most_six_requests_on_one_connection(script_project, job, arguments, wire):
    body = "for n in range(100):\n    worker.progress(n)\nworker.finish({'volume': 1})\n"
    code, _, err = run(script_project, evolve(arguments, server_port=str(wire.port)), HELLO + body)
    assert code == 0, err
    assert wire.connections == 1
    assert wire.requests <= 6
    assert script_project.job(job.serial).state is JobState.DONE


@pytest.mark.parametrize("lost", [1, 3])
def test_an_answer_to_finish_that_is_lost_on_the_wire_is_no_failure(script_project, job, arguments, lost):
    with FaultyWire(int(arguments.server_port), lose_answers_to=b"PATCH ", lost=lost) as wire:
        code, _, err = run(
            script_project, evolve(arguments, server_port=str(wire.port)), HELLO + "worker.finish({'volume': 2})\n"
        )
    assert code == 0, err
    assert script_project.job(job.serial).outputs == {"volume": 2}
    assert list(script_project.folder.glob("xf-job-*")) == []


def test_a_server_that_answers_progress_no_more_is_no_fault_of_the_job(script_project, job, arguments):
    body = "for n in range(10):\n    worker.progress(n)\nworker.finish({'volume': 2})\n"
    with FaultyWire(int(arguments.server_port), lose_answers_to=b"PATCH ", lost=2) as wire:
        code, _, err = run(
            script_project, evolve(arguments, server_port=str(wire.port)), HELLO + body, XFWORKER_HTTP_ATTEMPTS="2"
        )
    assert code == 0, err
    assert "the job goes on" in err
    assert script_project.job(job.serial).state is JobState.DONE


def test_a_long_sequence_is_one_request(script_project, arguments, wire):
    task = script_project.new_task()
    count = 300
    for number in range(count):
        script_project.done(task, {"volume": number})
    body = (
        f"sequence = {{'type': 'Sequence', 'task_serial': {task.serial}, 'key': 'volume'}}\n"
        "with worker.server_connection() as connection:\n"
        "    values = xfworkerutil.get_xf_parameter_float_sequence(connection, sequence)\n"
        "print(len(values), sum(values))\n"
    )
    code, out, err = run(script_project, evolve(arguments, server_port=str(wire.port)), HELLO + body)
    assert code == 0, err
    assert out.split() == [str(count), str(float(sum(range(count))))]
    assert wire.requests == 2


SAVE = """
import os
import xfworkerutil
from xfworker.domain.errors import RecordConflict
worker = xfworkerutil.XFWorkerJob()
for step in range(3):
    worker.job["metadata"][f"{os.environ['MARK']}-{step}"] = step
    worker.save_job()
with worker.server_connection() as connection:
    while True:
        job = xfworkerutil.get_xf_job(connection, worker.job["serial"])
        job["metadata"]["count"] = job["metadata"].get("count", 0) + 1
        try:
            xfworkerutil.update_xf_job(connection, job)
            break
        except RecordConflict:
            pass
"""


def test_thirty_two_processes_that_update_one_job_lose_nothing(script_project, job, arguments):
    script = script_project.folder / "script.py"
    script.write_text(SAVE)
    processes = [start(script_project, arguments, script, MARK=str(number)) for number in range(32)]
    failures = [err for process in processes for err in [process.communicate(timeout=300)[1]] if process.returncode]
    assert failures == []
    metadata = script_project.job(job.serial).metadata
    assert {f"{n}-{step}": step for n in range(32) for step in range(3)}.items() <= metadata.items()
    assert metadata["count"] == 32
