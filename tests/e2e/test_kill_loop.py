"""Server and worker are killed at random moments while a workflow is processed: nothing is lost, nothing done twice."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.free_ports import free_port
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.api.composition.client import ServerAddress, connected
from xfworker.api.composition.endpoint_file import read_endpoint
from xfworker.api.settings.model import Settings
from xfworker.domain.change import Change
from xfworker.domain.errors import ServerError
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Run, Task, Workflow
from xfworker.services.packages.checkin import check_in
from xfworker.services.packages.workflow_import import import_workflow

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")

RUNS = 3
DEADLINE_SECONDS = 120
HEAD = "import hashlib, xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\ninputs = worker.job['inputs']\n"
UPLOAD = "worker.upload_output_file(path)\nworker.progress(90)\n"
SCRIPTS = {
    "Make": "path = worker.create_temp_path('made.bin')\nn = inputs['n']\n"
    "path.write_bytes(hashlib.sha256(str(n).encode()).digest() * (10_000 * n))\n"
    + UPLOAD
    + "worker.finish({'made': worker.create_output_foreign_file(path.name), 'n': n})\n",
    "Turn": "content = worker.download_input_file(inputs['made']).read_bytes()\n"
    "path = worker.create_temp_path('turned.bin')\npath.write_bytes(content[::-1])\n"
    + UPLOAD
    + "worker.finish({'turned': worker.create_output_foreign_file(path.name), 'size': len(content)})\n",
    "Sum": "with worker.server_connection() as connection:\n"
    "    sizes = xfworkerutil.get_xf_parameter_sequence(connection, inputs['sizes'])\n"
    "worker.finish({'total': sum(sizes), 'count': len(sizes)})\n",
}
INTERFACES = {
    "Make": ([("n", "Int")], [("made", "ForeignFile"), ("n", "Int")]),
    "Turn": ([("made", "ForeignFile")], [("turned", "ForeignFile"), ("size", "Int")]),
    "Sum": ([("sizes", "Sequence")], [("total", "Int"), ("count", "Int")]),
}
FILES = {"Make": "made.bin", "Turn": "turned.bin"}


def made(n):
    return hashlib.sha256(str(n).encode()).digest() * (10_000 * n)


def write_packages(folder):
    version = {"version": "1.0.0.0"}
    for name, script in SCRIPTS.items():
        place = folder / name
        place.mkdir(parents=True)
        kind = {"kind": "Source"} if name == "Make" else {}
        described = {"package_format": "XFP-TT1.0", "name": f"KillLoop.{name}", **version, **kind}
        inputs, outputs = ([{"key": key, "type": type_} for key, type_ in part] for part in INTERFACES[name])
        (place / "metadata.json").write_text(json.dumps(described))
        (place / "interface.json").write_text(json.dumps({"inputs": inputs, "outputs": outputs}))
        (place / "main.py").write_text(HEAD + script)
    sources = ({"n": {"mode": "ui"}}, {"made": (0, "made")}, {"sizes": (1, "size")})
    tasks = [
        {
            "name": name,
            "task_type": {"name": f"KillLoop.{name}", **version},
            "inputs": {
                key: source if isinstance(source, dict) else {"mode": "output", "task": source[0], "key": source[1]}
                for key, source in inputs.items()
            },
        }
        for name, inputs in zip(SCRIPTS, sources, strict=True)
    ]
    (folder / "flow").mkdir()
    (folder / "flow" / "metadata.json").write_text(
        json.dumps({"package_format": "XFP-WF1.0", "name": "KillLoop.Flow", **version})
    )
    (folder / "flow" / "tasks.json").write_text(json.dumps({"tasks": tasks}))


class ServerAndWorkers:
    """A server and a worker as processes that are killed and started again."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.processes = {}
        self.environment = {name: value for name, value in os.environ.items() if name != "XFTEMP"}

    def start(self, what):
        words = {
            "server": ["serve", "--data", self.data, "--port", self.port, "--lease-seconds", 3, "--max-attempts", 1000],
            "worker": ["worker", "--server", self.data, "--data", self.folder / "work", "--concurrency", 2],
        }[what]
        command = [sys.executable, "-m", "xfworker", *map(str, words)]
        with (self.folder / f"{what}.log").open("ab") as log:
            self.processes[what] = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self, what):
        process = self.processes[what]
        assert process.poll() is None, self.describe(f"the {what} ended by itself with {process.poll()}")
        process.kill()
        process.wait()

    def stop(self):
        for what in ("worker", "server"):
            process = self.processes[what]
            assert process.poll() is None, self.describe(f"the {what} ended by itself with {process.poll()}")
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_SECONDS) == 0, self.describe(f"the {what} did not stop well")

    def describe(self, what):
        logs = (f"{path.name}:\n{path.read_text('utf-8', 'replace')[-6000:]}" for path in self.folder.glob("*.log"))
        return "\n".join((what, *logs))

    def claims(self):
        return (self.folder / "worker.log").read_text("utf-8", "replace").count("xfworker.job_claimed")

    def client(self, attempts=20):
        endpoint = read_endpoint(self.data / "server.json")
        return connected(
            ServerAddress(endpoint.url, endpoint.admin_token), Settings(http=HttpLimits(attempts=attempts))
        )

    def until(self, condition):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.describe("it took too long")
            time.sleep(0.05)


