"""A worker's own lease while its computer or its server is away."""

import threading
import time

import pytest

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.errors import LeaseLost, ServerUnreachable
from xfworker.ports.job_queue import LeaseStatus
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
