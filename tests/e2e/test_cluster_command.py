"""``xfworker cluster`` with commands of batch systems that only write down what they got."""

import json
import os
import stat
import subprocess
import sys

import pytest

from xfworker.api.cli.main import main
from xfworker.api.composition.client import ServerAddress, connected
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.settings.model import Settings
from xfworker.domain.change import Change
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.domain.resources import Pilot

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are shell scripts")

# What each prints that submits: as the real ones do, with a number that grows.
ANSWERS = {
    "slurm": ("sbatch", "$n;cluster", "scancel"),
    "pbs": ("qsub", "$n.head.lab", "qdel"),
    "lsf": ("bsub", "Job <$n> is submitted to queue <normal>.", "bkill"),
    "htcondor": ("condor_submit", "$n.0 - $n.0", "condor_rm"),
    "kubernetes": ("kubectl", "job.batch/pilot-$n", "kubectl"),
}
IDS = {"pbs": "{}.head.lab", "kubernetes": "pilot-{}"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with (
        EmbeddedServer(tmp_path_factory.mktemp("lab")) as embedded,
        connected(ServerAddress(embedded.url, embedded.admin_token), Settings()) as client,
    ):
        yield embedded, client


@pytest.fixture
def site(served, tmp_path, monkeypatch):
    return Site(*served, tmp_path, monkeypatch)


class Site:
    """A computer with commands of a batch system."""

    def __init__(self, embedded, client, folder, monkeypatch):
        self.client, self.folder = client, folder
        self.bin, self.data = folder / "bin", folder / "data"
        self.bin.mkdir()
        monkeypatch.setenv("PATH", f"{self.bin}{os.pathsep}/bin{os.pathsep}/usr/bin")
        monkeypatch.setenv("XFWORKER_SERVER_TOKEN", embedded.admin_token)
        monkeypatch.setenv("XFWORKER_SERVER_URL", embedded.url)
        self.token = embedded.admin_token

    def command(self, name, body):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def install(self, system):
        submit, answer, cancel = ANSWERS[system]
        count = self.folder / "count"
        lines = f"n=$(($(cat {count} 2>/dev/null || echo 100) + 1)); echo $n > {count}; cat > {self.folder}/script-$n; "
        record = f'echo "$0 $@" >> {self.folder}/calls; env > {self.folder}/environment; '
        self.command(cancel, record)
        self.command(submit, f'{record}if [ "$1" = delete ]; then exit; fi; {lines}echo "{answer}"')

    def run(self, *words):
        return main(["cluster", *words, "--data", str(self.data)])

    @property
    def calls(self):
        path = self.folder / "calls"
        return [line.rpartition("/")[2] for line in path.read_text().splitlines()] if path.exists() else []

    def pilot(self, name, job, **fields):
        pilot = Pilot(system="slurm", job=job, **fields)
        return self.client.queue.register(Worker(name=name, metadata={"pilot": pilot.to_json(), "instance": name}))


def pilots(capsys):
    return {one["pilot"]: one["state"] for one in json.loads(capsys.readouterr().out)["pilots"]}


@pytest.mark.parametrize("system", ANSWERS)
def test_pilots_are_submitted_once_and_cancelled_by_every_system(site, capsys, system):
    site.install(system)
    submit, _, cancel = ANSWERS[system]
    for _ in range(2):
        assert site.run("scale", f"--{system}", "2", "--image", "lab/xfworker", "--json") == 0
        ids = [f"{system}:{IDS.get(system, '{}').format(number)}" for number in (101, 102)]
        assert pilots(capsys) == dict.fromkeys(ids, "submitted")
    assert [call.split()[0] for call in site.calls] == [submit, submit]
    text = (site.folder / "script-101").read_text()
    assert "--walltime" in text
    assert site.token not in text
    assert site.token not in "".join(site.calls)
    assert site.token not in (site.folder / "environment").read_text()
    assert site.run("stop", ids[0]) == 0
    assert site.run("list", "--json") == 0
    assert pilots(capsys) == {ids[1]: "submitted"}
    assert site.run("stop", "--all") == 0
    assert [call.split()[-1] for call in site.calls[2:]] == [name.partition(":")[2] for name in ids]
    assert {call.split()[0] for call in site.calls[2:]} == {cancel}


def test_the_token_is_in_a_file_of_its_owner(site):
    site.install("slurm")
    assert site.run("scale", "--slurm", "1") == 0
    [line] = [line for line in (site.folder / "script-101").read_text().splitlines() if "TOKEN_FILE" in line]
    path = site.data / line.partition("=")[2]
    assert path.read_text() == site.token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_pilot_that_was_seen_counts_while_it_is_there(site, capsys):
    site.install("slurm")
    (site.folder / "count").write_text("500")  # numbers of its own: the server remembers them
    assert site.run("scale", "--slurm", "2") == 0
    node = site.pilot("node-1", "501")
    capsys.readouterr()
    assert site.run("scale", "--slurm", "2", "--json") == 0
    assert pilots(capsys) == {"slurm:501": "there", "slurm:502": "submitted"}
    site.pilot("node-1", "501", left=True)
    assert site.run("scale", "--slurm", "2", "--json") == 0
    assert pilots(capsys) == {"slurm:502": "submitted", "slurm:503": "submitted"}
    # On the same computer another one takes the record; the one before is not taken for one that waits.
    assert site.pilot("node-1", "502").serial == node.serial
    assert site.pilot("node-1", "503").serial == node.serial
    assert site.run("list", "--json") == 0
    assert pilots(capsys) == {"slurm:503": "there"}
    assert site.run("stop", "503") == 0
    site.pilot("node-1", "503", left=True)


def test_what_the_batch_system_does_not_list_any_more_is_not_counted_when_it_is_asked(site, capsys):
    site.install("slurm")
    assert site.run("scale", "--slurm", "2") == 0
    site.command("squeue", "echo '102|PENDING'")
    capsys.readouterr()
    assert site.run("list", "--ask") == 0
    listed = capsys.readouterr().out
    assert "absent" in listed
    assert "PENDING" in listed
    assert site.run("scale", "--slurm", "2", "--ask", "--json") == 0
    assert pilots(capsys) == {"slurm:102": "submitted", "slurm:103": "submitted"}


def test_the_batch_job_of_a_job_is_cancelled_and_what_becomes_of_the_job_is_said(site, capsys):
    site.install("slurm")
    server = site.client.server
    workflow = server.create(
        Workflow(project_serial=server.create(Project(name="bones")).serial, state=WorkflowState.ACTIVE)
    )
    task_type = server.create(TaskType(name="Lab.Some"))
    task = server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial))
    job = server.create(Job(task_serial=task.serial, state=JobState.READY)).serial
    assert site.client.queue.claim(site.pilot("node-7", "901").serial).job.serial == job
    assert site.run("stop", "--job", str(job)) == 0
    said = capsys.readouterr().err
    assert "cancelled slurm:901" in said
    assert f"job {job} will run again on another pilot; to end it: xfworker job abort {job}" in said
    server.update(Job, job, Change(values={"/state": "Aborted"}))
    assert site.run("stop", "--job", str(job)) == 0
    assert "run again" not in capsys.readouterr().err
    assert site.calls == ["scancel 901", "scancel 901"]
    site.command("squeue", "echo '901|RUNNING'")
    assert site.run("stop", "--unanswering") == 0
    assert "every pilot that has not left was heard of" in capsys.readouterr().err
    assert site.calls == ["scancel 901", "scancel 901"]
    site.pilot("node-7", "901", left=True)


