"""Pilots on a real Slurm, which is started here on loopback."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cluster.slurm import reason_for_no_slurm
from tests.cluster.slurm_site import slurm_site
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.api.demo.phantom import write_phantom
from xfworker.domain.change import Change
from xfworker.domain.files import Scope, userdata_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Worker, Workflow
from xfworker.domain.resources import worker_pilot

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


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with slurm_site(tmp_path_factory.mktemp("site")) as site:
        yield site


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


def test_a_workflow_runs_on_pilots_and_goes_on_when_one_is_taken(site):
    serial = example_workflow(site)
    asked = ("scale", "--slurm", "2", "--memory-mib", "500", "--minutes", "120")
    submitted = [pilot["batch_job"] for pilot in site.cluster(*asked)]
    assert sorted(pilot["batch_job"] for pilot in site.cluster(*asked)) == sorted(submitted)
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

    task = site.task(PREEMPTED_ONCE, name="Test.Preempted", resources={"cores": 1, "memory_mib": 400})
    job = site.server.create(Job(task_serial=task, state=JobState.READY, inputs={"folder": str(site.folder)})).serial
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
    assert len(site.cluster(*asked)) == 2
    (site.folder / "hangs").mkdir()
    inputs = {"folder": str(site.folder / "hangs")}
    job = site.server.create(Job(task_serial=task, state=JobState.READY, inputs=inputs)).serial
    site.wait("the script's start", (site.folder / "hangs" / "begun").exists)
    hung = worker_pilot(site.server.get(Worker, site.server.get(Job, job).worker_serial)).job
    site.run("scancel", "--signal=STOP", "--full", hung)
    assert site.xfworker("job", "abort", job) == f"job {job}: asked to stop\n"
    assert [pilot["batch_job"] for pilot in site.cluster("stop", "--job", job)] == [hung]
    site.wait("the end of its batch job", lambda: hung not in site.run("squeue", "--noheader", "--format=%i").split())
    site.wait("the job's end", lambda: site.server.get(Job, job).state is JobState.ABORTED)

    assert len(site.cluster("stop", "--all")) == 1
    site.wait("an empty queue", lambda: site.run("squeue", "--noheader") == "")


def test_slurm_takes_the_template_and_refuses_what_it_does_not_have(site):
    script = site.xfworker(
        "cluster",
        "scale",
        "--slurm",
        "1",
        "--memory-mib",
        "500",
        "--value",
        "partition=main",
        "--data",
        site.folder / "shared",
        "--dry-run",
    )
    for text, code in ((script, 0), (script.replace("=main", "=absent"), 1), (script.replace("500M", "500000M"), 1)):
        (site.folder / "pilot.sh").write_text(text)
        command = ["sbatch", "--test-only", "pilot.sh"]
        done = subprocess.run(
            command, cwd=site.folder, env=site.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        assert ("to start at" in done.stderr) is (code == 0)
