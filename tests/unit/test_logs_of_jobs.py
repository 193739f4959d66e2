"""The log of a job: its rights, when it is kept, what is kept of earlier attempts, and its last words."""

import os
import stat
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.test_job_executor import CountingQueue, JobExecution
from tests.unit.test_worker_in_trouble import MemoryRunner, Reporting, Running
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.process.script_log import ScriptLog
from xfworker.domain.change import Change
from xfworker.domain.errors import LeaseLost
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_outcome import Ending, ProcessExit
from xfworker.domain.records import Job, Worker
from xfworker.services.platform.principal import ADMIN
from xfworker.services.worker.job_executor import ExecutionEvents, PreparedScript

MIB = 1 << 20


@pytest.fixture
def execution():
    execution = JobExecution()
    execution.runner = MemoryRunner()
    return execution


def last_words(message):
    return message.partition("the script crashed with exit code 1")[2]


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (b"boom", "; its last words: boom"),
        (b"of old\n\n  boom \n \n\n", "; its last words: boom"),
        (b"x" * 5000 + b"\nboom \xff\n", "; its last words: boom �"),
        (b"y" * 400, f"; its last words: {'y' * 300}"),
        (b"\n \n", " and said nothing"),
        (b"", " and said nothing"),
        (None, " and said nothing"),
    ],
    ids=["one", "blank", "long", "long line", "blank only", "empty", "removed"],
)
def test_a_crash_says_the_last_line_of_the_log(execution, tmp_path, log, said):
    execution.runner.log = log
    ended = execution.executor("").run(execution.lease(), tmp_path)
    assert last_words(ended.outcome.message) == said


def test_what_is_in_the_place_of_a_log_and_is_none_says_nothing(execution, tmp_path):
    class Replacing(MemoryRunner):
        def start(self, call, on_output=None):
            call.log_path.unlink()
            call.log_path.mkdir()
            return Running(self)

    execution.runner = Replacing()
    ended = execution.executor("").run(execution.lease(), tmp_path)
    assert (last_words(ended.outcome.message), ended.log_kept) == (" and said nothing", False)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_nobody_else_writes_to_the_log_whatever_the_umask_and_temporary_files_have_a_folder(execution, tmp_path):
    before = os.umask(0)
    try:
        execution.executor("").run(execution.lease(), tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "log.txt").stat().st_mode) == 0o644
    assert (tmp_path / "temp").is_dir()


class Uploads(MemoryFileStore):
    """A store that notes when a log was sent, and forgets it."""

    def __init__(self, clock):
        super().__init__()
        self.clock, self.at = clock, []

    def upload(self, token, path, resource, **options):
        self.at.append(self.clock.monotonic())


@pytest.mark.parametrize(("size", "at"), [(0, [10, 20, 30, 40, 50]), (8 * MIB, [10, 40, 50])])
def test_a_log_that_grows_is_sent_in_steps_that_are_the_longer_the_larger_it_is(execution, tmp_path, size, at):
    clock, log = ManualClock(), tmp_path / "log.txt"

    def grow():
        clock.advance(1.0)
        os.truncate(log, size + execution.runner.looks)

    execution.runner.ends_at, execution.runner.at_each_look = 50, grow
    execution.files = Uploads(clock)
    executor = execution.executor("", log_seconds=10.0)
    executor.clock = clock
    executor.run(execution.lease(), tmp_path)
    assert execution.files.at == at


def test_a_log_of_one_byte_is_sent_while_the_script_runs(execution, tmp_path):
    execution.runner.log, execution.runner.ends_at = b"x", 3
    execution.files = Uploads(ManualClock())
    execution.executor("", log_seconds=0.0).run(execution.lease(), tmp_path)
    assert len(execution.files.at) == 2


def test_what_an_installation_writes_is_sent_once_in_each_step(execution, tmp_path):
    clock = ManualClock()
    execution.files = Uploads(clock)
    executor = execution.executor("", log_seconds=10.0)
    executor.clock = clock
    executor.source = Reporting([b"."] * 25, lambda _: clock.advance(1.0))
    executor.run(execution.lease(), tmp_path)
    assert execution.files.at == [10, 20, 25]


def test_an_installation_is_stopped_by_whoever_follows_it(execution, tmp_path):
    class Stopping(ExecutionEvents):
        def waiting(self, lease):
            raise RuntimeError("the worker stops")

    executor = execution.executor("")
    executor.source = Reporting([b"one\n"])
    with pytest.raises(RuntimeError, match="the worker stops"):
        executor.run(execution.lease(), tmp_path, Stopping())
    assert execution.runner.looks == 0


