"""When a worker asks for jobs, registers, sweeps and leaves, by a clock that the tests turn."""

import threading

import pytest
from attrs import evolve

from tests.integration.test_job_executor import JobExecution, work_loop
from tests.unit.test_worker_in_trouble import MemoryRunner, Reports
from xfworker.adapters.memory.clock import ManualClock
from xfworker.domain.errors import LeaseLost, RecordNotFound, ServerUnreachable
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.resources import Offer
from xfworker.services.worker.capacity import Capacity

DAY = 24 * 3600


class Asked:
    """A queue without jobs: each time that it is asked, the clock goes on, and after some times the worker stops."""

    def __init__(self, clock, seconds, times, errors=()):
        self.clock, self.seconds, self.times, self.errors = clock, seconds, times, list(errors)
        self.registered, self.asked = 0, 0

    def register(self, worker):
        self.registered += 1
        return evolve(worker, serial=7)

    def claim(self, serial, *, offer):
        assert serial == 7
        self.asked += 1
        self.clock.advance(self.seconds)
        if self.asked == self.times:
            self.loop.stop()
        if self.errors:
            raise self.errors.pop()


@pytest.fixture
def execution():
    execution = JobExecution()
    execution.runner = MemoryRunner()
    return execution


@pytest.fixture
def idle(execution, tmp_path, monkeypatch):
    """Make a worker that waits for nothing in this thread, but notes how long it would, and what for was there."""
    waits, wait = [], threading.Event.wait

    def noted(event, timeout=None):
        # Without a limit only a thread that begins is waited for.
        if timeout is None or threading.current_thread() is not threading.main_thread():
            return wait(event, timeout)
        waits.append((timeout, event.is_set()))
        return event.is_set()

    monkeypatch.setattr(threading.Event, "wait", noted)

    def idle(seconds, times, errors=(), **options):
        clock = ManualClock()
        clock.advance(100.0)
        loop = work_loop(execution, tmp_path, "", Reports())
        loop.clock, loop.queue = clock, Asked(clock, seconds, times, errors)
        loop.queue.loop, loop.queue.waits, loop.idle_seconds = loop, waits, 10.0
        for name, value in options.items():
            setattr(loop, name, value)
        return loop

    return idle


@pytest.mark.parametrize(("seconds", "registered", "swept"), [(15, 3, 1), (1800, 5, 3)])
def test_a_worker_registers_every_half_minute_and_looks_for_old_directories_every_hour(
    idle, seconds, registered, swept
):
    sweeps = []
    loop = idle(seconds, 5, list_old=lambda: sweeps.append(1) or [])
    loop.run()
    assert (loop.queue.asked, loop.queue.registered, len(sweeps)) == (5, registered, swept)


def test_a_worker_without_jobs_asks_about_once_in_each_interval_but_not_in_step_with_others(idle):
    loop = idle(1, 300)
    loop.run()
    waited = [seconds for seconds, _ in loop.queue.waits]
    assert 7.5 <= min(waited) < 8
    assert 12 < max(waited) <= 12.5


@pytest.mark.parametrize("error", [ServerUnreachable("connection refused"), RecordNotFound("there is no worker 7")])
def test_a_server_that_is_away_or_does_not_know_the_worker_is_asked_again_after_a_pause(idle, error):
    loop = idle(1, 3, [error] * 3)
    loop.run()
    assert loop.queue.waits == [(10.0, False), (10.0, False), (10.0, True)]
    assert loop.log.away == [str(error)] * 3
    assert loop.queue.registered == (3 if isinstance(error, RecordNotFound) else 1)


@pytest.mark.parametrize(("options", "asked"), [({"idle_limit_seconds": 60.0}, 4), ({"leave_at": 145.0}, 3)])
def test_a_worker_leaves_once_it_has_had_no_job_for_so_long_or_its_time_is_over(idle, options, asked):
    loop = idle(15, 100, **options)
    loop.run()
    assert loop.queue.asked == asked


