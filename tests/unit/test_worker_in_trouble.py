"""What a worker does when its server, its disk or the records of a job are not as they should be."""

import math
import threading
from datetime import timedelta

import pytest
from attrs import evolve

from tests.integration.test_job_executor import CountingQueue, JobExecution, Scripts, Seen, work_loop
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.domain.change import Change
from xfworker.domain.errors import FileError, LeaseLost, PermissionDenied, ServerUnreachable
from xfworker.domain.job_outcome import Ending, ProcessExit
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.services.worker.job_executor import ExecutionEvents, PreparedScript
from xfworker.services.worker.kept_lease import Heartbeats


class Running:
    """A script in memory: it writes its log and ends, or goes on until it is aborted."""

    def __init__(self, runner):
        self.runner, self.aborted = runner, threading.Event()

    def wait(self, timeout_seconds=None):
        self.runner.looks += 1
        self.runner.at_each_look()
        if self.runner.looks < self.runner.ends_at and not self.aborted.wait(min(timeout_seconds, 0.01)):
            return None
        return ProcessExit(exit_code=1, aborted=self.aborted.is_set())

    def abort(self):
        self.aborted.set()


class MemoryRunner:
    """Runs no process."""

    def __init__(self, log=b"working\n", ends_at=1, at_each_look=lambda: None):
        self.log, self.ends_at, self.looks, self.at_each_look = log, ends_at, 0, at_each_look

    def start(self, call, on_output=None):
        if self.log is None:
            call.log_path.unlink()
        else:
            call.log_path.write_bytes(self.log)
        return Running(self)

    def close(self):
        """Nothing runs."""


class Refusing:
    """Passes on to another object, and raises at one of its methods."""

    def __init__(self, other, method, error):
        self._other, self._method, self._error = other, method, error

    def __getattr__(self, name):
        if name != self._method:
            return getattr(self._other, name)

        def refuse(*_, **__):
            raise self._error

        return refuse


def lasting(lease, seconds):
    return evolve(lease, expires_at=lease.job.started_at + timedelta(seconds=seconds))


@pytest.fixture
def execution():
    execution = JobExecution()
    execution.runner = MemoryRunner()
    return execution


def test_a_server_that_is_away_longer_than_the_lease_ends_the_script_and_its_end_is_not_asked_for(execution, tmp_path):
    execution.runner.ends_at = math.inf
    away = Refusing(execution.queue, "heartbeat", ServerUnreachable("connection refused"))
    lease = lasting(execution.lease(), 0.05)

    ended = execution.executor("", queue=away, heartbeat_seconds=0.01).run(lease, tmp_path)

    assert ended.outcome.ending is Ending.SERVER_LOST
    assert "connection refused" in ended.outcome.message
    assert execution.server.get(Job, lease.job.serial).state is JobState.RUNNING


def test_a_renewal_that_is_refused_ends_the_script_and_is_raised(execution, tmp_path):
    execution.runner.ends_at = math.inf
    refusing = Refusing(execution.queue, "heartbeat", PermissionDenied("this worker is another user's"))
    with pytest.raises(PermissionDenied, match="another user's"):
        execution.executor("", queue=refusing).run(execution.lease(), tmp_path)


def test_an_end_that_the_server_does_not_take_is_said_with_what_had_come_of_the_script(execution, tmp_path):
    away = Refusing(execution.queue, "end", ServerUnreachable("connection refused"))
    ended = execution.executor("", queue=away).run(execution.lease(), tmp_path)
    assert ended.outcome.ending is Ending.SERVER_LOST
    assert "connection refused; the script had ended: " in ended.outcome.message
    assert ended.log_kept


def test_the_log_of_a_script_that_runs_is_kept_in_steps_and_not_again_while_it_is_the_same(execution, tmp_path):
    uploads = []

    class Counting(MemoryFileStore):
        def upload(self, token, path, resource, **options):
            uploads.append(path.read_bytes())
            return super().upload(token, path, resource, **options)

    def more():
        if execution.runner.looks == 3:
            (tmp_path / "log.txt").write_bytes(b"working\nstill\n")

    execution.files = Counting()
    execution.runner.ends_at, execution.runner.at_each_look = 5, more
    execution.executor("", log_seconds=0.0).run(execution.lease(), tmp_path)
    assert uploads == [b"working\n", b"working\nstill\n", b"working\nstill\n"]


