"""One job under the executor: real scripts, and a platform in memory whose clock the tests turn."""

import os
import sys
import threading
from datetime import timedelta

import pytest

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.process.runner import ProcessRunner
from xfworker.api.composition.platform import memory_platform
from xfworker.domain.change import Change
from xfworker.domain.errors import FileError, InvalidRecord, JobError, LeaseLost, ServerUnreachable
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_outcome import Ending
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Worker, Workflow
from xfworker.services.jobs.staging import StagePlan, stage_job
from xfworker.services.platform.principal import ADMIN
from xfworker.services.worker.job_executor import ExecutionEvents, JobExecutor, PreparedScript
from xfworker.services.worker.loop import WorkerEvents, WorkerLoop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
WAIT = "import time; print('ready', flush=True); time.sleep(60)"


class Scripts:
    """Makes ready one piece of code for every job."""

    def __init__(self, code):
        self.code = code

    def prepare(self, lease, report):
        if self.code is None:
            raise JobError("nothing to run")
        return PreparedScript(command=(sys.executable, "-c", self.code), environment={"PATH": os.environ["PATH"]})


class JobExecution:
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

    def executor(self, code, **options):
        return JobExecutor(
            queue=options.pop("queue", self.queue),
            server=options.pop("server", self.server),
            files=self.files,
            runner=self.runner,
            clock=SystemClock(),
            source=Scripts(code),
            server_host="h",
            server_port="1",
            **{"heartbeat_seconds": 0.05, "retry_deadline_seconds": 0.0, **options},
        )

    def log(self, job):
        place = record_resource("job_log", job.serial, "log.txt")
        return b"".join(self.files.open_read(self.server.file_token([Scope("read", place)]), place))


@pytest.fixture
def execution():
    execution = JobExecution()
    yield execution
    execution.runner.close()


class WhenReady(ExecutionEvents):
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


def test_a_script_that_only_ends_is_a_failed_job_with_its_log(execution, tmp_path):
    ended = execution.executor("print('hello')").run(execution.lease(), tmp_path)
    assert (ended.outcome.ending, ended.job.state) == (Ending.NO_FINISH, JobState.FAILED)
    assert execution.log(ended.job) == b"hello\n"


def test_a_script_that_cannot_be_made_ready_is_a_failed_job_that_says_why(execution, tmp_path):
    ended = execution.executor(None).run(execution.lease(), tmp_path)
    assert ended.outcome.ending is Ending.NOT_STARTED
    assert ended.job.metadata["error_message"] == "nothing to run"
    assert execution.log(ended.job) == b"nothing to run\n"


def test_an_abort_ends_the_script_and_the_job(execution, tmp_path):
    lease = execution.lease()
    control = execution.platform.control_for(ADMIN)
    events = WhenReady(lambda: control.abort_job(lease.job.serial))
    ended = execution.executor(WAIT).run(lease, tmp_path, events)
    assert (ended.outcome.ending, ended.job.state) == (Ending.ABORTED, JobState.ABORTED)
    assert ended.outcome.signal == "SIGTERM"


def test_a_lost_lease_ends_the_script_and_reports_nothing(execution, tmp_path):
    lease = execution.lease()
    scripts = []

    def lose():
        execution.clock.advance(timedelta(hours=1).total_seconds())
        other = execution.queue.register(Worker(name="other"))
        assert execution.queue.claim(other.serial).attempt == lease.attempt + 1

    class Watch(WhenReady):
        def started(self, lease, script):
            scripts.append(script)

    with pytest.raises(LeaseLost, match="its script was ended here"):
        execution.executor(WAIT).run(lease, tmp_path, Watch(lose))
    assert scripts[0].wait(0.0).signal == "SIGTERM"
    with pytest.raises(ProcessLookupError):
        os.kill(scripts[0].pid, 0)
    assert execution.server.get(Job, lease.job.serial).state is JobState.RUNNING