def test_jobs_are_given_back_once_the_time_that_they_may_go_on_is_over(idle):
    loop = idle(1, 1, grace_seconds=60.0)
    assert not loop.gives_back
    loop.stop()
    loop.clock.advance(59.0)
    assert not loop.gives_back
    loop.clock.advance(1.0)
    assert loop.gives_back


@pytest.mark.parametrize(
    ("signal", "seconds"), [("SIGTERM", 2.0), ("SIGINT", 2.0), ("SIGHUP", 2.0), ("SIGSEGV", 0.0), (None, 0.0)]
)
def test_a_script_that_a_signal_ended_may_be_ended_with_its_worker_which_hears_of_it_a_moment_later(
    idle, signal, seconds
):
    loop = idle(1, 1, grace_seconds=60.0)
    assert not loop.is_taken(Outcome(ending=Ending.KILLED, signal=signal))
    assert loop.queue.waits == [(seconds, False)]
    loop.stop()
    assert loop.is_taken(Outcome(ending=Ending.KILLED, signal=signal))


def test_a_worker_that_waits_is_woken_by_the_end_of_a_job_and_by_being_stopped(execution, tmp_path):
    execution.job()
    loop = work_loop(execution, tmp_path, "", Reports(), concurrency=1)
    loop.idle_seconds = 3600.0
    loop.run(until_idle=True)
    assert len(loop.log.ends) == 1
    asked = threading.Event()
    claim = execution.queue.claim

    class Queue:
        register = staticmethod(execution.queue.register)

        @staticmethod
        def claim(serial, *, offer):
            asked.set()
            return claim(serial, offer=offer)

    loop.queue = Queue()
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    assert asked.wait(60)
    loop.stop()
    thread.join(60)
    assert not thread.is_alive()


def test_the_end_of_a_job_wakes_a_worker_once_and_then_it_asks_at_its_own_pace_again(idle, execution):
    loop, asked_again = idle(1, 5, concurrency=2), threading.Event()
    execution.job()
    execution.runner.at_each_look = lambda: asked_again.wait(60)

    class Queue:
        register, asked = staticmethod(execution.queue.register), 0

        def claim(self, serial, *, offer):
            self.asked += 1
            if self.asked == 5:
                loop.stop()
            lease = execution.queue.claim(serial, offer=offer)
            if lease is None:
                asked_again.set()
                for thread in threading.enumerate():
                    if thread.name.startswith("job-"):
                        thread.join()
            return lease

    waits, loop.queue = loop.queue.waits, Queue()
    loop.run()
    assert loop.queue.asked == 5
    # The last does not wait, as it is to stop.
    assert [was_woken for _, was_woken in waits] == [True, False, False, True]


def test_what_a_job_had_of_the_machine_is_free_once_it_has_ended_and_its_events_are_passed_on(execution, tmp_path):
    class Declared:
        register, heartbeat, end = (getattr(execution.queue, name) for name in ("register", "heartbeat", "end"))

        @staticmethod
        def claim(serial, *, offer):
            lease = execution.queue.claim(serial, offer=offer)
            package = {"metadata": {"resources": {"cores": 3}}}
            return lease and evolve(lease, task_type=evolve(lease.task_type, metadata={"package": package}))

    free, seen, job = [], Reports(), execution.job()
    seen.claimed = lambda lease: free.append(("claimed", lease.job.serial))
    seen.failed = lambda lease, outcome: free.append(("failed", outcome.ending))
    loop = work_loop(execution, tmp_path, "", seen)
    loop.queue, loop.capacity = Declared(), Capacity(total=Offer(cores=4))
    execution.runner.at_each_look = lambda: free.append(loop.capacity.free().cores)
    loop.run(until_idle=True)
    assert free == [("claimed", job.serial), 1, ("failed", Ending.CRASHED)]
    assert loop.capacity.free().cores == 4