def test_a_log_that_the_script_removed_or_the_store_refuses_fails_no_job(execution, tmp_path):
    execution.runner.log, execution.runner.ends_at = None, 2
    ended = execution.executor("", log_seconds=0.0).run(execution.lease(), tmp_path)
    assert (ended.outcome.ending, ended.log_kept, ended.job.state) == (Ending.CRASHED, False, JobState.FAILED)

    execution.runner.log, execution.runner.looks = b"x", 0
    execution.files = Refusing(execution.files, "upload", FileError("the disk is full"))
    ended = execution.executor("").run(execution.lease(), tmp_path)
    assert (ended.log_kept, ended.job.state) == (False, JobState.FAILED)


class Reporting(Scripts):
    """Reports what an installation writes, while the script is made ready."""

    def __init__(self, pieces, before=lambda lease: None):
        super().__init__("")
        self.pieces, self.before = pieces, before

    def prepare(self, lease, report):
        for piece in self.pieces:
            self.before(lease)
            report(piece)
        return PreparedScript(command=("run",), environment={})


def test_what_an_installation_writes_is_in_the_log_and_kept_while_it_goes_on(execution, tmp_path):
    execution.runner.log = b"installed\n"
    seen = []

    class Events(ExecutionEvents):
        def output(self, lease, piece):
            seen.append((piece, (tmp_path / "log.txt").read_bytes()))

    executor = execution.executor("", log_seconds=0.0)
    kept = []
    lease = execution.lease()
    executor.source = Reporting([b"one\n", b"two\n", b""], lambda _: kept.append(_kept_log(execution, lease)))
    executor.run(lease, tmp_path, Events())
    assert seen[:2] == [(b"one\n", b"one\n"), (b"two\n", b"one\ntwo\n")]
    assert kept == [None, b"one\n", b"one\ntwo\n"]


def _kept_log(execution, lease):
    try:
        return execution.log(lease.job)
    except FileError:
        return None


def test_without_waiting_for_the_next_step_an_installation_sends_no_log(execution, tmp_path):
    executor = execution.executor("", log_seconds=3600.0)
    lease = execution.lease()
    kept = []
    executor.source = Reporting([b"one\n", b"two\n"], lambda _: kept.append(_kept_log(execution, lease)))
    executor.run(lease, tmp_path)
    assert kept == [None, None]


def test_a_job_that_is_aborted_while_its_packages_are_installed_is_not_started(execution, tmp_path):
    queue = CountingQueue(execution.queue, -1)

    def abort(lease):
        execution.server.update(Job, lease.job.serial, Change(values={"/state": "Aborted"}))
        queue.times = 3
        assert queue.renewed.wait(60)

    executor = execution.executor("", queue=queue)
    executor.source = Reporting([b"one\n"], abort)
    ended = executor.run(execution.lease(), tmp_path)
    assert (ended.outcome.ending, ended.job.state, execution.runner.looks) == (Ending.ABORTED, JobState.ABORTED, 0)