def test_an_absent_command_and_one_that_refuses_are_said(site, capsys):
    assert site.run("scale", "--pbs", "1") == 1
    assert "there is no command 'qsub' on this computer" in capsys.readouterr().err
    site.command("sbatch", "echo 'sbatch: error: invalid partition specified: long' >&2; exit 1")
    assert site.run("scale", "--slurm", "1") == 1
    said = capsys.readouterr().err
    assert "ended with exit code 1 and said: sbatch: error: invalid partition specified: long" in said
    site.command("sbatch", "echo hello")
    assert site.run("scale", "--slurm", "1") == 1
    assert "names no batch job: 'hello'" in capsys.readouterr().err
    assert site.run("list", "--json") == 0
    assert "submitted" not in pilots(capsys).values()


@pytest.mark.parametrize(
    "words",
    [
        ("scale",),
        ("scale", "--slurm", "1", "--pbs", "1"),
        ("scale", "--slurm", "1", "--value", "long"),
        ("scale", "--kubernetes", "1"),
        ("stop",),
        ("stop", "4711"),
        ("stop", "4711", "--all"),
        ("stop", "--worker", "nobody"),
        ("stop", "--worker", "nobody", "--unanswering"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_changes_nothing(site, words):
    site.install("slurm")
    site.install("kubernetes")
    assert site.run(*words) == 2
    assert site.calls == []


def test_a_dry_run_and_the_template_are_printed_and_nothing_is_submitted(site, capsys):
    assert site.run("scale", "--slurm", "1", "--dry-run", "--value", "partition=long") == 0
    assert "#SBATCH --partition=long\n" in capsys.readouterr().out
    assert site.run("scale", "--slurm", "1", "--print-template") == 0
    assert "{{command}}" in capsys.readouterr().out
    assert not site.data.exists()


def test_two_commands_at_the_same_time_submit_no_more_than_one_would(site):
    site.install("slurm")
    command = [sys.executable, "-m", "xfworker", "cluster", "scale", "--slurm", "3", "--data", str(site.data)]
    both = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    assert len(site.calls) == 3
