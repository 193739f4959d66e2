"""One job under the dispatcher: real scripts, and a platform in memory whose clock the tests turn."""

import os
import sys
import threading
from datetime import timedelta

import pytest

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.process.clock import SystemClock
from xfworker.adapters.process.runner import ProcessRunner
from xfworker.api.platform_bootstrap import memory_platform
from xfworker.domain.change import Change
from xfworker.domain.errors import JobError, LeaseLost, ServerUnreachable
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_outcome import Ending
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Worker, Workflow
from xfworker.services.dispatch.dispatcher import Dispatcher, Observer, PreparedScript
from xfworker.services.dispatch.staging import StagePlan, stage_job
from xfworker.services.dispatch.working import WorkLog, WorkLoop
from xfworker.services.platform.principal import ADMIN

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
WAIT = "import time; print('ready', flush=True); time.sleep(60)"


class Scripts:
    """Makes ready one piece of code for every job."""

    def __init__(self, code):
        self.code = code

    def prepare(self, lease):
        if self.code is None:
            raise JobError("nothing to run")
        return PreparedScript(command=(sys.executable, "-c", self.code), environment={"PATH": os.environ["PATH"]})


class Lab:
    def __init__(self):
        self.clock = ManualClock()
        self.platform = memory_platform(self.clock)
        self.server = self.platform.server_for(ADMIN)
        self.queue = self.platform.queue_for(ADMIN)
        self.files = MemoryFileStore()
        self.runner = ProcessRunner(grace_seconds=0.3)

    def job(self):
        job = stage_job(self.server, self.files, StagePlan(name="t", task_type="T"))
        self.server.update(Workflow, job.workflow_serial, Change(values={"/state": "Active"}))
        return job

    def lease(self):
        worker = self.queue.register(Worker(name="w"))
        return self.queue.claim(worker.serial, job_serial=self.job().serial)

    def dispatcher(self, code, **options):
        return Dispatcher(
            queue=options.pop("queue", self.queue),
            server=options.pop("server", self.server),
            files=self.files,
            runner=self.runner,
            clock=SystemClock(),
            source=Scripts(code),
            server_host="h",
            server_port="1",
            **{"heartbeat_seconds": 0.05, "patience_seconds": 0.0, **options},
        )

    def log(self, job):
        place = record_resource("job_log", job.serial, "log.txt")
        return b"".join(self.files.open_read(self.server.file_token([Scope("read", place)]), place))


@pytest.fixture
def lab():
    lab = Lab()
    yield lab
    lab.runner.close()


class WhenReady(Observer):
    """Does something once, when the script has said that it is ready."""

    def __init__(self, action):
        self._action = action
        self._ready = threading.Event()

    def output(self, lease, piece):
        if b"ready" in piece:
            self._ready.set()

    def waiting(self, lease):
        if self._ready.is_set() and self._action:
            action, self._action = self._action, None
            action()


def test_a_script_that_only_ends_is_a_failed_job_with_its_log(lab, tmp_path):
    ended = lab.dispatcher("print('hello')").run(lab.lease(), tmp_path)
    assert (ended.outcome.ending, ended.job.state) == (Ending.NO_FINISH, JobState.FAILED)
    assert lab.log(ended.job) == b"hello\n"


def test_a_script_that_cannot_be_made_ready_is_a_failed_job_that_says_why(lab, tmp_path):
    ended = lab.dispatcher(None).run(lab.lease(), tmp_path)
    assert ended.outcome.ending is Ending.NOT_STARTED
    assert ended.job.metadata["error_message"] == "nothing to run"
    assert lab.log(ended.job) == b"nothing to run\n"


def test_an_abort_ends_the_script_and_the_job(lab, tmp_path):
    lease = lab.lease()
    control = lab.platform.control_for(ADMIN)
    observer = WhenReady(lambda: control.abort_job(lease.job.serial))
    ended = lab.dispatcher(WAIT).run(lease, tmp_path, observer)
    assert (ended.outcome.ending, ended.job.state) == (Ending.ABORTED, JobState.ABORTED)
    assert ended.outcome.signal == "SIGTERM"