class AwayServer:
    """A server that went away."""

    def get(self, kind, serial):
        raise ServerUnreachable("could not get it: connection refused")

    def file_token(self, scopes):
        raise ServerUnreachable("could not get it: connection refused")


def test_a_server_that_is_gone_when_the_script_ends_is_said(execution, tmp_path):
    ended = execution.executor("print('x')", server=AwayServer()).run(execution.lease(), tmp_path)
    assert ended.outcome.ending is Ending.SERVER_LOST
    assert "connection refused" in ended.outcome.message
    assert not ended.log_kept


class SlowScripts(Scripts):
    """Takes long to make a script ready, as an installation does: until something has happened."""

    def __init__(self, code, until):
        super().__init__(code)
        self._until = until

    def prepare(self, lease, report):
        self._until(lease)
        return super().prepare(lease, report)


class CountingQueue:
    """Passes on to a queue, and tells when a lease was renewed so often."""

    def __init__(self, queue, times):
        self._queue, self.times, self.renewed = queue, times, threading.Event()

    def heartbeat(self, leases):
        statuses = self._queue.heartbeat(leases)
        self.times -= 1
        if self.times == 0:
            self.renewed.set()
        return statuses

    def end(self, lease, outcome):
        return self._queue.end(lease, outcome)


def test_the_lease_is_kept_while_the_script_is_made_ready(execution, tmp_path):
    queue = CountingQueue(execution.queue, 2)
    executor = execution.executor(None, queue=queue)
    executor.source = SlowScripts("print('x')", lambda _: queue.renewed.wait(60))
    assert executor.run(execution.lease(), tmp_path).outcome.ending is Ending.NO_FINISH
    assert queue.renewed.is_set()


def test_a_job_that_is_aborted_or_lost_while_it_is_made_ready_is_not_started(execution, tmp_path):
    aborted, lost = tmp_path / "aborted", tmp_path / "lost"
    control = execution.platform.control_for(ADMIN)
    queue = CountingQueue(execution.queue, -1)

    def abort(lease):
        control.abort_job(lease.job.serial)
        queue.times = 3  # one may be on its way; when the third comes back, the second has been looked at
        assert queue.renewed.wait(60)

    executor = execution.executor(None, queue=queue)
    executor.source = SlowScripts("open('started', 'w')", abort)
    aborted.mkdir()
    ended = executor.run(execution.lease(), aborted)
    assert (ended.outcome.ending, ended.job.state) == (Ending.ABORTED, JobState.ABORTED)
    assert not (aborted / "started").exists()

    def lose(lease):
        execution.clock.advance(timedelta(hours=1).total_seconds())
        execution.queue.claim(execution.queue.register(Worker(name="other")).serial)
        for thread in threading.enumerate():
            if thread.name == "heartbeats":
                thread.join(60)

    executor = execution.executor(None)
    executor.source = SlowScripts("open('started', 'w')", lose)
    lost.mkdir()
    with pytest.raises(LeaseLost):
        executor.run(execution.lease(), lost)
    assert not (lost / "started").exists()


def test_a_worker_whose_clock_is_wrong_keeps_its_script_while_the_server_is_away(execution, tmp_path):
    # The platform's clock stands in another year than this computer's, so the lease seems to have ended long ago.
    class AwayQueue(CountingQueue):
        def heartbeat(self, leases):
            super().heartbeat(leases)
            raise ServerUnreachable("connection refused")

    queue = AwayQueue(execution.queue, 3)
    path = tmp_path / "go"

    class Watch(ExecutionEvents):
        def waiting(self, lease):
            if queue.renewed.is_set():
                path.touch()

    code = f"import os, time\nwhile not os.path.exists({str(path)!r}):\n    time.sleep(0.02)\nprint('whole')"
    ended = execution.executor(code, queue=queue).run(execution.lease(), tmp_path, Watch())
    assert ended.outcome.ending is Ending.NO_FINISH
    assert execution.log(ended.job) == b"whole\n"