def test_what_a_job_gets_of_the_machine_is_not_offered_with_the_next_claim(execution, tmp_path):
    offers, asked_again = [], threading.Event()

    class Late(Capacity):
        def take(self, attempt, needs):
            if threading.current_thread().name.startswith("job-"):
                asked_again.wait(60)
            return super().take(attempt, needs)

    class Declared:
        register, heartbeat, end = (getattr(execution.queue, name) for name in ("register", "heartbeat", "end"))

        @staticmethod
        def claim(serial, *, offer):
            offers.append(offer.cores)
            lease = execution.queue.claim(serial, offer=offer)
            if lease is None:
                asked_again.set()
            package = {"metadata": {"resources": {"cores": 3}}}
            return lease and evolve(lease, task_type=evolve(lease.task_type, metadata={"package": package}))

    execution.job()
    execution.runner.at_each_look = lambda: asked_again.wait(60)
    loop = work_loop(execution, tmp_path, "", Reports())
    loop.queue, loop.capacity = Declared(), Late(total=Offer(cores=4))
    loop.run(until_idle=True)
    assert offers[:2] == [4, 1]


def test_a_job_that_is_handed_out_again_before_its_lost_attempt_has_ended_here_counts_as_a_second_one(
    execution, tmp_path
):
    second_began, counted = threading.Event(), []
    lease = execution.lease()
    package = {"metadata": {"resources": {"cores": 3}}}
    lease = evolve(lease, task_type=evolve(lease.task_type, metadata={"package": package}))
    given = iter([lease, evolve(lease, job=evolve(lease.job, attempt=2))])

    class Twice:
        register = staticmethod(execution.queue.register)

        @staticmethod
        def claim(serial, *, offer):
            return next(given, None)

    class Executor:
        @staticmethod
        def run(lease, directory, events, variables):
            if lease.attempt == 1:
                assert second_began.wait(60)
            else:
                second_began.set()
                for thread in threading.enumerate():
                    if thread.name.startswith("job-") and thread is not threading.current_thread():
                        thread.join(60)
                counted.append((loop.running, loop.capacity.free().cores))
            raise LeaseLost(f"attempt {lease.attempt} is over")

    loop = work_loop(execution, tmp_path, "", Reports())
    loop.queue, loop.executor, loop.capacity = Twice(), Executor(), Capacity(total=Offer(cores=6))
    loop.run(until_idle=True)
    assert counted == [(1, 3)]


def test_the_directory_of_a_job_that_runs_is_never_taken_for_an_old_one_and_that_of_a_failed_one_is_in_the_end(
    execution, tmp_path
):
    clock, swept, there = ManualClock(), threading.Event(), []

    def list_old():
        swept.set()
        return [(path, 8 * DAY) for path in tmp_path.iterdir()]

    def wait_for_sweeps():
        # When the second one begins, the first is done.
        for _ in range(2):
            swept.clear()
            clock.advance(3600.0)
            assert swept.wait(60)
        there.append(len(list(tmp_path.iterdir())))

    execution.job()
    execution.runner.at_each_look = wait_for_sweeps
    loop = work_loop(execution, tmp_path, "", Reports())
    loop.clock, loop.list_old = clock, list_old
    loop.run(until_idle=True)
    assert there == [1]
    clock.advance(3600.0)
    loop.run(until_idle=True)
    assert list(tmp_path.iterdir()) == []


def test_directories_of_failed_jobs_stay_for_a_week(execution, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    loop = work_loop(execution, tmp_path, "", Reports())
    loop.list_old = lambda: [(old, 7 * DAY + 1), (new, 7 * DAY - 1)]
    loop.run(until_idle=True)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_worker_asks_for_no_job_while_as_many_run_as_it_takes(execution, tmp_path):
    loop, went_on, running = work_loop(execution, tmp_path, "", Reports(), concurrency=1), threading.Event(), []
    loop.idle_seconds = loop.register_seconds = 0.001
    for _ in range(2):
        execution.job()
    # The first job goes on once the worker has looked around some times beside it.
    execution.runner.at_each_look = lambda: went_on.wait(60)

    class Queue:
        registered = 0

        def register(self, worker):
            self.registered += bool(loop.running)
            if self.registered == 3:
                went_on.set()
            return execution.queue.register(worker)

        @staticmethod
        def claim(serial, *, offer):
            running.append(loop.running)
            return execution.queue.claim(serial, offer=offer)

    loop.queue = Queue()
    loop.run(until_idle=True)
    assert len(loop.log.ends) == 2
    assert set(running) == {0}
