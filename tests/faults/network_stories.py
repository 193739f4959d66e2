"""Stories over a network that fails: what people, workers and scripts do at a real server over real HTTP."""

import sys
from pathlib import Path

from attrs import define

from tests.faults.stories import may
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.api.composition.module_folders import SHIM_FOLDER
from xfworker.domain.files import Scope, record_resource, userdata_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import (
    ActivityEvent,
    Job,
    Project,
    Run,
    Task,
    TaskType,
    TaskTypeKind,
    Worker,
    Workflow,
    WorkflowState,
)
from xfworker.services.platform.disk_space import files_below
from xfworker.services.platform.principal import ADMIN
from xfworker.services.script.session import Session
from xfworker.services.worker.job_executor import JobExecutor, PreparedScript
from xfworker.testing.in_process_runner import InProcessRunner

_SCAN = bytes(range(256)) * 200
_STEP_SECONDS, _LEASES_LAPSE_IN = 10.0, 8
_TRANSFERS = TransferLimits(
    single_put_bytes=16 << 10, request_bytes=16 << 10, block_bytes=8 << 10, blocks=2, connections_per_file=1
)

_SCRIPT = """
import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
content = worker.download_input_file(worker.job["inputs"]["scan"]).read_bytes()
worker.progress(50.0)
large, small = worker.create_temp_path("large.bin"), worker.create_temp_path("small.txt")
large.write_bytes(content[::-1])
small.write_text(str(len(content)))
worker.upload_output_file(large)
worker.upload_output_file(small)
files = {path.stem: worker.create_output_foreign_file(path.name) for path in (large, small)}
worker.save_job(sort_order="n")
worker.finish({**files, "size": len(content)})
"""


class NetworkStory:
    """
    One story at a server that several share.

    Attributes:
        server: The server.
        folder: What it does to the client's disk, it does here.
        errors: What the client got besides what it raised.
    """

    def __init__(self, server, folder):
        self.server = server
        self.folder = folder
        self.errors = []
        # The client's waits take no time, neither its own nor the server's.
        transport = HttpTransport(server.url, token=server.platform.admin_token(), clock=ManualClock())
        self.client = HttpXFServer(transport)
        self.control, self.queue = HttpWorkflowControl(transport), HttpJobQueue(transport)
        self.files = HttpFileStore(transfers=_TRANSFERS, clock=ManualClock())
        self.prepare()

    def prepare(self):
        """Do what is there before; nothing fails here."""

    def play(self):
        """Do it, from the beginning or after it failed somewhere; return whether it came to its end."""
        raise NotImplementedError

    def check(self):
        """Assert that nothing is there by half."""

    def rest(self):
        """Let the time pass after which what was lost is noticed."""

    def lasting(self):
        """Give what there is at the end, however many attempts it took."""
        raise NotImplementedError

    def of_attempts(self):
        """Give what there is besides where no attempt failed: a request that was carried out twice shows here."""

    def stored(self, folder):
        """Give what the server holds below a folder, by name."""
        found = files_below(self.server.files, may(folder), folder)
        return {
            stat.resource.filename: b"".join(self.server.files.open_read(may(stat.resource), stat.resource))
            for stat in found
        }

    def close(self):
        self.files.close()
        self.client.close()


class ResumableUpload(NetworkStory):
    """A large file is stored in parts, a small one at once; both are listed and read again."""

    def prepare(self):
        self.place = userdata_resource(f"stories/{self.folder.parent.name}-{self.folder.name}")
        self.contents = {"large.bin": _SCAN[::-1], "small.bin": _SCAN[:999]}
        for name, content in self.contents.items():
            (self.folder / name).write_bytes(content)

    def play(self):
        token = self.client.file_token([Scope(verb, self.place) for verb in ("read", "write", "list")])
        for name in self.contents:
            self.files.upload(token, self.folder / name, self.place.child(name))
            self.files.download(token, self.place.child(name), self.folder / f"fetched-{name}")
        assert len(self.files.list(token, self.place).files) == len(self.contents)
        return True

    def check(self):
        assert self.stored(self.place).items() <= self.contents.items()
        for fetched in self.folder.glob("fetched-*"):
            assert fetched.read_bytes() == self.contents[fetched.name.removeprefix("fetched-")]

    def lasting(self):
        return self.stored(self.place), sorted(path.name for path in self.folder.rglob("*"))