def test_an_observer_that_fails_takes_the_script_with_it(execution, tmp_path):
    class Failing(ExecutionEvents):
        def started(self, lease, script):
            self.pid = script.pid

        def waiting(self, lease):
            raise RuntimeError("no display")

    events = Failing()
    with pytest.raises(RuntimeError, match="no display"):
        execution.executor(WAIT).run(execution.lease(), tmp_path, events)
    with pytest.raises(ProcessLookupError):
        os.kill(events.pid, 0)


def test_the_environment_holds_the_job_and_nothing_of_the_runner(execution, tmp_path, monkeypatch):
    code = "import os; print(sorted(n for n in os.environ if n.startswith('XF')), os.getcwd(), os.environ['XFTEMP'])"
    ended = execution.executor(code).run(execution.lease(), tmp_path)
    names = "['XFTEMP', 'XF_JOB_SERIAL', 'XF_SERVER_AUTH', 'XF_SERVER_HOST', 'XF_SERVER_PORT']"
    assert execution.log(ended.job).decode() == f"{names} {tmp_path} {tmp_path / 'temp'}\n"


class Seen(WorkerEvents):
    def __init__(self):
        self.ends, self.losses, self.ready = [], [], threading.Event()

    def ended(self, lease, ended):
        self.ends.append((lease.job.serial, ended.outcome.ending))

    def lost(self, lease, reason):
        self.losses.append(reason)

    preempted = lost

    def output(self, lease, piece):
        if b"ready" in piece:
            self.ready.set()


def work_loop(execution, folder, code, seen, concurrency=2):
    return WorkerLoop(
        worker=lambda: Worker(name="w", max_concurrent_jobs=concurrency),
        queue=execution.queue,
        executor=execution.executor(code),
        filesystem=LocalFilesystem(folder),
        clock=SystemClock(),
        list_old=list,
        log=seen,
        concurrency=concurrency,
        idle_seconds=0.01,
    )


def test_a_task_type_of_an_unexpected_shape_fails_its_job_with_the_reason(execution, tmp_path):
    class Strange:
        def prepare(self, lease, report):
            return {}["package"]

    job = execution.job()
    seen = Seen()
    loop = work_loop(execution, tmp_path, "", seen)
    loop.executor.source = Strange()
    loop.run(until_idle=True)
    assert seen.ends == [(job.serial, Ending.NOT_STARTED)]
    assert "KeyError: 'package'" in execution.server.get(Job, job.serial).metadata["error_message"]


def test_a_worker_runs_all_that_is_ready_and_stops_when_idle(execution, tmp_path):
    jobs = [execution.job() for _ in range(5)]
    seen = Seen()
    work_loop(execution, tmp_path, "print('x')", seen).run(until_idle=True)
    assert sorted(serial for serial, _ in seen.ends) == [job.serial for job in jobs]
    assert {ending for _, ending in seen.ends} == {Ending.NO_FINISH}
    assert len(list(tmp_path.iterdir())) == 5


def test_a_worker_that_drops_its_jobs_gives_them_back_and_reports_no_end(execution, tmp_path):
    job = execution.job()
    seen = Seen()
    loop = work_loop(execution, tmp_path, WAIT, seen)
    thread = threading.Thread(target=loop.run)
    thread.start()
    assert seen.ready.wait(60)
    loop.drop()
    thread.join(60)
    assert not thread.is_alive()
    assert seen.ends == []
    assert seen.losses == ["the worker stops; the job runs again elsewhere"]
    after = execution.server.get(Job, job.serial)
    assert (after.state, after.metadata) == (JobState.READY, {})


