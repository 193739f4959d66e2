"""A server and a Slurm on this computer, and the commands as a person gives them."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.slurm import slurm
from xfworker.api.composition.client import ServerAddress, connected
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.settings.model import Settings
from xfworker.domain.records import Project, Task, TaskType, Workflow, WorkflowState
from xfworker.services.packages.checkin import check_in


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

    def task(self, script, **described):
        """Install a script as a task type with a String input `folder` and an Int output `n`, and give a task of it."""
        name = described["name"]
        package = self.folder / name
        package.mkdir()
        described = {"package_format": "XFP-TT1.0", "version": "1.0.0.0", **described}
        interface = {"inputs": [{"key": "folder", "type": "String"}], "outputs": [{"key": "n", "type": "Int"}]}
        (package / "metadata.json").write_text(json.dumps(described))
        (package / "interface.json").write_text(json.dumps(interface))
        (package / "main.py").write_text(script)
        check_in(self.server, self.client.files, package)
        [task_type] = self.server.find(TaskType, {"name": name})
        project = self.server.create(Project(name=name))
        workflow = self.server.create(Workflow(project_serial=project.serial, state=WorkflowState.ACTIVE))
        return self.server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial)).serial


@contextmanager
def slurm_site(folder):
    """Start both, with what they write in a folder."""
    with (
        tempfile.TemporaryDirectory(prefix="xf-slurm-") as short,
        slurm(Path(short)) as variables,
        EmbeddedServer(folder / "lab") as embedded,
        connected(ServerAddress(embedded.url, embedded.admin_token), Settings()) as client,
    ):
        yield Site(folder, embedded, client, variables)
