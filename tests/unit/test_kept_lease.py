"""A worker's own lease while its computer or its server is away."""

import threading
import time
from datetime import timedelta

import pytest
from attrs import evolve

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.errors import LeaseLost, PermissionDenied, ServerUnreachable
from xfworker.ports.job_queue import LeaseStatus
from xfworker.services.worker import kept_lease
from xfworker.services.worker.kept_lease import Heartbeats
from xfworker.testing.contracts.worlds import DirectWorld, Setting

SLEPT_SECONDS = 1000.0


class SleepyClock:
    """A computer's clock that was suspended for long before one of the times that it is read."""

    def __init__(self, suspended_before: int) -> None:
        self._suspended_before = suspended_before
        self._read = 0

    def monotonic(self) -> float:
        self._read += 1
        return time.monotonic() + (SLEPT_SECONDS if self._read >= self._suspended_before else 0.0)


class AwayOnce:
    """A queue whose server cannot be reached at one renewal."""

    def __init__(self, lease, away_at: int) -> None:
        self._lease = lease
        self._away_at = away_at
        self._times = 0
        self.renewed_after = threading.Event()

    def heartbeat(self, leases) -> list[LeaseStatus]:
        assert [lease.job.serial for lease in leases] == [self._lease.job.serial]
        self._times += 1
        if self._times == self._away_at:
            raise ServerUnreachable("the network is not up yet")
        if self._times > self._away_at:
            self.renewed_after.set()
        return [LeaseStatus(job_serial=self._lease.job.serial, expires_at=self._lease.expires_at)]


def test_a_computer_that_was_suspended_gives_the_server_time_to_answer():
    lease = Setting.make(DirectWorld.over(MemoryRecordStore())).leased()
    queue = AwayOnce(lease, away_at=2)
    # The clock is read when the lease is taken, when the thread begins, before each renewal and after it: it slept
    # before the second renewal.
    with Heartbeats(queue, SleepyClock(suspended_before=5), seconds=0.01).keep(lease) as kept:
        assert queue.renewed_after.wait(60)
        assert kept.server_lost is None


class SlowQueue:
    """A queue that takes ten seconds to renew a lease, by a clock that stands still otherwise."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._times = 0
        self.third = threading.Event()

    def heartbeat(self, leases) -> list[LeaseStatus]:
        self._clock.advance(10.0)
        self._times += 1
        if self._times == 3:
            self.third.set()
        return [LeaseStatus(job_serial=lease.job.serial, expires_at=lease.expires_at) for lease in leases]


def test_how_long_the_server_is_away_is_counted_from_the_moment_of_the_last_renewal():
    lease = Setting.make(DirectWorld.over(MemoryRecordStore())).leased()
    clock = ManualClock()
    queue = SlowQueue(clock)
    with Heartbeats(queue, clock, seconds=0.01).keep(lease) as kept:
        assert kept.renewed_at == 0.0
        # By the third time that it is asked, what came of the second is kept.
        assert queue.third.wait(60)
        assert kept.renewed_at >= 10.0


class BrokenOnce:
    """A queue whose first answer to a renewal cannot be understood at all."""

    def __init__(self) -> None:
        self.broke = threading.Event()
        self.renewed = threading.Event()

    def heartbeat(self, leases) -> list[LeaseStatus]:
        if not self.broke.is_set():
            self.broke.set()
            raise ValueError("no answer that anybody expected")
        self.renewed.set()
        return [LeaseStatus(job_serial=lease.job.serial, expires_at=lease.expires_at) for lease in leases]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_after_an_answer_that_nobody_expected_the_next_lease_is_renewed_all_the_same():
    lease = Setting.make(DirectWorld.over(MemoryRecordStore())).leased()
    queue = BrokenOnce()
    heartbeats = Heartbeats(queue, SystemClock(), seconds=0.01)
    with heartbeats.keep(lease):
        assert queue.broke.wait(60)
        for thread in threading.enumerate():
            if thread.name == "heartbeats":
                thread.join(60)
        with heartbeats.keep(lease):
            assert queue.renewed.wait(60)


class Away:
    """A queue whose server is not there, as long as anybody should ask for it."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.asked = 0

    def heartbeat(self, _leases) -> list[LeaseStatus]:
        self._clock.advance(10.0)
        self.asked += 1
        if self.asked == 20:
            raise LeaseLost("it was asked for too long")
        raise ServerUnreachable("nobody answers")


def test_a_lease_is_over_once_no_server_answered_for_as_long_as_it_holds():
    lease = Setting.make(DirectWorld.over(MemoryRecordStore())).leased()
    clock = ManualClock()
    queue = Away(clock)
    assert lease.seconds == 60.0
    with Heartbeats(queue, clock, seconds=0.01).keep(lease) as kept:
        for thread in threading.enumerate():
            if thread.name == "heartbeats":
                thread.join(60)
        assert (queue.asked, kept.server_lost, kept.error) == (6, "nobody answers", None)
        assert kept.is_over
        kept.check()  # it may be this worker's still