@pytest.fixture
def system(tmp_path):
    system = ServerAndWorkers(tmp_path)
    yield system
    for process in system.processes.values():
        process.kill()
        process.wait()


def begin(system, runs):
    """Install the packages, start the workflow and its runs; give the workflow's serial."""
    write_packages(system.folder / "packages")
    system.start("server")
    system.until((system.data / "server.json").exists)
    with system.client() as client:
        for name in SCRIPTS:
            check_in(client.server, client.files, system.folder / "packages" / name)
        workflow = import_workflow(client.server, system.folder / "packages" / "flow", project="kills").workflow.serial
        client.server.update(Workflow, workflow, Change(values={"/state": "Active"}))
        for n in range(1, runs + 1):
            HttpWorkflowControl(client.transport).start_run(workflow, inputs={"n": n}, name=f"run {n}")
    return workflow


def is_done(client, workflow, runs):
    try:
        jobs = client.server.find(Job, {"workflow_serial": workflow})
    except ServerError:
        return False
    ends = Counter(job.state for job in jobs)
    last = [job for job in jobs if job.outputs.get("count") == runs]
    return ends == {JobState.DONE: 2 * runs + 1} and bool(last)


def check(system, client, workflow, runs):
    """Compare every record and every file with what it must be."""
    tasks = {task.serial: task.name for task in client.server.find(Task, {"workflow_serial": workflow})}
    jobs = client.server.find(Job, {"workflow_serial": workflow})
    numbers = {run.serial: int(run.name.split()[1]) for run in client.server.find(Run, {"workflow_serial": workflow})}
    assert sorted(numbers.values()) == list(range(1, runs + 1))
    found = Counter((tasks[job.task_serial], numbers.get(job.run_serial)) for job in jobs)
    assert found == {("Sum", None): 1} | {(name, n): 1 for name in ("Make", "Turn") for n in numbers.values()}
    times_done = Counter(
        event.job_serial
        for event in client.server.find(ActivityEvent)
        if event.payload.get("state", ["", ""])[1] == "Done"
    )
    for job in jobs:
        name, n = tasks[job.task_serial], numbers.get(job.run_serial)
        outputs = dict(job.outputs)
        if name == "Sum":
            sizes = [len(made(n)) for n in range(1, runs + 1)]
            assert outputs == {"total": sum(sizes), "count": runs}
            continue
        assert times_done[job.serial] == 1
        reference = outputs.pop({"Make": "made", "Turn": "turned"}[name])
        assert reference["filename"] == FILES[name]
        assert outputs == ({"n": n} if name == "Make" else {"size": len(made(n))})
        place = record_resource("job_result", job.serial)
        token = client.server.file_token([Scope("read", place), Scope("list", place)])
        assert [stat.resource.filename for stat in client.files.list(token, place).files] == [FILES[name]]
        content = b"".join(client.files.open_read(token, place.child(FILES[name])))
        assert content == (made(n) if name == "Make" else made(n)[::-1])


def process_under_fire(system, pick, kills, runs):
    """Process a workflow while server and worker are killed and started again, and check what comes of it."""
    workflow = begin(system, runs)
    system.start("worker")
    for _ in range(kills):
        if pick.random() < 0.7:  # else they are killed while they still start
            claims = system.claims()
            with system.client(attempts=1) as client:
                system.until(lambda claims=claims: system.claims() > claims or is_done(client, workflow, runs))
        time.sleep(pick.uniform(0.0, 1.0))
        for what in (victims := pick.choice([("server",), ("worker",), ("server", "worker"), ("worker", "server")])):
            system.kill(what)
        for what in victims:
            system.start(what)
    with system.client() as client:
        system.until(lambda: is_done(client, workflow, runs))
        check(system, client, workflow, runs)
    system.stop()
    command = [sys.executable, "-m", "xfworker", "doctor", "--deep", "--json", "--data", str(system.data)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
    assert json.loads(found.stdout)["findings"] == [], found.stderr


def test_what_is_killed_at_random_moments_is_done_exactly_once(system):
    process_under_fire(system, random.Random(20), kills=5, runs=RUNS)