def test_a_lost_lease_ends_the_script_and_reports_nothing(lab, tmp_path):
    lease = lab.lease()
    pids = []

    def lose():
        lab.clock.advance(timedelta(hours=1).total_seconds())
        other = lab.queue.register(Worker(name="other"))
        assert lab.queue.claim(other.serial).attempt == lease.attempt + 1

    class Watch(WhenReady):
        def started(self, lease, script):
            pids.append(script.pid)

    with pytest.raises(LeaseLost, match="its script was ended here"):
        lab.dispatcher(WAIT).run(lease, tmp_path, Watch(lose))
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    assert lab.server.get(Job, lease.job.serial).state is JobState.RUNNING


class AwayServer:
    """A server that went away."""

    def get(self, kind, serial):
        raise ServerUnreachable("could not get it: connection refused")

    def file_token(self, scopes):
        raise ServerUnreachable("could not get it: connection refused")


def test_a_server_that_is_gone_when_the_script_ends_is_said(lab, tmp_path):
    ended = lab.dispatcher("print('x')", server=AwayServer()).run(lab.lease(), tmp_path)
    assert ended.outcome.ending is Ending.SERVER_LOST
    assert "connection refused" in ended.outcome.message
    assert not ended.log_kept


def test_an_observer_that_fails_takes_the_script_with_it(lab, tmp_path):
    class Failing(Observer):
        def started(self, lease, script):
            self.pid = script.pid

        def waiting(self, lease):
            raise RuntimeError("no display")

    observer = Failing()
    with pytest.raises(RuntimeError, match="no display"):
        lab.dispatcher(WAIT).run(lab.lease(), tmp_path, observer)
    with pytest.raises(ProcessLookupError):
        os.kill(observer.pid, 0)


def test_the_environment_holds_the_job_and_nothing_of_the_runner(lab, tmp_path, monkeypatch):
    code = "import os; print(sorted(n for n in os.environ if n.startswith('XF')), os.getcwd(), os.environ['XFTEMP'])"
    ended = lab.dispatcher(code).run(lab.lease(), tmp_path)
    names = "['XFTEMP', 'XF_JOB_SERIAL', 'XF_SERVER_AUTH', 'XF_SERVER_HOST', 'XF_SERVER_PORT']"
    assert lab.log(ended.job).decode() == f"{names} {tmp_path} {tmp_path / 'temp'}\n"


class Seen(WorkLog):
    def __init__(self):
        self.ends, self.losses, self.ready = [], [], threading.Event()

    def ended(self, lease, ended):
        self.ends.append((lease.job.serial, ended.outcome.ending))

    def lost(self, lease, reason):
        self.losses.append(reason)

    def output(self, lease, piece):
        if b"ready" in piece:
            self.ready.set()


def work_loop(lab, folder, code, seen, concurrency=2):
    return WorkLoop(
        worker=lambda: Worker(name="w", max_concurrent_jobs=concurrency),
        queue=lab.queue,
        dispatcher=lab.dispatcher(code),
        filesystem=LocalFilesystem(folder),
        clock=SystemClock(),
        list_old=list,
        log=seen,
        concurrency=concurrency,
        idle_seconds=0.01,
    )


def test_a_worker_runs_all_that_is_ready_and_stops_when_idle(lab, tmp_path):
    jobs = [lab.job() for _ in range(5)]
    seen = Seen()
    work_loop(lab, tmp_path, "print('x')", seen).run(until_idle=True)
    assert sorted(serial for serial, _ in seen.ends) == [job.serial for job in jobs]
    assert {ending for _, ending in seen.ends} == {Ending.NO_FINISH}
    assert len(list(tmp_path.iterdir())) == 5


def test_a_worker_that_drops_its_jobs_reports_none(lab, tmp_path):
    job = lab.job()
    seen = Seen()
    loop = work_loop(lab, tmp_path, WAIT, seen)
    thread = threading.Thread(target=loop.run)
    thread.start()
    assert seen.ready.wait(60)
    loop.drop()
    thread.join(60)
    assert not thread.is_alive()
    assert seen.ends == []
    assert "runs again elsewhere" in seen.losses[0]
    assert lab.server.get(Job, job.serial).state is JobState.RUNNING
