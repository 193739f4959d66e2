"""The commands that people look after a server with, as they type them."""

import json
import re
import subprocess
import sys

import pytest

from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.change import Change
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, RunPriority, Task, TaskType, TaskTypeKind, Worker, Workflow
from xfworker.testing.contracts.worlds import HttpWorld, Setting


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with EmbeddedServer(tmp_path_factory.mktemp("served")) as embedded:
        transport = HttpTransport(embedded.url, token=embedded.admin_token)
        yield (
            embedded,
            HttpWorld(
                admin=HttpXFServer(transport),
                queue=HttpJobQueue(transport),
                url=embedded.url,
                control=HttpWorkflowControl(transport),
            ),
        )
        transport.close()


@pytest.fixture
def command(served):
    def run(*words, code=0, stdin=None, cwd=None):
        done = subprocess.run(  # noqa: PLW1510  the code is checked below
            [sys.executable, "-m", "xfworker", *words],
            capture_output=True,
            text=True,
            input=stdin,
            timeout=120,
            cwd=cwd or served[0].data,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def test_a_workflow_is_started_run_watched_and_stopped(served, command):
    embedded, world = served
    setting = Setting.make(world)
    server = ["--server", str(embedded.data)]
    workflow = str(setting.workflow.serial)
    assert "Stopped" in command("workflow", "stop", workflow, *server).stdout
    assert "Active" in command("workflow", "start", workflow, *server).stdout
    run = json.loads(command("workflow", "run", workflow, "--name", "mouse", "--json", *server).stdout)
    assert run["name"] == "mouse"
    setting.job()
    status = json.loads(command("workflow", "status", workflow, "--json", *server).stdout)
    assert status["tasks"][0]["jobs"]["Ready"] == 1
    assert "look" in command("workflow", "status", workflow, *server).stdout


def test_a_run_is_looked_at_before_its_files_are_uploaded(served, command, tmp_path):
    embedded, world = served
    setting = Setting.make(world)
    workflow = str(setting.workflow.serial)
    (tmp_path / "scan.bin").write_bytes(b"x")
    item = f"image@{tmp_path / 'scan.bin'}"

    def refused() -> str:
        done = command("workflow", "run", workflow, item, "--server", str(embedded.data), code=1)
        assert "storing" not in done.stderr
        return done.stderr

    assert "no source task that takes inputs" in refused()
    for name in ("left", "right"):
        kind = world.admin.create(TaskType(name=f"Lab.{name}", kind=TaskTypeKind.SOURCE))
        world.admin.create(Task(workflow_serial=setting.workflow.serial, task_type_serial=kind.serial, name=name))
    assert "several source tasks" in refused()
    world.admin.update(Workflow, setting.workflow.serial, Change(values={"/obsolete": True}))
    assert "is obsolete" in refused()


def test_jobs_are_listed_shown_aborted_and_restarted(served, command):
    embedded, world = served
    setting = Setting.make(world)
    server = ["--server", str(embedded.data)]
    job = setting.job(name="left femur")
    serial = str(job.serial)
    listed = json.loads(command("job", "list", "--task", str(setting.task.serial), "--json", *server).stdout)
    assert [item["serial"] for item in listed["jobs"]] == [job.serial]
    assert "left femur" in command("job", "list", "--state", "Ready", *server).stdout
    assert "Aborted" in command("job", "abort", serial, *server).stdout
    assert "Aborted already" in command("job", "abort", serial, *server, code=1).stderr
    assert "Ready" in command("job", "restart", serial, *server).stdout
    lease = setting.leased(job)
    assert "asked to stop" in command("job", "abort", serial, *server).stdout
    world.queue.end(lease, Outcome(ending=Ending.ABORTED, message="stopped"))
    shown = json.loads(command("job", "show", serial, "--json", *server).stdout)
    assert shown["state"] == "Aborted"
    assert shown["events"][0]["title"] == f"created job {serial}"
    text = command("job", "show", serial, *server).stdout
    assert "stopped" in text
    assert re.search(r"^claimed \S+Z, ended \S+Z, \d+\.\d s \(installing what it needs counts", text, re.MULTILINE)
    assert "no log yet" in command("job", "log", serial, *server).stderr


SEGMENT = {"inputs": [], "outputs": [{"key": "mask", "type": "String"}, {"key": "volume", "type": "Float"}]}
MEASURE = {
    "inputs": [
        {"key": "image", "type": "String"},
        {"key": "threshold", "type": "Float", "minimum": 0},
        {"key": "note", "type": "String", "supported_modes": ["none", "fixed"]},
    ],
    "outputs": [{"key": "density", "type": "Float"}],
}


def test_a_task_is_appended_to_a_job_and_the_workflow_exported_and_imported(served, command, tmp_path):
    embedded, world = served
    server = ["--server", str(embedded.data)]
    # An import looks for the task type by its name, and other tests of this server have types of the usual one.
    setting = Setting.make(world, interface=SEGMENT, task_type_name="Test.Segment")
    for version in ("1.9.0.0", "1.10.0.0"):
        world.admin.create(TaskType(name="Lab.Measure", version=version, interface=MEASURE))
    done = setting.job(state=JobState.DONE, outputs={"mask": "round", "volume": 2.5})
    words = ["job", "append", str(done.serial), "Lab.Measure"]
    refused = command(*words, "treshold=1", "threshold=-1", "image@maks", *server, code=2).stderr
    assert "treshold: there is no such input; inputs are: image, threshold, note" in refused
    assert "threshold: -1.0 is below the minimum 0" in refused
    assert "image: task" in refused
    assert "has no output 'maks'; it has: mask, volume" in refused
    assert "there is no task type 'Lab.Other'" in command("job", "append", "1", "Lab.Other", *server, code=2).stderr
    assert "no version 2" in command(*words, "--version", "2", *server, code=2).stderr
    assert len(world.admin.find(Task, {"workflow_serial": setting.workflow.serial})) == 1
    task = json.loads(command(*words, "threshold=320", "--json", *server).stdout)
    kind = world.admin.get(TaskType, task["task_type_serial"])
    assert (task["name"], kind.version) == ("Measure", "1.10.0.0")
    assert {source["key"]: source["mode"] for source in task["inputs"]} == {
        "image": "output",
        "threshold": "fixed",
        "note": "none",
    }
    assert [job["run_serial"] for job in task["jobs"]] == [setting.run.serial]
    shown = command(*words, "threshold@volume", "--version", "1.9.0.0", "--name", "again", *server).stdout
    for line in ("image: mask of task", "threshold: volume of task", "note: no value", "job "):
        assert line in shown

    workflow = ["workflow", "export", str(setting.workflow.serial)]
    packed = json.loads(command(*workflow, "--version", "2.0.0.0", "--json", *server, cwd=tmp_path).stdout)
    assert packed == {**packed, "file": "mice-2.0.0.0.xfp", "name": "mice", "tasks": 3}
    made = json.loads(command("workflow", "import", packed["file"], "--json", *server, cwd=tmp_path).stdout)
    assert [task["name"] for task in made["tasks"]] == ["look", "Measure", "again"]
    connected = made["tasks"][1]["inputs"][0]
    assert (connected["task_serial"], connected["output_key"]) == (made["tasks"][0]["serial"], "mask")
    assert "there is no folder" in command(*workflow, "--out", "no/where.xfp", *server, code=2, cwd=tmp_path).stderr
    assert "name" in command(*workflow, "--name", "with space", *server, code=1, cwd=tmp_path).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mice-2.0.0.0.xfp"]


def test_accounts_are_looked_after(served, command):
    embedded, world = served
    server = ["--server", str(embedded.data)]
    command("user", "add", "anna", "--password-stdin", *server, stdin="correct horse\n")
    listed = json.loads(command("user", "list", "--json", *server).stdout)["accounts"]
    assert [item["name"] for item in listed] == ["anna"]
    assert "8 to" in command("user", "add", "b", "--password-stdin", *server, stdin="short\n", code=1).stderr
    token = command("user", "token", "anna", "--purpose", "laptop", *server).stdout.strip()
    anna = world.as_bearer(token)
    setting = Setting.make(world)
    project, job = setting.project, setting.job()
    assert project not in anna.find(type(project))
    command("user", "share", str(project.serial), "anna", *server)
    assert anna.find(type(project)) == [project]
    command("user", "unshare", str(project.serial), "anna", *server)
    assert anna.find(type(project)) == []
    command("user", "disable", "anna", *server)
    worker = command("user", "token", "bench", "--worker", *server).stdout.strip()
    assert job in world.admin.find(Job)
    assert world.as_bearer(worker).find(Job) == []  # a worker sees the jobs whose leases it holds, and no others


def test_data_are_backed_up_checked_and_restored(served, command, tmp_path):
    embedded, world = served
    setting = Setting.make(world)
    data = ["--data", str(embedded.data)]
    job = setting.job(name="kept")
    command("backup", str(tmp_path / "backup"), *data)
    assert "there already" in command("backup", str(tmp_path / "backup"), *data, code=2).stderr
    world.admin.update(Job, job.serial, Change(values={"/name": "lost"}))
    command("restore", str(tmp_path / "backup"), *data)
    assert world.admin.get(Job, job.serial).name == "kept"
    elsewhere = command("restore", str(tmp_path / "backup"), "--data", str(tmp_path / "elsewhere"))
    assert elsewhere.stdout == ""
    assert len(elsewhere.stderr.splitlines()) == 1
    said = command("doctor", "--deep", *data).stderr
    assert "in order" in said
    assert "kept for ever" in said
    assert json.loads(command("doctor", "--json", *data).stdout)["findings"] == []
    reference = {"type": "CSV", "source": "job_result", "job_serial": job.serial, "filename": "gone.csv"}
    stored = embedded.data / "files" / "job_result" / str(job.serial) / "gone.csv"
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_text("1,2\n")
    world.admin.create(Job(task_serial=setting.task.serial, state=JobState.DONE, outputs={"table": reference}))
    stored.unlink()
    found = json.loads(command("doctor", "--json", *data, code=1).stdout)["findings"]
    assert [item["kind"] for item in found] == ["missing"]


def test_a_server_that_is_not_there_is_one_sentence(command, tmp_path):
    error = command("job", "list", code=2, cwd=tmp_path).stderr
    assert error.startswith("xfworker: no server is named")
    assert "holds no records" in command("doctor", "--data", str(tmp_path), code=2).stderr
    assert command("job", "list", "--server", str(tmp_path), code=2).stderr.count("\n") == 1


def test_a_taken_port_is_one_sentence(served, command, tmp_path):
    words = ["serve", "--data", str(tmp_path), "--port", str(served[0].port), "--database", "memory:"]
    assert "could not listen" in command(*words, code=2).stderr


def test_a_second_server_on_one_folder_is_refused_and_says_where_the_first_is(served, command):
    embedded, _ = served
    refused = command("serve", "--data", str(embedded.data), "--port", "0", code=2).stderr
    assert embedded.url in refused
    assert "job" in command("job", "list", "--server", str(embedded.data)).stdout


INTERFACE = {
    "inputs": [
        {"key": "threshold", "type": "Float", "minimum": 0, "supported_modes": ["ui"]},
        {"key": "note", "type": "String", "supported_modes": ["none", "ui"]},
    ],
    "outputs": [{"key": "side", "type": "String"}, {"key": "table", "type": "CSV"}],
}


def asked_job(world, kind, inputs=()):
    """A job that waits for a person."""
    setting = Setting.make(world)
    task_type = world.admin.create(
        TaskType(name=f"Lab.{kind}{setting.task.serial}", kind=TaskTypeKind(kind), interface=INTERFACE)
    )
    task = world.admin.create(
        Task(
            workflow_serial=setting.workflow.serial,
            task_type_serial=task_type.serial,
            name="measure",
            inputs=[{"key": key, "mode": "ui"} for key in inputs],
        )
    )
    return world.admin.create(Job(task_serial=task.serial, state=JobState.READY_FOR_INTERACTIVE))


def test_a_person_gives_a_job_its_inputs(served, command):
    embedded, world = served
    server = ["--server", str(embedded.data)]
    job = asked_job(world, "Processing", inputs=("threshold",))
    serial = str(job.serial)
    assert "yes" in command("job", "inputs", serial, *server).stdout
    assert "below the minimum" in command("job", "set", serial, "threshold=-1", *server, code=2).stderr
    assert "there is no such input" in command("job", "set", serial, "treshold=1", *server, code=2).stderr
    assert world.admin.get(Job, job.serial).state is JobState.READY_FOR_INTERACTIVE
    command("job", "set", serial, "note=left", "--no-start", *server)
    document = json.loads(command("job", "set", serial, "threshold=400", "--json", *server).stdout)
    assert document["inputs"] == {"note": "left", "threshold": 400.0}
    assert document["state"] in {"Waiting", "Ready"}
    shown = json.loads(command("job", "inputs", serial, "--json", *server).stdout)["inputs"]
    assert [(item["key"], item["mode"], item["value"]) for item in shown] == [
        ("threshold", "ui", 400.0),
        ("note", None, "left"),
    ]


def test_a_person_finishes_a_job_and_its_files_and_results_are_fetched(served, command, tmp_path):
    embedded, world = served
    server = ["--server", str(embedded.data)]
    job = asked_job(world, "Interactive")
    serial = str(job.serial)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    asked = command("job", "inputs", serial, *server).stdout
    assert f"xfworker job finish {serial} OUTPUT=VALUE" in asked
    assert [line.split() for line in asked.splitlines()[-2:]] == [["side", "String", "yes"], ["table", "CSV", "yes"]]
    assert "table: is required" in command("job", "finish", serial, "side=left", *server, code=2, cwd=tmp_path).stderr
    misspelt = command("job", "finish", serial, "sied=left", "table@t.csv", *server, code=2, cwd=tmp_path).stderr
    assert "these outputs cannot be used" in misspelt
    assert "there is no such output; outputs are: " in misspelt
    command("job", "finish", serial, "side=left", "table@t.csv", *server, cwd=tmp_path)
    assert "only a job that waits" in command("job", "finish", serial, "side=left", *server, code=1).stderr
    assert f"job_result/{serial}/t.csv" in command("job", "files", serial, *server).stdout
    fetched = json.loads(command("job", "download", serial, "--json", *server, cwd=tmp_path).stdout)["files"]
    assert fetched["table"] == [str(tmp_path / "xf-results" / f"job-{serial}" / "t.csv")]
    assert "has no output 'mask'" in command("job", "download", serial, "mask", *server, code=2).stderr
    workflow = str(world.admin.get(Job, job.serial).workflow_serial)
    found = command("workflow", "results", workflow, "--csv", *server).stdout.splitlines()
    assert found[0] == "run,name,sample,sample_uuid,created_at,state,measure.side,measure.table"
    assert found[-1].endswith(",Done,left,t.csv")


def test_every_job_that_is_named_is_tried(served, command):
    embedded, world = served
    setting = Setting.make(world)
    jobs = [str(setting.job().serial) for _ in range(2)]
    done = command("job", "abort", jobs[0], "999999", jobs[1], "--json", "--server", str(embedded.data), code=1)
    document = json.loads(done.stdout)
    assert [item["state"] for item in document["jobs"]] == ["Aborted", "Aborted"]
    assert document["errors"][0]["job_serial"] == 999999
    assert "999999" in done.stderr


def test_files_of_a_server_are_stored_listed_fetched_and_removed(served, command, tmp_path):
    server = ["--server", str(served[0].data)]
    (tmp_path / "a.txt").write_text("content")
    command("file", "put", "a.txt", "userdata/scans/", *server, cwd=tmp_path)
    listed = json.loads(command("file", "list", "userdata/scans", "--json", *server).stdout)
    assert [item["file"] for item in listed["files"]] == ["userdata/scans/a.txt"]
    assert "userdata/scans/" in command("file", "list", *server).stdout
    command("file", "get", "userdata/scans/a.txt", "b.txt", *server, cwd=tmp_path)
    assert (tmp_path / "b.txt").read_text() == "content"
    words = ["file", "get", "userdata/scans/a.txt", "b.txt", *server]
    assert "there already" in command(*words, code=2, cwd=tmp_path).stderr
    assert "not a source of files" in command("file", "get", "scans/a.txt", *server, code=2).stderr
    words = ["file", "remove", "userdata/scans/none", "userdata/scans/a.txt", "--json", *server]
    removed = json.loads(command(*words, code=1).stdout)
    assert removed["removed"] == ["userdata/scans/a.txt"]
    assert removed["errors"][0]["file"] == "userdata/scans/none"


def test_records_are_listed(served, command):
    embedded, world = served
    server = ["--server", str(embedded.data)]
    setting = Setting.make(world)
    workflow = str(setting.workflow.serial)
    run = world.admin.create(
        Run(workflow_serial=setting.workflow.serial, name="left", entity={"uuid": "u", "name": "m7"})
    )
    assert str(setting.project.serial) in command("project", "list", *server).stdout
    tasks = json.loads(command("task", "list", "--workflow", workflow, "--json", *server).stdout)["tasks"]
    assert [task["serial"] for task in tasks] == [setting.task.serial]
    assert "m7" in command("run", "list", "--workflow", workflow, *server).stdout
    assert "High" in command("run", "priority", "High", str(run.serial), *server).stdout
    assert world.admin.get(Run, run.serial).priority is RunPriority.HIGH
    worker = world.queue.register(Worker(name="bench 7"))
    assert worker.name in command("worker", "list", *server).stdout


def test_files_of_runs_are_deleted_when_somebody_says_so(served, command, tmp_path):
    embedded, world = served
    server = ["--server", str(embedded.data)]
    setting = Setting.make(world)
    run = world.admin.create(Run(workflow_serial=setting.workflow.serial))
    job = world.admin.create(Job(task_serial=setting.task.serial, run_serial=run.serial, state=JobState.DONE))
    (tmp_path / "t.csv").write_text("a,b")
    for folder in ("job_result", "job_log"):
        command("file", "put", "t.csv", f"{folder}/{job.serial}/", *server, cwd=tmp_path)
    words = ["run", "delete", "--workflow", str(setting.workflow.serial), "--older-than-days"]
    assert json.loads(command(*words, "1", "--yes", "--json", *server).stdout) == {"runs": []}
    shown = command(*words, "0", *server)
    assert "--yes" in shown.stderr
    assert not world.admin.get(Run, run.serial).obsolete
    items = json.loads(command(*words, "0", "--yes", "--json", *server).stdout)["runs"]
    (item,) = [item for item in items if item["run_serial"] == run.serial]
    assert (item["files"], item["bytes"], item["deleted"]) == (2, 6, True)
    assert world.admin.get(Run, run.serial).obsolete
    assert json.loads(command("job", "files", str(job.serial), "--json", *server).stdout) == {"files": []}


def test_files_of_obsolete_runs_go_but_for_those_that_something_else_uses(served, command, tmp_path):
    embedded, world = served
    server = ["--server", str(embedded.data)]
    setting = Setting.make(world)
    runs, jobs = [], []
    (tmp_path / "t.csv").write_text("a,b")
    for _ in range(2):
        run = world.admin.create(Run(workflow_serial=setting.workflow.serial)).serial
        job = world.admin.create(Job(task_serial=setting.task.serial, run_serial=run, state=JobState.DONE)).serial
        command("file", "put", "t.csv", f"job_result/{job}/", *server, cwd=tmp_path)
        world.admin.update(Run, run, Change(values={"/obsolete": True}))
        runs.append(run)
        jobs.append(job)
    used = {"type": "CSV", "source": "job_result", "job_serial": jobs[0], "filename": "t.csv"}
    user = world.admin.create(Job(task_serial=setting.task.serial, metadata={"shown": used})).serial
    usage = json.loads(command("file", "usage", "--json", *server).stdout)
    (own,) = [use for use in usage["workflows"] if use["workflow_serial"] == setting.workflow.serial]
    assert (own["bytes"], own["obsolete_bytes"]) == (6, 6)
    assert str(own["workflow_serial"]) in command("file", "usage", *server).stdout
    words = ["run", "delete", "--obsolete", "--workflow", str(setting.workflow.serial), "--yes", "--json", *server]
    done = command(*words, code=1)
    items = {item["run_serial"]: item for item in json.loads(done.stdout)["runs"]}
    assert (items[runs[0]]["error"], items[runs[0]]["kept_jobs"]) == (
        f"job {user} uses files of job {jobs[0]}",
        [jobs[0]],
    )
    assert (items[runs[1]]["deleted"], items[runs[1]]["bytes"], items[runs[1]]["error"]) == (True, 3, None)
    assert json.loads(command("job", "files", str(jobs[0]), "--json", *server).stdout)["files"] != []


def test_a_run_is_copied_and_the_board_shows_both(served, command):
    embedded, world = served
    server = ["--server", str(embedded.data)]
    setting = Setting.make(world)
    workflow = str(setting.workflow.serial)
    world.admin.update(Workflow, setting.workflow.serial, Change(values={"/state": "Active"}))
    run = world.control.start_run(setting.workflow.serial, name="left", entity={"uuid": "u9", "name": "m9"})
    waiting = world.admin.create(Job(task_serial=setting.task.serial, run_serial=run.serial))
    job = (waiting.serial, run.serial, "Waiting")
    made = json.loads(command("run", "copy", str(run.serial), "--name", "again", "--json", *server).stdout)
    assert (made["name"], made["entity"]) == ("again", {"uuid": "u9", "name": "m9"})
    document = json.loads(command("workflow", "board", workflow, "--json", *server).stdout)
    assert [row["name"] for row in document["runs"]][-2:] == ["left", "again"]
    assert job in [(cell["job_serial"], cell["run_serial"], cell["state"]) for cell in document["cells"]]
    world.admin.update(Run, made["serial"], Change(values={"/obsolete": True}))
    shown = command("workflow", "board", workflow, *server)
    assert "left" in shown.stdout
    assert "again" not in shown.stdout
    assert "1 obsolete runs are left out" in shown.stderr
    since = document["read_at"]
    changed = json.loads(command("workflow", "board", workflow, "--since", since, "--json", *server).stdout)
    assert [row["name"] for row in changed["runs"]] == ["again"]
    assert changed["tasks"] == []
    assert (
        "since: expected a time"
        in command("workflow", "board", workflow, "--since", "x", "--json", *server, code=2).stderr
    )


def test_the_log_of_an_earlier_attempt_is_printed_by_its_number(served, command, tmp_path):
    embedded, world = served
    server = ["--server", str(embedded.data)]
    setting = Setting.make(world)
    job = setting.job()
    worker = world.queue.register(Worker(name="tries")).serial
    for _ in range(3):
        lease = world.queue.claim(worker, job_serial=job.serial)
        world.queue.end(lease, Outcome(ending=Ending.CRASHED))
        world.admin.update(Job, job.serial, Change(values={"/state": "Ready"}))
    for name in ("log-1.txt", "log.txt"):
        (tmp_path / name).write_text(name)
        command("file", "put", name, f"job_log/{job.serial}/", *server, cwd=tmp_path)
    words = ["job", "log", str(job.serial), *server, "--attempt"]
    assert command(*words, "1").stdout == "log-1.txt"
    assert command(*words, "3").stdout == "log.txt"
    for attempt, code, said in (
        ("2", 1, "no log of attempt 2"),
        ("4", 2, "has had 3 attempts"),
        ("0", 2, "3 attempts"),
    ):
        done = command(*words, attempt, code=code)
        assert said in done.stderr


def test_a_log_is_printed_to_the_last_character(served, command, tmp_path):
    embedded, world = served
    server = ["--server", str(embedded.data)]
    job = Setting.make(world).job()
    text = "".join(f"{line}:{'ä≤' * 40}\n" for line in range(30000))
    (tmp_path / "log.txt").write_bytes(text.encode())
    command("file", "put", "log.txt", f"job_log/{job.serial}/", *server, cwd=tmp_path)
    assert command("job", "log", str(job.serial), *server).stdout == text
