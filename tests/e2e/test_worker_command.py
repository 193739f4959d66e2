import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from importlib.util import find_spec

import psutil
import pytest

from xfworker.api.composition.client import ServerAddress, connected
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.settings.model import Settings
from xfworker.domain.change import Change
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, Worker, Workflow, WorkflowState
from xfworker.services.packages.checkin import check_in

HEAD = "import xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\ninputs = worker.job['inputs']\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with EmbeddedServer(tmp_path_factory.mktemp("lab")) as embedded:
        settings = Settings()
        with connected(ServerAddress(embedded.url, embedded.admin_token), settings) as client:
            yield embedded, client


@pytest.fixture
def package(tmp_path):
    count = 0

    def make(script, package_format="XFP-TT1.0", **metadata):
        nonlocal count
        count += 1
        folder = tmp_path / f"package{count}"
        folder.mkdir()
        name = f"Test{os.getpid()}.P{time.monotonic_ns()}"
        described = {"package_format": package_format, "name": name, "version": "1.0.0.0", **metadata}
        (folder / "metadata.json").write_text(json.dumps(described))
        if package_format == "XFP-TT1.0":
            interface = {
                "inputs": [{"key": "n", "type": "Int", "default": 1}],
                "outputs": [{"key": "n", "type": "Int"}],
            }
            (folder / "interface.json").write_text(json.dumps(interface))
            (folder / "main.py").write_text(script)
        return folder

    return make


@pytest.fixture
def new_jobs(served):
    _, client = served
    server = client.server
    workflows = []

    def new_jobs(task_type, count=1):
        project = server.create(Project(name="lab"))
        workflow = server.create(Workflow(project_serial=project.serial, name="w"))
        server.update(Workflow, workflow.serial, Change(values={"/state": WorkflowState.ACTIVE.value}))
        workflows.append(workflow)
        task = server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial, name="t"))
        return [
            server.create(
                Job(
                    task_serial=task.serial,
                    workflow_serial=workflow.serial,
                    project_serial=project.serial,
                    state=JobState.READY,
                    inputs={"n": number},
                )
            )
            for number in range(count)
        ]

    yield new_jobs
    # What a test left ready must not be run by the worker of the next.
    for workflow in workflows:
        server.update(Workflow, workflow.serial, Change(values={"/state": WorkflowState.STOPPED.value}))


@pytest.fixture(
    params=[
        pytest.param(True, id="forked", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux only")),
        pytest.param(False, id="spawned"),
    ]
)
def forked(request, monkeypatch):
    """Whether the worker forks its scripts; which of both it is, a script sees by its command line."""
    monkeypatch.setenv("XFWORKER_WORKER_FORK_SERVER", str(request.param).lower())
    return request.param


def worker_call(embedded, tmp_path):
    command = [sys.executable, "-m", "xfworker", "worker", "--server", embedded.url]
    environment = {name: value for name, value in os.environ.items() if name != "XFTEMP"}
    environment["XFWORKER_SERVER_TOKEN"] = embedded.admin_token
    return [*command, "--data", str(tmp_path / "worker")], environment


OWN_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
STOP = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)