@pytest.mark.parametrize("error", [None, PermissionDenied("not yours"), FileError("cut off")])
def test_the_log_of_an_earlier_attempt_that_is_not_there_or_cannot_be_read_fails_no_job(execution, tmp_path, error):
    lease = execution.lease()
    if error is not None:
        execution.files = Refusing(execution.files, "list", error)
    execution.executor("").set_earlier_log_aside(evolve(lease, job=evolve(lease.job, attempt=2)), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert _kept_log(execution, lease) is None


def test_a_lease_that_is_shorter_than_those_that_are_kept_is_renewed_in_its_own_time(execution):
    first, second = CountingQueue(execution.queue, 1), CountingQueue(execution.queue, 3)

    class Both:
        def heartbeat(self, leases):
            first.heartbeat(leases)
            return second.heartbeat(leases) if first.renewed.is_set() else []

    heartbeats = Heartbeats(Both(), execution.executor("").clock, seconds=3600.0)
    with heartbeats.keep(lasting(execution.lease(), 0.3)) as kept:
        assert first.renewed.wait(60)
        with heartbeats.keep(lasting(execution.lease(), 0.03)):
            assert second.renewed.wait(60)
    assert not kept.lost


def test_the_directory_of_a_job_that_finished_is_removed_and_that_of_one_that_failed_stays(execution, tmp_path):
    first, second = execution.job(), execution.job()

    def finish():
        if execution.server.get(Job, first.serial).state is JobState.RUNNING:
            execution.server.update(Job, first.serial, Change(values={"/outputs": {}, "/state": "Done"}))

    execution.runner.at_each_look = finish
    seen = Reports()
    work_loop(execution, tmp_path, "", seen, concurrency=1).run(until_idle=True)
    assert seen.ends == [(first.serial, Ending.FINISHED), (second.serial, Ending.CRASHED)]
    assert [path.name.startswith(f"xf-worker-job-{second.serial}-") for path in tmp_path.iterdir()] == [True]


class Reports(Seen):
    """What a worker says."""

    def __init__(self):
        super().__init__()
        self.away, self.waited = [], 0

    def server_away(self, reason):
        self.away.append(reason)

    def waiting(self, lease):
        self.waited += 1


def test_a_server_that_is_away_when_a_job_is_claimed_is_said_and_asked_again(execution, tmp_path):
    class AwayOnce(CountingQueue):
        def register(self, worker):
            return self._queue.register(worker)

        def claim(self, serial, *, offer):
            self.times += 1
            if self.times == 0:
                raise ServerUnreachable("connection refused")
            return self._queue.claim(serial, offer=offer)

    job, seen = execution.job(), Reports()
    loop = work_loop(execution, tmp_path, "", seen)
    loop.queue = AwayOnce(execution.queue, -1)
    loop.run(until_idle=True)
    assert seen.away == ["connection refused"]
    assert [serial for serial, _ in seen.ends] == [job.serial]


def test_the_jobs_that_run_are_counted_and_those_that_wait_are_heard_of(execution, tmp_path):
    seen, counted = Reports(), []
    execution.runner.ends_at = 3
    loop = work_loop(execution, tmp_path, "", seen)
    execution.runner.at_each_look = lambda: counted.append(loop.running)
    execution.job()
    loop.run(until_idle=True)
    assert (counted, loop.running, seen.waited) == ([1, 1, 1], 0, 2)


@pytest.mark.parametrize(
    "error", [LeaseLost("another worker has it"), FileError("the disk is full"), OSError("broken")]
)
def test_a_job_that_goes_wrong_here_is_reported_as_lost_and_the_next_one_runs(execution, tmp_path, error):
    class OnceBroken(LocalFilesystem):
        times = 0

        def make_working_directory(self, prefix):
            self.times += 1
            if self.times == 1:
                raise error
            return super().make_working_directory(prefix)

    jobs, seen = [execution.job() for _ in range(2)], Reports()
    loop = work_loop(execution, tmp_path, "", seen, concurrency=1)
    loop.filesystem = OnceBroken(tmp_path)
    loop.run(until_idle=True)
    assert seen.losses == [str(error)]
    assert len(seen.ends) == len(jobs) - 1


def test_needs_that_cannot_be_read_are_left_to_the_job_to_report(execution, tmp_path):
    class Strange(Refusing):
        def claim(self, serial, *, offer):
            lease = execution.queue.claim(serial, offer=offer)
            return lease and evolve(lease, task_type=evolve(lease.task_type, metadata={"package": 5}))

    job, seen = execution.job(), Reports()
    loop = work_loop(execution, tmp_path, "", seen)
    loop.queue = Strange(execution.queue, "nothing", None)
    loop.run(until_idle=True)
    assert [serial for serial, _ in seen.ends] == [job.serial]


def test_directories_of_jobs_that_run_and_those_that_are_not_old_are_left_alone(execution, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    loop = work_loop(execution, tmp_path, "", Reports())
    loop.list_old = lambda: [(old, loop.keep_failed_seconds + 1), (new, loop.keep_failed_seconds - 1)]
    loop.run(until_idle=True)
    assert (old.exists(), new.exists()) == (False, True)
