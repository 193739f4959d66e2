"""Leases when clocks do not agree: no worker that renews its lease loses it, and one that is silent does."""

from contextlib import contextmanager, nullcontext
from datetime import timedelta

import pytest

from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.errors import ConfigurationError, IllegalTransition, NotEnoughSpace, ServerUnreachable
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Worker
from xfworker.ports.job_queue import Lease
from xfworker.services.platform.lease_watch import LeaseWatch
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.principal import ADMIN
from xfworker.testing.contracts.worlds import DirectWorld, Setting, heartbeat

LEASE_SECONDS = 60.0


class Served:
    """A platform with maintenance that comes in time, and a job that one worker holds."""

    def __init__(self) -> None:
        self.world = DirectWorld.over(MemoryRecordStore())
        self.platform, self.clock = self.world.platform, self.world.clock
        self.setting = Setting.make(self.world)
        self.lease = self.setting.leased()
        self.bystander = self.world.queue.register(Worker(name="bystander")).serial
        self.platform.maintain()

    @property
    def state(self) -> JobState:
        return self.world.admin.get(Job, self.lease.job.serial).state

    def pass_time(self, seconds: float, *, renewing: bool = False) -> None:
        for _ in range(round(seconds / 5)):
            self.clock.advance(5)
            if renewing:
                heartbeat(self.world.queue, self.lease)
            self.platform.maintain()

    def claim(self) -> Lease | None:
        return self.world.queue.claim(self.bystander)


@pytest.fixture
def served() -> Served:
    return Served()


def test_a_silent_worker_loses_its_job_after_the_lease(served):
    served.pass_time(60)
    assert served.state is JobState.RUNNING
    served.pass_time(5)
    assert served.state is JobState.READY


@pytest.mark.parametrize("step", [300, -300, 86_400, -86_400, 7])
@pytest.mark.parametrize("first", ["maintenance", "claim"])
def test_a_clock_that_is_set_costs_no_lease_and_a_silent_worker_still_loses_its_own(served, step, first):
    served.pass_time(30, renewing=True)
    served.clock.set_time(served.clock.now() + timedelta(seconds=step))
    if first == "claim":
        assert served.claim() is None
    served.pass_time(120, renewing=True)
    assert served.state is JobState.RUNNING
    served.pass_time(70)
    assert served.state is JobState.READY


def test_a_clock_that_is_set_back_does_not_keep_the_lease_of_a_silent_worker(served):
    served.clock.set_time(served.clock.now() - timedelta(days=1))
    served.pass_time(70)
    assert served.state is JobState.READY


@pytest.mark.parametrize("first", ["maintenance", "claim"])
def test_a_server_that_was_suspended_grants_a_fresh_period_first(served, first):
    served.clock.advance(3600)
    if first == "claim":
        assert served.claim() is None
    served.platform.maintain()
    assert served.state is JobState.RUNNING
    served.pass_time(55)
    assert served.state is JobState.RUNNING
    served.pass_time(10)
    assert served.state is JobState.READY


def test_a_claim_that_fails_does_not_use_up_the_fresh_period(served):
    served.clock.advance(3600)
    with pytest.raises(IllegalTransition):
        served.world.queue.claim(served.bystander, job_serial=served.lease.job.serial)
    assert served.claim() is None
    assert served.state is JobState.RUNNING


def test_a_server_that_starts_grants_a_fresh_period_first(served):
    served.clock.advance(3600)
    restarted = DirectWorld.over(served.platform.records)
    restarted.clock.set_time(served.clock.now())
    restarted.platform.begin_serving()
    assert restarted.queue.claim(served.bystander) is None
    assert served.state is JobState.RUNNING


def test_a_server_that_is_suspended_before_its_first_maintenance_grants_a_fresh_period_as_well():
    world = DirectWorld.over(MemoryRecordStore())
    world.platform.begin_serving()
    lease = Setting.make(world).leased()
    world.clock.advance(3600)
    assert world.queue.claim(world.queue.register(Worker(name="bystander")).serial) is None
    assert world.admin.get(Job, lease.job.serial).state is JobState.RUNNING


def test_small_differences_between_the_clocks_are_nothing():
    clock = ManualClock()
    watch = LeaseWatch(clock, LEASE_SECONDS)
    for _ in range(100):
        clock.advance(5)
        clock.set_time(clock.now() + timedelta(milliseconds=200))
        assert watch.look(for_maintenance=True) == 0


@pytest.mark.parametrize(("lease", "latest"), [(60.0, 20.0), (1.5, 1.0)])
@pytest.mark.parametrize(("more", "regular"), [(0.0, True), (0.25, False)])
def test_maintenance_may_come_a_third_of_a_lease_late_and_no_later(lease, latest, more, regular):
    clock = ManualClock()
    watch = LeaseWatch(clock, lease)
    watch.begin(after_pause=False)
    clock.advance(latest + more)
    assert (watch.look() == 0) is regular


