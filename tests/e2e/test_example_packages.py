import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.api.composition.client import ServerAddress, connected
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.demo.phantom import write_phantom
from xfworker.api.settings.model import Settings
from xfworker.domain.change import Change
from xfworker.domain.files import Scope, userdata_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Task, TaskType, Workflow

PACKAGES = Path(__file__).parents[2] / "examples" / "packages"
TASK_TYPES = ("import_scan", "segment", "statistics", "snapshot", "group_chart")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with EmbeddedServer(tmp_path_factory.mktemp("lab")) as embedded:
        settings = Settings()
        with connected(ServerAddress(embedded.url, embedded.admin_token), settings) as client:
            yield embedded, client


def xfworker(folder, *words):
    command = [sys.executable, "-m", "xfworker", *map(str, words)]
    environment = {name: value for name, value in os.environ.items() if name != "XFTEMP"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_packages_run_as_a_workflow(served, tmp_path):
    embedded, client = served
    at = ("--server", embedded.data)
    xfworker(tmp_path, "package", "install", *(PACKAGES / name for name in TASK_TYPES), *at)
    made = json.loads(xfworker(tmp_path, "workflow", "import", PACKAGES / "bone_density", *at, "--json"))
    serial = made["serial"]
    assert [task["name"] for task in made["tasks"]] == ["Import", "Segment", "Statistics", "Snapshot", "Group chart"]
    client.server.update(Workflow, serial, Change(values={"/state": "Active"}))

    known = write_phantom(tmp_path / "scan.aim")
    control = HttpWorkflowControl(client.transport)
    for name in ("Ada", "Ben"):
        place = userdata_resource(f"scans/{name}/scan.aim")
        token = client.server.file_token([Scope("write", place)])
        client.files.upload(token, tmp_path / "scan.aim", place)
        scan = {
            "type": "ForeignFile",
            "source": "userdata",
            "virtualpath": f"scans/{name}/scan.aim",
            "filename": "scan.aim",
        }
        control.start_run(serial, inputs={"scan": scan, "sample": name}, name=name)
    xfworker(tmp_path, "worker", *at, "--until-idle", "--concurrency", "2", "--data", tmp_path / "worker")

    tasks = {task.name: task for task in client.server.find(Task, {"workflow_serial": serial})}
    jobs = {name: client.server.find(Job, {"task_serial": task.serial}) for name, task in tasks.items()}
    ended = {name: [(job.state, job.metadata.get("error_message")) for job in found] for name, found in jobs.items()}
    done = (JobState.DONE, None)
    assert ended == {name: [done] * (1 if name == "Group chart" else 2) for name in tasks}
    for job in jobs["Statistics"]:
        # The majority rounds edges off, so it is not quite the bone that was drawn.
        assert job.outputs["volume_fraction"] == pytest.approx(known.volume_fraction, rel=0.1)
        assert job.outputs["mean_density"] == pytest.approx(known.mean_density, rel=0.02)
    (chart,) = jobs["Group chart"]
    assert chart.outputs["runs"] == 2
    assert chart.outputs["table"]["type"] == "CSV"


def test_a_workflow_whose_parts_do_not_fit_is_not_imported(served, tmp_path):
    embedded, client = served
    at = ("--server", embedded.data)
    xfworker(tmp_path, "package", "install", PACKAGES / "segment", PACKAGES / "statistics", *at)
    version = {"version": "1.0.0.0"}
    tasks = [
        {
            "task_type": {"name": "Example.Segment", **version},
            "inputs": {"threshold": {"mode": "fixed", "fixed_value": -1}},
        },
        {
            "task_type": {"name": "Example.Statistics", **version},
            "inputs": {
                "image": {"mode": "none"},
                "segments": {"mode": "output", "task": 0, "key": "mask"},
                "colour": {"mode": "ui"},
            },
        },
    ]
    (tmp_path / "tasks.json").write_text(json.dumps({"tasks": tasks}))
    metadata = {"package_format": "XFP-WF1.0", "name": "Lab.Broken", **version}
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    before = len(client.server.find(Workflow))
    command = [sys.executable, "-m", "xfworker", "workflow", "import", str(tmp_path), "--server", str(embedded.data)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    for fault in (
        "tasks[0].inputs.image: is required",
        "tasks[0].inputs.threshold.fixed_value: -1 is below the minimum 0",
        "tasks[1].inputs.image: is required",
        "tasks[1].inputs.segments.key: Example.Segment has no output 'mask'; outputs are: segments",
        "tasks[1].inputs.colour: there is no such input",
    ):
        assert fault in done.stderr
    assert len(client.server.find(Workflow)) == before


def test_checking_in_twice_makes_one_and_other_files_need_another_version(served, tmp_path):
    from xfworker.domain.errors import PackageError
    from xfworker.services.packages.checkin import check_in

    _, client = served
    folder = tmp_path / "package"
    folder.mkdir()
    for path in (PACKAGES / "snapshot").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    metadata = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps({**metadata, "name": "Lab.Twice"}))
    first, second = (check_in(client.server, client.files, folder) for _ in range(2))
    assert (first.is_new, second.is_new) == (True, False)
    assert first.record.serial == second.record.serial
    (folder / "main.py").write_text("print('other')\n")
    with pytest.raises(PackageError, match="raise the version"):
        check_in(client.server, client.files, folder)
    (folder / "metadata.json").write_text(json.dumps({**metadata, "name": "Lab.Twice", "version": "1.0.0.1"}))
    assert check_in(client.server, client.files, folder).is_new
    versions = client.server.find(TaskType, {"name": "Lab.Twice"})
    assert [record.version for record in versions] == ["1.0.0.0", "1.0.0.1"]