@pytest.mark.parametrize("by", ["abort", "loss"])
def test_an_installation_of_a_job_that_is_aborted_or_lost_goes_no_further(execution, tmp_path, by):
    queue = CountingQueue(execution.queue, -1)

    def interrupt(lease):
        if by == "abort":
            execution.server.update(Job, lease.job.serial, Change(values={"/state": "Aborted"}))
        else:
            execution.clock.advance(timedelta(hours=1).total_seconds())
            execution.queue.claim(execution.queue.register(Worker(name="other")).serial)
            for thread in threading.enumerate():
                if thread.name == "heartbeats":
                    thread.join(60)
            return
        queue.times = 3  # one may be on its way
        assert queue.renewed.wait(60)

    executor = execution.executor("", queue=queue)
    executor.source = Reporting([b"one\n", b"two\n"], interrupt)
    if by == "abort":
        assert executor.run(execution.lease(), tmp_path).outcome.ending is Ending.ABORTED
        assert (tmp_path / "log.txt").read_bytes() == b"the job was aborted\n"
    else:
        with pytest.raises(LeaseLost):
            executor.run(execution.lease(), tmp_path)
        assert (tmp_path / "log.txt").read_bytes() == b""


def test_a_script_that_takes_long_to_end_is_asked_to_once(execution, tmp_path):
    asked = []

    class Slow(Running):
        def abort(self):
            asked.append(self.runner.looks)

        def wait(self, timeout_seconds=None):
            self.runner.looks += 1
            if not asked or self.runner.looks < asked[0] + 5:
                self.aborted.wait(0.001)
                return None
            return ProcessExit(signal="SIGTERM", aborted=True)

    class SlowRunner(MemoryRunner):
        def start(self, call, on_output=None):
            super().start(call, on_output)
            return Slow(self)

    execution.runner = SlowRunner()
    lease = execution.lease()
    execution.platform.control_for(ADMIN).abort_job(lease.job.serial)
    assert execution.executor("", heartbeat_seconds=0.01).run(lease, tmp_path).outcome.ending is Ending.ABORTED
    assert len(asked) == 1


def kept_logs(execution, lease):
    folder = record_resource("job_log", lease.job.serial)
    token = execution.server.file_token([Scope(verb, folder) for verb in ("list", "read")])
    return {
        entry.resource.filename: b"".join(execution.files.open_read(token, entry.resource))
        for entry in execution.files.list(token, folder).files
    }


def test_the_log_of_the_first_attempt_is_kept_beside_that_of_the_second(execution, tmp_path):
    first = execution.lease()
    execution.files.put(record_resource("job_log", first.job.serial, "log.txt"), b"of the first attempt\n")
    execution.clock.advance(timedelta(hours=1).total_seconds())
    lease = execution.queue.claim(execution.queue.register(Worker(name="w")).serial)
    assert lease.attempt == 2
    execution.executor("").run(lease, tmp_path)
    assert kept_logs(execution, lease) == {"log-1.txt": b"of the first attempt\n", "log.txt": b"working\n"}
    # An attempt that was given back is not counted: the next one has its number, and its log is not the other's.
    execution.executor("").set_earlier_log_aside(lease, tmp_path)
    assert kept_logs(execution, lease)["log-1.txt"] == b"of the first attempt\n"
    assert kept_logs(execution, lease)["log-2.txt"] == b"working\n"


def test_a_prepared_script_shows_neither_its_environment_nor_its_settings():
    script = PreparedScript(command=("run",), environment={"TOKEN": "s3cret"}, settings={"XFWORKER_KEY": "s3cret"})
    assert "run" in repr(script)
    assert "s3cret" not in repr(script)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk here that is always full")
def test_a_disk_that_is_full_does_not_end_what_writes_to_the_log():
    log = ScriptLog(Path("/dev/full"))
    log.write(b"a line\n")
    log.write(b"another\n")
    log.close()


def test_a_log_holds_its_beginning_and_its_end_and_says_what_was_left_out(tmp_path):
    log = ScriptLog(tmp_path / "log.txt", limit_bytes=10, tail_bytes=10)
    for number in range(100):
        log.write(b"%02d\n" % number)
    log.close()
    kept = (tmp_path / "log.txt").read_bytes()
    assert kept.startswith(b"00\n01\n02\n0")
    assert kept.endswith(b"98\n99\n")
    assert b"bytes of output left out here" in kept
    assert len(kept) < 100