def test_a_worker_whose_grace_is_over_gives_its_jobs_back_as_preempted(execution, tmp_path):
    job, seen = execution.job(), Seen()
    loop = work_loop(execution, tmp_path, WAIT, seen)
    loop.grace_seconds = 0.0
    thread = threading.Thread(target=loop.run)
    thread.start()
    assert seen.ready.wait(60)
    loop.stop("SIGTERM: the machine is taken")
    thread.join(60)
    assert (seen.ends, seen.losses) == ([], ["SIGTERM: the machine is taken; the job runs again elsewhere"])
    after = execution.server.get(Job, job.serial)
    assert (after.state, after.metadata) == (JobState.READY, {})
    *_, event = execution.server.find(ActivityEvent, {"job_serial": job.serial})
    assert event.payload["state"] == ["Running", "Ready"]
    assert event.payload["outcome"]["ending"] == "preempted"
    assert "preempted: SIGTERM: the machine is taken" in event.title
    assert execution.log(job) == b"ready\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["os.kill(os.getpid(), 15)", "sys.exit(1)"])
def test_a_script_that_is_ended_together_with_its_worker_is_preempted_and_not_failed(execution, tmp_path, ending):
    job, seen = execution.job(), Seen()
    loop = work_loop(execution, tmp_path, f"import os, sys; print('ready', flush=True); {ending}", seen)
    loop.grace_seconds = 60.0
    seen.output = lambda _lease, piece: loop.stop() if b"ready" in piece else None
    loop.run()
    assert (seen.ends, len(seen.losses)) == ([], 1)
    assert execution.server.get(Job, job.serial).state is JobState.READY


def test_a_worker_leaves_when_its_time_is_over_and_when_there_is_nothing_to_do(execution, tmp_path):
    job, seen = execution.job(), Seen()
    loop = work_loop(execution, tmp_path, WAIT, seen)
    seen.started = lambda _lease, _script: setattr(loop, "leave_at", 0.0)
    loop.run()
    assert seen.losses == ["the worker's time is over; the job runs again elsewhere"]
    assert execution.server.get(Job, job.serial).state is JobState.READY
    last = work_loop(execution, tmp_path, "print('done')", seen)
    last.idle_limit_seconds = 0.0
    last.farewell = lambda: Worker(name="w", metadata={"pilot": {"system": "slurm", "job": "7", "left": True}})
    last.run()
    [worker] = execution.server.find(Worker)
    assert worker.metadata["pilot"]["left"]


def test_the_lease_is_kept_while_the_log_of_a_job_that_is_given_back_is_stored(execution, tmp_path):
    queue = CountingQueue(execution.queue, 2)
    executor = execution.executor("", queue=queue)

    class SlowFiles(MemoryFileStore):
        def upload(self, *arguments, **options):
            queue.renewed.wait(60)
            return super().upload(*arguments, **options)

    executor.files = SlowFiles()
    log = tmp_path / "log.txt"
    log.write_text("half done\n")
    assert executor.hand_back(execution.lease(), "the worker stops", log)
    assert queue.renewed.is_set()


def test_an_older_server_is_given_jobs_back_by_the_name_that_it_knows(execution, tmp_path):
    class Older(CountingQueue):
        def end(self, lease, outcome):
            if outcome.ending is Ending.PREEMPTED:
                raise InvalidRecord("outcome.ending: 'preempted' is not one of ...")
            return self._queue.end(lease, outcome)

    lease = execution.lease()
    executor = execution.executor("", queue=Older(execution.queue, 0))
    assert executor.hand_back(lease, "the worker stops")
    assert execution.server.get(Job, lease.job.serial).state is JobState.READY


def test_a_script_is_told_its_part_of_the_machine(execution, tmp_path):
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    code = f"import os; print(*(os.environ.get(name) for name in {names}))"
    execution.executor(code).run(
        lease := execution.lease(), tmp_path, variables={"OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": "1"}
    )
    assert execution.log(lease.job) == b"3 None 1\n"


def test_a_worker_that_cannot_give_its_jobs_back_leaves_them_to_their_leases(execution, tmp_path):
    class Away(CountingQueue):
        def register(self, worker):
            return self._queue.register(worker)

        def claim(self, serial, *, offer):
            return self._queue.claim(serial, offer=offer)

        def end(self, lease, outcome):
            raise ServerUnreachable("the server does not answer")

    job = execution.job()
    seen = Seen()
    loop = work_loop(execution, tmp_path, WAIT, seen)
    loop.executor.queue = Away(execution.queue, 0)
    thread = threading.Thread(target=loop.run)
    thread.start()
    assert seen.ready.wait(60)
    loop.drop()
    thread.join(60)
    assert "once its lease has run out" in seen.losses[0]
    assert execution.server.get(Job, job.serial).state is JobState.RUNNING