class ClaimRunEnd(NetworkStory):
    """
    A person starts a run, a worker claims its job, and the job's script does what scripts do.

    It gets its job, downloads an input, reports progress, uploads outputs at once and in parts, saves and finishes;
    then the worker sends the log and reports the end. A job follows from it.
    """

    def prepare(self):
        there = self.server.platform.server_for(ADMIN)
        self.there = there
        project = there.create(Project(name="bones")).serial
        self.workflow = there.create(Workflow(project_serial=project, name="mice", state=WorkflowState.ACTIVE)).serial
        files = {"type": "ForeignFile"}
        measured = {
            "inputs": [{"key": "scan", **files}],
            "outputs": [{"key": "large", **files}, {"key": "small", **files}, {"key": "size", "type": "Int"}],
        }
        self.first = self._task("measure", TaskTypeKind.SOURCE, measured, [])
        source = {"key": "small", "mode": "output", "task_serial": self.first, "output_key": "small"}
        self._task("read", TaskTypeKind.PROCESSING, {"inputs": [{"key": "small", **files}]}, [source])
        scan = userdata_resource("stories/scan.bin")
        (self.folder / "scan.bin").write_bytes(_SCAN)
        self.server.files.upload(may(scan), self.folder / "scan.bin", scan)
        self.script = self.folder / "measure.py"
        self.script.write_text(_SCRIPT)
        self.attempts = 0

    def _task(self, name, kind, interface, inputs):
        task_type = self.there.create(TaskType(name=f"Story.{name}", kind=kind, interface=interface)).serial
        task = Task(workflow_serial=self.workflow, task_type_serial=task_type, name=name, inputs=inputs)
        return self.there.create(task).serial

    def play(self):
        scan = {"type": "ForeignFile", "source": "userdata", "virtualpath": "stories/scan.bin", "filename": "scan.bin"}
        run = self.control.start_run(
            self.workflow, inputs={"scan": scan}, name="mouse", idempotency_key=f"the run of {self.workflow}"
        )
        worker = self.queue.register(Worker(name=f"bench {self.workflow}"))
        [job] = self.client.find(Job, {"run_serial": run.serial, "task_serial": self.first})
        if job.state is JobState.FAILED:
            self.control.restart_job(job.serial)
        if job.state is not JobState.DONE:
            # Other stories' jobs are there as well.
            lease = self.queue.claim(worker.serial, job_serial=job.serial)
            self.queue.heartbeat([lease])
            self._execute(lease)
        return self.client.get(Job, job.serial).state is JobState.DONE

    def _execute(self, lease):
        self.attempts += 1
        directory = self.folder / f"attempt-{self.attempts}"
        directory.mkdir()
        runner = InProcessRunner(self._session)
        executor = JobExecutor(
            queue=self.queue,
            server=self.client,
            files=self.files,
            runner=runner,
            clock=ManualClock(),
            source=_Source(self.script),
            server_host="127.0.0.1",
            server_port=self.server.url.rpartition(":")[2],
            retry_deadline_seconds=5.0,
        )
        ended = executor.run(lease, directory)
        if runner.last is not None and runner.last.exception is not None:
            self.errors.append(runner.last.exception)
        self.outcome = ended.outcome

    def _session(self, arguments, folder):
        clock = ManualClock()
        transport = HttpTransport(self.server.url, token=arguments.server_auth, clock=clock)
        return Session(
            server=HttpXFServer(transport),
            files=self.files,
            filesystem=LocalFilesystem(folder),
            images=None,
            clock=clock,
            arguments=arguments,
        )

    def check(self):
        jobs = self.there.find(Job, {"workflow_serial": self.workflow})
        assert len(jobs) == len({job.task_serial for job in jobs}), "a job was made twice"
        assert len(self.there.find(Run, {"workflow_serial": self.workflow})) <= 1, "the run was started twice"
        contents = {"large.bin": _SCAN[::-1], "small.txt": str(len(_SCAN)).encode()}
        for job in jobs:
            stored = self.stored(record_resource("job_result", job.serial))
            assert stored.items() <= contents.items(), "a file is there by half"
            if job.state is JobState.DONE:
                assert stored == contents
                assert job.outputs["size"] == len(_SCAN)

    def rest(self):
        # Time that jumps would be a server that was suspended, which grants leases a fresh period.
        for _ in range(_LEASES_LAPSE_IN):
            self.server.clock.advance(_STEP_SECONDS)
            self.server.platform.maintain()

    def _jobs(self):
        return {job.task_serial: job for job in self.there.find(Job, {"workflow_serial": self.workflow})}

    def lasting(self):
        jobs = self._jobs()
        first, other = jobs.pop(self.first), jobs.popitem()[1]
        results = self.stored(record_resource("job_result", first.serial))
        return first.state, first.sort_order, sorted(first.outputs), results, other.state, other.attempt, other.outputs

    def of_attempts(self):
        first = self._jobs()[self.first]
        events = self.there.find(ActivityEvent, {"job_serial": first.serial})
        fields = [str(event.payload.get("fields")) for event in events]
        logs = sorted(self.stored(record_resource("job_log", first.serial)))
        return first.attempt, first.occ_lock_version, sorted(first.metadata), fields, logs


@define(frozen=True)
class _Source:
    script: Path

    def prepare(self, lease, report):
        del lease, report
        return PreparedScript(command=(sys.executable, str(self.script)), environment={}, module_folders=(SHIM_FOLDER,))


STORIES = (ResumableUpload, ClaimRunEnd)