@pytest.mark.parametrize(("lease", "largest"), [(60.0, 6.0), (1.5, 0.5)])
@pytest.mark.parametrize(("more", "regular"), [(0.0, True), (0.25, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_may_be_set_by_a_tenth_of_a_lease_and_no_more(lease, largest, more, regular, sign):
    clock = ManualClock()
    watch = LeaseWatch(clock, lease)
    watch.begin(after_pause=False)
    clock.set_time(clock.now() + timedelta(seconds=sign * (largest + more)))
    assert (watch.look() == 0) is regular


def test_claims_that_look_at_the_clocks_do_not_stand_for_maintenance():
    clock = ManualClock()
    watch = LeaseWatch(clock, LEASE_SECONDS)
    watch.begin(after_pause=False)
    clock.advance(15)
    assert watch.look() == 0
    clock.advance(15)
    assert watch.look() > 0


def test_a_server_that_is_suspended_twice_before_its_next_maintenance_grants_two_fresh_periods():
    clock = ManualClock()
    watch = LeaseWatch(clock, LEASE_SECONDS)
    watch.begin(after_pause=False)
    for _ in range(2):
        clock.advance(3600)
        number = watch.look()
        assert number > 0
        watch.grant(number)
        assert watch.look() == 0


def test_a_fresh_period_makes_up_only_for_what_was_seen_before_it():
    clock = ManualClock()
    watch = LeaseWatch(clock, LEASE_SECONDS)
    watch.begin(after_pause=False)
    clock.advance(3600)
    first = watch.look()
    clock.advance(3600)
    second = watch.look()
    watch.grant(first)
    assert watch.look() == second > first
    watch.grant(second)
    watch.grant(first)  # by a request that took longer
    assert watch.look() == 0


@pytest.mark.parametrize(("lease", "interval"), [(3600, 5.0), (60, 5.0), (6, 1.0), (1.2, 0.2)])
def test_leases_are_looked_at_several_times_in_each(lease, interval):
    platform = DirectWorld.over(MemoryRecordStore(), PlatformOptions(lease_seconds=lease)).platform
    assert platform.maintenance_seconds == pytest.approx(interval)


class Elsewhere(MemoryRecordStore):
    """Records that other processes look after as well, and that are away at times."""

    has_turn = True
    away = False
    joined = None
    closed = False
    is_full = False

    def transaction(self, *, write=True, **options):
        if write and self.is_full:
            raise NotEnoughSpace("the database has no room left")
        return super().transaction(write=write, **options)

    @contextmanager
    def maintenance_turn(self):
        if self.away:
            raise ServerUnreachable("the database is away")
        yield self.has_turn

    def join(self, settings):
        self.joined = dict(settings)
        return False

    def close(self):
        self.closed = True


def test_a_process_that_has_no_turn_leaves_leases_to_the_one_that_has():
    world = DirectWorld.over(Elsewhere())
    lease = Setting.make(world).leased()
    world.platform.records.has_turn = False
    for _ in range(14):
        world.clock.advance(5)
        world.platform.maintain()
    assert world.admin.get(Job, lease.job.serial).state is JobState.RUNNING
    world.platform.records.has_turn = True
    world.platform.maintain()
    assert world.admin.get(Job, lease.job.serial).state is JobState.READY


def test_while_the_database_is_away_no_lease_can_be_renewed_so_all_get_a_fresh_period():
    world = DirectWorld.over(Elsewhere())
    lease = Setting.make(world).leased()
    for away in (False, *[True] * 13, False):
        world.platform.records.away = away
        world.clock.advance(5)
        with pytest.raises(ServerUnreachable) if away else nullcontext():
            world.platform.maintain()
    assert world.admin.get(Job, lease.job.serial).state is JobState.RUNNING


def test_a_fresh_period_that_could_not_be_written_is_still_due():
    world = DirectWorld.over(Elsewhere())
    lease = Setting.make(world).leased()
    world.platform.maintain()
    world.clock.advance(3600)
    world.platform.records.is_full = True
    with pytest.raises(NotEnoughSpace):
        world.platform.maintain()
    world.platform.records.is_full = False
    world.platform.maintain()
    assert world.admin.get(Job, lease.job.serial).state is JobState.RUNNING


def test_a_process_that_joins_others_says_its_options_and_takes_their_leases_as_they_are():
    world = DirectWorld.over(Elsewhere())
    lease = Setting.make(world).leased()
    joining = DirectWorld.over(world.platform.records)
    joining.platform.join({"files": "s3://bucket"})
    assert world.platform.records.joined["files"] == "s3://bucket"
    assert world.platform.records.joined["lease_seconds"] == str(joining.platform.options.lease_seconds)
    joining.clock.advance(61)
    joining.platform.begin_serving()
    joining.platform.maintain()
    assert joining.admin.get(Job, lease.job.serial).state is JobState.READY
    joining.platform.close()
    assert world.platform.records.closed


def test_a_platform_without_accounts_and_files_says_so():
    platform = DirectWorld.over(MemoryRecordStore()).platform
    with pytest.raises(ConfigurationError, match="keeps no accounts"):
        platform.accounts_for(ADMIN)
    with pytest.raises(ConfigurationError, match="keeps no files"):
        platform.measure_disk(ADMIN)
