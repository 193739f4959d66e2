"""
What a job costs on a pilot of Slurm over its bare process: ``python -m benchmarks.pilot_overhead [--quick] [--json]``.

A script that only finishes is run by a pilot many times, one after the other, and so is a process that imports the same
modules and ends. Beside them stands the same process as a batch job of its own, which is what a pilot saves.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.goals import Goal, benchmark_parser, conclude
from tests.cluster.slurm import reason_for_no_slurm, slurm
from xfworker.api.composition.client import Client, ServerAddress, connected
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.settings.model import Settings
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, TaskType, Workflow, WorkflowState
from xfworker.services.packages.checkin import check_in

_SCRIPT = "import xfworkerutil\nxfworkerutil.XFWorkerJob().finish({})\n"
_BARE = "import xfworkerutil; xfworkerutil.XFWorkerJob"
_MOST_MILLISECONDS = 500.0
_STEP_SECONDS = 0.01


def new_task(client: Client, folder: Path) -> int:
    package = folder / "package"
    package.mkdir()
    described = {"package_format": "XFP-TT1.0", "name": "Bench.Finish", "version": "1.0.0.0"}
    (package / "metadata.json").write_text(json.dumps(described))
    (package / "interface.json").write_text(json.dumps({"inputs": [], "outputs": []}))
    (package / "main.py").write_text(_SCRIPT)
    check_in(client.server, client.files, package)
    [task_type] = client.server.find(TaskType, {"name": "Bench.Finish"})
    project = client.server.create(Project(name="bench"))
    workflow = client.server.create(Workflow(project_serial=project.serial, state=WorkflowState.ACTIVE))
    return client.server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial)).serial


def on_pilot(client: Client, task: int, count: int) -> float:
    """Run jobs on the pilot and give the milliseconds of each."""
    began = time.monotonic()
    for _ in range(count):
        client.server.create(Job(task_serial=task, state=JobState.READY))
    while client.server.find(Job, {"state": (JobState.READY, JobState.RUNNING)}):
        time.sleep(_STEP_SECONDS)
    assert not client.server.find(Job, {"state": JobState.FAILED})
    return 1000 * (time.monotonic() - began) / count


def each(count: int, run: Callable[[], object]) -> float:
    began = time.monotonic()
    for _ in range(count):
        run()
    return 1000 * (time.monotonic() - began) / count


def main() -> int:
    options = benchmark_parser(__doc__).parse_args()
    count = 10 if options.quick else 60
    reason = reason_for_no_slurm()
    figures: dict[str, float] = {}
    if not reason:
        with (
            tempfile.TemporaryDirectory(prefix="xf-bench-") as name,
            EmbeddedServer(Path(name) / "lab") as embedded,
            connected(ServerAddress(embedded.url, embedded.admin_token), Settings()) as client,
        ):
            folder = Path(name)
            (folder / "slurm").mkdir()
            with slurm(folder / "slurm") as variables:
                environment = {**os.environ, **variables, "XFWORKER_SERVER_TOKEN": embedded.admin_token}
                task = new_task(client, folder)
                scale = ["cluster", "scale", "--slurm", "1", "--server", embedded.url, "--data", str(folder / "data")]
                subprocess.run(
                    [sys.executable, "-m", "xfworker", *scale, "--memory-mib", "500"], env=environment, check=True
                )
                on_pilot(client, task, 2)  # the pilot starts, and so does the process that scripts are forked from
                figures["pilot_ms"] = on_pilot(client, task, count)
                figures["bare_ms"] = each(count, lambda: subprocess.run([sys.executable, "-c", _BARE], check=True))
                batch = ["sbatch", "--wait", "--output=/dev/null", f"--wrap={sys.executable} -c '{_BARE}'"]
                figures["batch_job_ms"] = each(
                    3, lambda: subprocess.run(batch, env=environment, stdout=subprocess.DEVNULL, check=True)
                )
    for what, milliseconds in figures.items():
        print(f"{what}: {milliseconds:.0f}", file=sys.stderr)
    over = figures["pilot_ms"] - figures["bare_ms"] if figures else None
    goal = Goal("a job on a pilot over its bare process", over, _MOST_MILLISECONDS, unit="ms", reason=reason)
    return conclude("pilot_overhead", [goal], options, figures)


if __name__ == "__main__":
    sys.exit(main())