def heartbeat_threads():
    return [thread for thread in threading.enumerate() if thread.name == "heartbeats"]


def join_heartbeats():
    for thread in heartbeat_threads():
        thread.join(60)


class Renewing:
    """A queue that renews leases, but for those that it is to lose."""

    def __init__(self, lost=()) -> None:
        self.lost, self.asked, self.renewed = lost, [], threading.Event()

    def heartbeat(self, leases) -> list[LeaseStatus]:
        self.asked.append([lease.job.serial for lease in leases])
        if len(self.asked) > 2:
            self.renewed.set()
        return [
            LeaseStatus(job_serial=serial, lost="another worker has it" if serial in self.lost else None)
            for serial in self.asked[-1]
        ]


@pytest.fixture
def setting():
    return Setting.make(DirectWorld.over(MemoryRecordStore()))


@pytest.mark.parametrize(
    ("lease_seconds", "seconds", "held", "step"), [(60, 3600, 60, 20), (60, 10, 60, 10), (None, 10, 60, 10)]
)
def test_a_lease_is_renewed_three_times_in_its_life_at_least(monkeypatch, setting, lease_seconds, seconds, held, step):
    waits, enough = [], threading.Event()

    class Waits(threading.Event):
        def wait(self, timeout=None):
            if timeout is None:
                return super().wait()
            waits.append(timeout)
            if len(waits) > 2:
                enough.set()
            return False

    lease = setting.leased()
    if lease_seconds is None:
        lease = evolve(lease, job=evolve(lease.job, started_at=None))
    queue = Renewing()
    with monkeypatch.context() as context:
        context.setattr(kept_lease.threading, "Event", Waits)
        heartbeats = Heartbeats(queue, SystemClock(), seconds=seconds)
    with heartbeats.keep(lease) as kept:
        assert kept.held_seconds == held
        assert enough.wait(60)
    join_heartbeats()
    assert set(waits) == {step}


def test_a_short_lease_does_not_wait_until_a_long_one_is_renewed(monkeypatch, setting):
    waiting = threading.Event()

    class Waits(threading.Event):
        def wait(self, timeout=None):
            waiting.set()
            return super().wait(timeout)

    queue = Renewing()
    first, second = setting.leased(), setting.leased()
    long = evolve(first, expires_at=first.expires_at + timedelta(days=1))
    short = evolve(second, expires_at=second.job.started_at + timedelta(seconds=0.03))
    before = set(heartbeat_threads())
    with monkeypatch.context() as context:
        context.setattr(kept_lease.threading, "Event", Waits)
        heartbeats = Heartbeats(queue, SystemClock(), seconds=3600.0)
    with heartbeats.keep(long):
        assert waiting.wait(60)
        with heartbeats.keep(short):
            assert queue.renewed.wait(60)
        # One thread asks for all of them, and holds up no process that ends.
        assert [thread.daemon for thread in set(heartbeat_threads()) - before] == [True]
    assert {tuple(asked) for asked in queue.asked} == {(first.job.serial, second.job.serial)}


def test_leases_are_renewed_again_after_a_time_without_any(setting):
    queue = Renewing()
    heartbeats = Heartbeats(queue, SystemClock(), seconds=0.01)
    with heartbeats.keep(setting.leased()):
        assert queue.renewed.wait(60)
    join_heartbeats()
    queue.renewed.clear()
    with heartbeats.keep(setting.leased()):
        assert queue.renewed.wait(60)


def test_a_lease_that_was_lost_is_not_asked_for_again(setting):
    first, second = setting.leased(), setting.leased()
    queue = Renewing(lost={first.job.serial})
    heartbeats = Heartbeats(queue, SystemClock(), seconds=0.01)
    with heartbeats.keep(first) as lost, heartbeats.keep(second) as kept:
        assert queue.renewed.wait(60)
    assert (lost.lost, kept.lost) == (True, False)
    with pytest.raises(LeaseLost, match="its script was ended here"):
        lost.check()
    assert sum(first.job.serial in asked for asked in queue.asked) == 1


def test_what_the_server_refuses_is_raised_to_whoever_asks_for_the_lease(setting):
    class Refusing:
        def heartbeat(self, _leases):
            raise PermissionDenied("this worker is another user's")

    with Heartbeats(Refusing(), SystemClock(), seconds=0.01).keep(setting.leased()) as kept:
        join_heartbeats()
        with pytest.raises(PermissionDenied, match="another user's"):
            kept.check()
