"""Pilots on a real Slurm, which is started here on loopback."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.cluster.slurm import reason_for_no_slurm, slurm
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.api.composition.client import ServerAddress, connected
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.demo.phantom import write_phantom
from xfworker.api.settings.model import Settings
from xfworker.domain.change import Change
from xfworker.domain.files import Scope, userdata_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Project, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.domain.resources import worker_pilot
from xfworker.services.packages.checkin import check_in

pytestmark = pytest.mark.skipif(bool(reason_for_no_slurm()), reason=reason_for_no_slurm() or "it is there")

PACKAGES = Path(__file__).parents[2] / "examples" / "packages"
TASK_TYPES = ("import_scan", "segment", "statistics", "snapshot", "group_chart")
# The first attempt says that it runs and waits to be ended; the next one finds what it left and ends well.
PREEMPTED_ONCE = """
import os, pathlib, time
import xfworkerutil
worker = xfworkerutil.XFWorkerJob()
begun = pathlib.Path(worker.job["inputs"]["folder"], "begun")
if not begun.exists():
    print("begun", os.environ["OMP_NUM_THREADS"], os.environ["SLURM_JOB_ID"], flush=True)
    begun.touch()
    time.sleep(600)
worker.finish({"n": 1})
"""


class Site:
    """A server and a Slurm, and the commands as a person gives them."""

    def __init__(self, folder, embedded, client, variables):
        self.folder, self.client, self.server = folder, client, client.server
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in {"XFTEMP", "TMPDIR"}},
            **variables,
            "XFWORKER_SERVER_URL": embedded.url,
            "XFWORKER_SERVER_TOKEN": embedded.admin_token,
        }

    def run(self, *words):
        command = [*map(str, words)]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def xfworker(self, *words):
        return self.run(sys.executable, "-m", "xfworker", *words)

    def cluster(self, *words):
        return json.loads(self.xfworker("cluster", *words, "--data", self.folder / "shared", "--json"))["pilots"]

    def wait(self, what, ready):
        deadline = time.monotonic() + 120
        while not (found := ready()):
            logs = "\n".join(path.read_text() for path in self.folder.glob("shared/pilots/*.log"))
            assert time.monotonic() < deadline, f"{what} did not come; the pilots said: {logs}"
            time.sleep(0.1)
        return found


@pytest.fixture
def site(tmp_path):
    with (
        tempfile.TemporaryDirectory(prefix="xf-slurm-") as folder,
        slurm(Path(folder)) as variables,
        EmbeddedServer(tmp_path / "lab") as embedded,
        connected(ServerAddress(embedded.url, embedded.admin_token), Settings()) as client,
    ):
        yield Site(tmp_path, embedded, client, variables)


def example_workflow(site):
    site.xfworker("package", "install", *(PACKAGES / name for name in TASK_TYPES))
    serial = json.loads(site.xfworker("workflow", "import", PACKAGES / "bone_density", "--json"))["serial"]
    site.server.update(Workflow, serial, Change(values={"/state": "Active"}))
    write_phantom(site.folder / "scan.aim")
    control = HttpWorkflowControl(site.client.transport)
    for name in ("Ada", "Ben"):
        path = f"scans/{name}/scan.aim"
        place = userdata_resource(path)
        site.client.files.upload(site.server.file_token([Scope("write", place)]), site.folder / "scan.aim", place)
        scan = {"type": "ForeignFile", "source": "userdata", "virtualpath": path, "filename": "scan.aim"}
        control.start_run(serial, inputs={"scan": scan, "sample": name}, name=name)
    return serial


def preempted_once(site):
    package = site.folder / "package"
    package.mkdir()
    described = {"package_format": "XFP-TT1.0", "name": "Test.Preempted", "version": "1.0.0.0"}
    described["resources"] = {"cores": 1, "memory_mib": 400}
    interface = {"inputs": [{"key": "folder", "type": "String"}], "outputs": [{"key": "n", "type": "Int"}]}
    (package / "metadata.json").write_text(json.dumps(described))
    (package / "interface.json").write_text(json.dumps(interface))
    (package / "main.py").write_text(PREEMPTED_ONCE)
    check_in(site.server, site.client.files, package)
    [task_type] = site.server.find(TaskType, {"name": "Test.Preempted"})
    project = site.server.create(Project(name="lab"))
    workflow = site.server.create(Workflow(project_serial=project.serial, state=WorkflowState.ACTIVE))
    task = site.server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial))
    inputs = {"folder": str(site.folder)}
    return site.server.create(Job(task_serial=task.serial, state=JobState.READY, inputs=inputs)).serial


def test_a_workflow_runs_on_pilots_and_goes_on_when_one_is_taken(site):
    serial = example_workflow(site)
    asked = ("scale", "--slurm", "2", "--memory-mib", "500", "--minutes", "120")
    submitted = [pilot["batch_job"] for pilot in site.cluster(*asked)]
    assert [pilot["batch_job"] for pilot in site.cluster(*asked)] == submitted
    assert len(submitted) == 2

    jobs = site.wait(
        "the end of the workflow",
        lambda: (
            (found := site.server.find(Job, {"workflow_serial": serial}))
            and len(found) == 9
            and all(job.state.is_final for job in found)
            and found
        ),
    )
    assert {job.state for job in jobs} == {JobState.DONE}
    pilots = {worker.serial: worker_pilot(worker) for worker in site.server.find(Worker)}
    assert sorted(pilot.job for pilot in pilots.values()) == submitted
    assert {worker.metadata["resources"]["memory_mib"] for worker in site.server.find(Worker)} == {500}

    job = preempted_once(site)
    site.wait("the script's start", (site.folder / "begun").exists)
    taken = pilots[site.server.get(Job, job).worker_serial].job
    site.run("scancel", taken)
    again = site.wait("the job's end", lambda: (found := site.server.get(Job, job)).state.is_final and found)
    assert (again.state, again.attempt, again.outputs) == (JobState.DONE, 2, {"n": 1})
    assert pilots[again.worker_serial].job != taken
    assert "lost_attempts" not in again.metadata
    [event] = [
        event
        for event in site.server.find(ActivityEvent, {"job_serial": job})
        if event.payload.get("outcome", {}).get("ending") == "preempted"
    ]
    assert "SIGTERM: the worker stops" in event.title
    assert site.xfworker("job", "log", job, "--attempt", "1") == f"begun 1 {taken}\n"

    site.wait(
        "the pilot's farewell",
        lambda: {pilot["batch_job"]: pilot["state"] for pilot in site.cluster("list")}[taken] == "left",
    )
    assert len(site.cluster("stop", "--all")) == 1
    site.wait("an empty queue", lambda: site.run("squeue", "--noheader") == "")