@contextmanager
def working(embedded, tmp_path, *options):
    command, environment = worker_call(embedded, tmp_path)
    with subprocess.Popen(
        [*command, *options], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, creationflags=OWN_GROUP
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def work(embedded, tmp_path, *options, **variables):
    command, environment = worker_call(embedded, tmp_path)
    environment |= variables
    command += options
    command.append("--until-idle")
    return subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def log_of(client, job):
    place = record_resource("job_log", job.serial, "log.txt")
    token = client.server.file_token([Scope("read", place)])
    return b"".join(client.files.open_read(token, place)).decode()


def test_jobs_run_several_at_once_and_leave_nothing(served, package, new_jobs, tmp_path, forked):
    embedded, client = served
    script = HEAD + (
        "import pathlib, sys\nif sys.platform == 'linux':\n"
        "    print('forked:', b'fork_server' in pathlib.Path('/proc/self/cmdline').read_bytes())\n"
        "print('n is', inputs['n'])\nworker.finish({'n': inputs['n'] + 1})"
    )
    task_type = check_in(client.server, client.files, package(script)).record
    jobs = new_jobs(task_type, 4)
    done = work(embedded, tmp_path, "--concurrency", "3")
    assert done.returncode == 0, done.stderr
    after = [client.server.get(Job, job.serial) for job in jobs]
    assert [job.outputs for job in after] == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
    assert "n is 2" in log_of(client, jobs[2])
    if sys.platform == "linux":
        assert all(f"forked: {forked}\n" in log_of(client, job) for job in jobs)
    assert list((tmp_path / "worker" / "jobs").iterdir()) == []


def test_a_failed_job_keeps_its_directory_and_its_log(served, package, new_jobs, tmp_path, forked):
    embedded, client = served
    task_type = check_in(
        client.server,
        client.files,
        package(HEAD + "worker.create_temp_path('a.txt').write_text('x')\nraise ValueError('bad')"),
    ).record
    (job,) = new_jobs(task_type)
    assert work(embedded, tmp_path).returncode == 0
    after = client.server.get(Job, job.serial)
    assert (after.state, after.metadata["outcome"]["ending"]) == (JobState.FAILED, "crashed")
    assert "ValueError: bad" in after.metadata["error_message"]
    assert "ValueError: bad" in log_of(client, job)
    (directory,) = (tmp_path / "worker" / "jobs").iterdir()
    assert [path.name for path in directory.rglob("a.txt")] == ["a.txt"]
    yesterday = time.time() - 24 * 3600
    os.utime(directory, (yesterday, yesterday))
    work(embedded, tmp_path)
    assert directory.exists()
    work(embedded, tmp_path, "--keep-failed-days", "0.5")
    assert not directory.exists()


def test_limits_of_the_package_are_kept(served, package, new_jobs, tmp_path, forked):
    embedded, client = served
    script = HEAD + "import time\ntime.sleep(60)"
    task_type = check_in(client.server, client.files, package(script, limits={"time_seconds": 1.5})).record
    (job,) = new_jobs(task_type)
    work(embedded, tmp_path)
    assert client.server.get(Job, job.serial).metadata["outcome"]["ending"] == "timed_out"


def write_wheel(folder):
    """Write a wheel with one module by hand, so that nothing has to be built or fetched."""
    info = "lab_module-1.0.dist-info"
    files = {
        "lab_module.py": "answer = 42\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: lab-module\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    wheel = folder / "lab_module-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return wheel.name


@pytest.mark.skipif(find_spec("ensurepip") is None, reason="the embeddable Python makes no environments")
def test_a_dependency_is_installed_into_an_environment_of_its_own(served, package, new_jobs, tmp_path):
    embedded, client = served
    wheel = "lab_module-1.0-py3-none-any.whl"
    module = package("", "XFP-DEP1.0", install=f"%xfpip% install --no-index ./{wheel}")
    assert write_wheel(module) == wheel
    dependency = check_in(client.server, client.files, module).record
    needs = [{"name": dependency.name, "version": dependency.version}]
    script = HEAD + "import lab_module, sys\nprint(sys.prefix)\nworker.finish({'n': lab_module.answer})"
    task_type = check_in(client.server, client.files, package(script, dependencies=needs)).record
    jobs = new_jobs(task_type, 2)
    work(embedded, tmp_path)
    assert [client.server.get(Job, job.serial).outputs for job in jobs] == [{"n": 42}, {"n": 42}], log_of(
        client, jobs[0]
    )
    assert str(tmp_path / "worker" / "environments") in log_of(client, jobs[0])
    assert len(list((tmp_path / "worker" / "environments").glob("*.json"))) == 1


@pytest.mark.skipif(find_spec("ensurepip") is None, reason="the embeddable Python makes no environments")
def test_a_failing_installation_fails_the_job_with_its_output(served, package, new_jobs, tmp_path):
    embedded, client = served
    dependency = check_in(
        client.server, client.files, package("", "XFP-DEP1.0", install="echo cannot && exit 3")
    ).record
    needs = [{"name": dependency.name, "version": dependency.version}]
    task_type = check_in(client.server, client.files, package(HEAD, dependencies=needs)).record
    (job,) = new_jobs(task_type)
    work(embedded, tmp_path)
    after = client.server.get(Job, job.serial)
    assert after.metadata["outcome"]["ending"] == "not_started"
    assert "exit code 3; the end of its output: cannot" in after.metadata["error_message"]


SPY = """
import json, os, pathlib
found = []
for folder in pathlib.Path('/proc').iterdir():
    if folder.name.isdigit():
        try:
            content = (folder / 'environ').read_bytes() + (folder / 'cmdline').read_bytes()
        except OSError:
            continue
        # Only this worker and what it started; the tests beside this one have a token of their own.
        if b'worker-secret' in content and b'pytest' not in content:
            found.append(content.decode(errors='replace'))
print('FOUND', found)
print('OWN', sorted(os.environ), pathlib.Path(os.environ['TMPDIR']).is_relative_to(pathlib.Path.cwd()))
worker.finish({'n': len(found)})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_script_finds_no_secret_of_its_worker_in_any_process(served, package, new_jobs, tmp_path, forked):
    embedded, client = served
    task_type = check_in(client.server, client.files, package(HEAD + SPY)).record
    (job,) = new_jobs(task_type)
    settings = tmp_path / "xfworker.toml"
    settings.write_text(f'[server]\ntoken = "{embedded.admin_token}"\n')
    secrets = {"PGPASSWORD": "worker-secret", "AWS_SECRET_ACCESS_KEY": "worker-secret", "PYTHONPATH": "/worker-secret"}
    assert work(embedded, tmp_path, XFWORKER_CONFIG=str(settings), **secrets).returncode == 0
    log = log_of(client, job)
    assert client.server.get(Job, job.serial).outputs == {"n": 0}, log
    own = log.partition("OWN")[2]
    assert own.rstrip().endswith("True")
    assert not any(name in own for name in secrets if name != "PYTHONPATH")


@pytest.mark.skipif(sys.platform == "win32", reason="rights are others there")
def test_a_worker_refuses_a_folder_that_others_can_write_to(served, tmp_path):
    embedded, _ = served
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker").chmod(0o777)
    done = work(embedded, tmp_path)
    assert done.returncode == 2
    assert "can be written to by other users (mode 777)" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no HOME")
def test_a_worker_of_a_user_without_a_home_asks_for_a_folder(served, tmp_path):
    embedded, _ = served
    command = [sys.executable, "-m", "xfworker", "worker", "--server", str(embedded.data), "--until-idle"]
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "HOME is not set); name one with --data" in done.stderr


def test_jobs_go_to_the_worker_that_has_the_software(served, package, new_jobs, tmp_path):
    embedded, client = served
    marker = check_in(client.server, client.files, package("", "XFP-DEP1.0")).record
    needs = [{"name": marker.name, "version": marker.version}]
    task_type = check_in(
        client.server, client.files, package(HEAD + "worker.finish({'n': 7})", dependencies=needs)
    ).record
    (job,) = new_jobs(task_type)
    work(embedded, tmp_path, "--name", "without")
    waiting = client.server.get(Job, job.serial)
    assert waiting.state is JobState.READY
    work(embedded, tmp_path, "--name", "with", "--dependency", f"{marker.name}=={marker.version}")
    after = client.server.get(Job, job.serial)
    assert after.outputs == {"n": 7}
    assert client.server.get(Worker, after.worker_serial).name == "with"


def test_a_worker_of_chosen_software_says_of_nothing_else_that_it_has_it(served, package, tmp_path):
    embedded, client = served
    other = check_in(client.server, client.files, package("", "XFP-DEP1.0", install="true")).record
    by_hand = {"name": "Lab.ByHand", "version": "1.0.0.0"}
    for name, *options in (("only", "--only-dependencies"), ("all",)):
        assert work(embedded, tmp_path, "--name", name, "--dependency", "Lab.ByHand==1.0.0.0", *options).returncode == 0
    [only], [everything] = (client.server.find(Worker, {"name": name}) for name in ("only", "all"))
    assert only.dependency_packages == [by_hand]
    assert {"name": other.name, "version": other.version} in everything.dependency_packages


def test_a_pilot_without_jobs_leaves_and_says_so(served, tmp_path):
    embedded, client = served
    command, environment = worker_call(embedded, tmp_path)
    command += ["--name", "pilot", "--idle-minutes", "0", "--batch-job", "slurm:77", "--walltime", "60"]
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=True)
    [worker] = client.server.find(Worker, {"name": "pilot"})
    pilot = worker.metadata["pilot"]
    assert (pilot["system"], pilot["job"], pilot["left"]) == ("slurm", "77", True)


def has_ended(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif("XFWORKER_TEST_SERVERS" in os.environ, reason="wine passes on no Ctrl-Break")
def test_a_stopped_worker_finishes_what_it_began(served, package, new_jobs, tmp_path, forked):
    embedded, client = served
    script = HEAD + (
        f"import time, pathlib\nflag = pathlib.Path({str(tmp_path)!r}, 'go')\n"
        "while not flag.exists():\n    time.sleep(0.05)\nworker.finish({'n': 5})"
    )
    task_type = check_in(client.server, client.files, package(script)).record
    job, later = new_jobs(task_type, 2)
    with working(embedded, tmp_path) as process:
        wait_until(lambda: client.server.get(Job, job.serial).state is JobState.RUNNING)
        process.send_signal(STOP)
        (tmp_path / "go").touch()
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert client.server.get(Job, job.serial).state is JobState.DONE
    assert client.server.get(Job, later.serial).state is JobState.READY


@pytest.mark.skipif("XFWORKER_TEST_SERVERS" in os.environ, reason="wine passes on no Ctrl-Break")
@pytest.mark.parametrize(("options", "signals"), [((), 2), (("--grace", "0"), 1)])
def test_a_worker_that_may_not_wait_gives_its_jobs_back(served, package, new_jobs, tmp_path, options, signals):
    embedded, client = served
    task_type = check_in(client.server, client.files, package(HEAD + "import time\ntime.sleep(600)")).record
    (job,) = new_jobs(task_type)
    with working(embedded, tmp_path, *options) as process:
        wait_until(lambda: client.server.get(Job, job.serial).state is JobState.RUNNING)
        for _ in range(signals):
            process.send_signal(STOP)
            if signals > 1:
                assert next(line for line in process.stderr if "worker_stopping" in line or "jobs_dropped" in line)
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert client.server.get(Job, job.serial).state is JobState.READY


def test_a_killed_worker_takes_its_scripts_with_it(served, package, new_jobs, tmp_path, forked):
    embedded, client = served
    script = HEAD + (
        f"import os, pathlib, time\npathlib.Path({str(tmp_path)!r}, 'pid').write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    task_type = check_in(client.server, client.files, package(script)).record
    new_jobs(task_type)
    pid = tmp_path / "pid"
    with working(embedded, tmp_path) as process:
        wait_until(lambda: pid.exists() and pid.read_text())
        process.kill()
        process.communicate(timeout=60)
    wait_until(lambda: has_ended(int(pid.read_text())))


def test_a_worker_without_a_server_is_one_sentence(tmp_path):
    command = [sys.executable, "-m", "xfworker", "worker"]
    environment = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    environment |= {"HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("xfworker: no server is named")