def test_a_worker_that_the_server_forgot_makes_itself_known_again(execution, tmp_path):
    class Forgetting(CountingQueue):
        def register(self, worker):
            return self._queue.register(worker)

        def claim(self, serial, *, offer):
            if self.times < 0:
                self.times = 0
                with execution.platform.records.transaction() as transaction:
                    transaction.delete(Worker, {"serial": serial})
            return self._queue.claim(serial, offer=offer)

    seen = Seen()
    loop = work_loop(execution, tmp_path, "print('x')", seen)
    loop.queue = Forgetting(execution.queue, -1)
    job = execution.job()
    loop.run(until_idle=True)
    assert seen.ends == [(job.serial, Ending.NO_FINISH)]


def test_a_directory_that_cannot_be_removed_is_reported_as_that(execution, tmp_path):
    class StuckFilesystem(LocalFilesystem):
        def remove_tree(self, directory):
            raise FileError(f"{directory} is in use")

    class Reports(WorkerEvents):
        def __init__(self):
            self.left, self.away = [], []

        def directory_left(self, directory, reason):
            self.left.append((directory, reason))

        def server_away(self, reason):
            self.away.append(reason)

    old, reports = tmp_path / "old", Reports()
    loop = work_loop(execution, tmp_path, None, reports)
    loop.filesystem = StuckFilesystem(tmp_path)
    loop.list_old = lambda: [(old, loop.keep_failed_seconds + 1)]
    loop.run(until_idle=True)
    assert (reports.left, reports.away) == ([(old, f"{old} is in use")], [])


def test_the_log_of_an_earlier_attempt_is_kept_beside_that_of_the_later_one(execution, tmp_path):
    lease = execution.lease()
    folder = record_resource("job_log", lease.job.serial)
    for earlier in (b"of the first attempt\n", b"of the second attempt\n"):
        execution.files.put(folder.child("log.txt"), earlier)
        execution.clock.advance(timedelta(hours=1).total_seconds())
        worker = execution.queue.register(Worker(name="w"))
        lease = execution.queue.claim(worker.serial)
        ended = None
        if lease.attempt < 3:
            execution.executor("").set_earlier_log_aside(lease, tmp_path)
        else:
            ended = execution.executor("print('of the third attempt')").run(lease, tmp_path)
    token = execution.server.file_token([Scope("read", folder)])
    texts = [
        b"".join(execution.files.open_read(token, folder.child(name))) for name in ("log-1.txt", "log-2.txt", "log.txt")
    ]
    assert texts == [b"of the first attempt\n", b"of the second attempt\n", b"of the third attempt\n"]
    assert ended.log_kept
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == ["log.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
@pytest.mark.parametrize("put", ["os.mkfifo(log)", "os.symlink(secret, log)", "os.mkdir(log)"])
def test_a_script_that_puts_something_else_in_its_logs_place_holds_no_worker(execution, tmp_path, put):
    """Nothing is waited for, and no link is followed to what only the worker may read."""
    secret, log = tmp_path / "secret", tmp_path / "job" / "log.txt"
    secret.write_text("the worker's secret")
    log.parent.mkdir()
    code = f"import os; log, secret = {str(log)!r}, {str(secret)!r}; os.unlink(log); {put}"
    ended = execution.executor(code).run(execution.lease(), log.parent)
    assert ended.job.state is JobState.FAILED
    assert not ended.log_kept
    assert "secret" not in ended.outcome.message
    assert not execution.files.list(
        execution.server.file_token([Scope("list", record_resource("job_log", ended.job.serial))]),
        record_resource("job_log", ended.job.serial),
    ).files
