"""Workers register twice a minute: each keeps a record of its own, and it is kept when each was last heard of."""

from datetime import timedelta

import pytest

from tests.unit.platform.test_file_rights import Lab
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.errors import InvalidRecord, PermissionDenied
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.records import INSTANCE, Worker
from xfworker.testing.contracts.worlds import DirectWorld, Setting, heartbeat

SILENT_SECONDS = 300.0
NOTICED_SECONDS = 30.0
"""How exactly it is kept when a worker was last heard of."""


@pytest.fixture
def world():
    return DirectWorld.over(MemoryRecordStore())


def computer(instance):
    return Worker(name="bench", metadata={INSTANCE: instance})


def seen_at(world, worker):
    return world.admin.get(Worker, worker.serial).last_seen_at


def test_a_new_worker_begins_at_the_first_version_and_each_registration_counts_on(world):
    first = world.queue.register(Worker(name="bench", max_concurrent_jobs=2))
    assert (first.name, first.occ_lock_version) == ("bench", 1)
    world.clock.advance(1.0)
    again = world.queue.register(Worker(name="bench", max_concurrent_jobs=3))
    assert (again.serial, again.occ_lock_version, again.max_concurrent_jobs) == (first.serial, 2, 3)
    assert again.last_seen_at == again.modified_at == world.clock.now()
    assert world.admin.get(Worker, first.serial) == again


def test_computers_of_one_name_have_records_of_their_own(world):
    first, second, third = (world.queue.register(computer(name)) for name in ("a", "b", "c"))
    assert [worker.name for worker in (first, second, third)] == ["bench", "bench (2)", "bench (3)"]
    for worker in (first, second, third):
        again = world.queue.register(computer(worker.metadata[INSTANCE]))
        assert (again.serial, again.name, again.occ_lock_version) == (worker.serial, worker.name, 2)


def test_a_worker_that_does_not_say_which_computer_it_is_goes_by_its_name(world):
    first = world.queue.register(computer("a"))
    assert world.queue.register(Worker(name="bench")).serial == first.serial
    unnamed = world.queue.register(Worker(name="other"))
    assert world.queue.register(Worker(name="other", metadata={INSTANCE: "b"})).serial == unnamed.serial
    assert world.queue.register(Worker(name="other", metadata={INSTANCE: "c"})).serial != unnamed.serial


def test_a_new_computer_takes_the_record_of_the_first_that_was_silent_for_long(world):
    first, second = world.queue.register(computer("a")), world.queue.register(computer("b"))
    world.clock.advance(SILENT_SECONDS - 1.0)
    assert world.queue.register(computer("c")).name == "bench (3)"
    world.clock.advance(1.0)
    taken = world.queue.register(computer("d"))
    assert (taken.serial, taken.name, taken.metadata[INSTANCE]) == (first.serial, "bench", "d")
    assert world.queue.register(computer("e")).serial == second.serial
    assert world.queue.register(computer("f")).name == "bench (4)"


def test_a_computer_that_comes_back_keeps_its_own_record_and_takes_no_silent_one(world):
    world.queue.register(computer("a"))
    own = world.queue.register(computer("b"))
    world.clock.advance(SILENT_SECONDS)
    assert world.queue.register(computer("b")).serial == own.serial


def test_a_silent_worker_that_has_a_job_keeps_its_record(world):
    first = world.queue.register(computer("a"))
    lease = world.queue.claim(first.serial, job_serial=Setting.make(world).job().serial)
    world.clock.advance(SILENT_SECONDS)
    assert world.queue.register(computer("b")).name == "bench (2)"
    world.queue.end(lease, Outcome(ending=Ending.CRASHED))
    world.clock.advance(SILENT_SECONDS)
    assert world.queue.register(computer("c")).serial == first.serial


@pytest.mark.parametrize("ask", ["claim", "renew"])
def test_when_a_worker_was_last_heard_of_is_kept_to_the_half_minute(world, ask):
    worker = world.queue.register(Worker(name="bench"))
    setting = Setting.make(world)
    lease = world.queue.claim(worker.serial, job_serial=setting.job().serial)

    def is_heard_of():
        if ask == "renew":
            heartbeat(world.queue, lease)
        else:
            world.queue.claim(worker.serial, job_serial=setting.job().serial)
        return seen_at(world, worker) == world.clock.now()

    world.clock.advance(NOTICED_SECONDS - 1.0)
    assert not is_heard_of()
    world.clock.advance(1.0)
    assert is_heard_of()
    # A clock that was put back says no less.
    world.clock.set_time(world.clock.now() - timedelta(seconds=NOTICED_SECONDS))
    assert is_heard_of()


def test_a_worker_that_says_what_cannot_be_kept_or_followed_is_refused(world):
    for metadata, words in (({"note": float("nan")}, "note"), ({"note": "\x00"}, "note")):
        with pytest.raises(InvalidRecord, match=words):
            world.queue.register(Worker(name="bench", metadata=metadata))
    with pytest.raises(InvalidRecord, match="max_concurrent_jobs"):
        world.queue.register(Worker(name="bench", max_concurrent_jobs=100_001))
    assert world.admin.find(Worker) == []


def test_who_may_not_is_told_what_of_whom(tmp_path):
    lab = Lab.at(tmp_path)
    accounts = lab.platform.accounts_for(lab.admin)
    one, two = (lab.platform.authenticate(accounts.add_worker_token(name).text) for name in ("one", "two"))
    worker = lab.platform.queue_for(one).register(Worker(name="one"))
    other = lab.platform.queue_for(two)
    with pytest.raises(PermissionDenied, match="may not register worker"):
        other.register(Worker(name="one"))
    with pytest.raises(PermissionDenied, match="may not claim jobs for worker"):
        other.claim(worker.serial)
    with pytest.raises(PermissionDenied, match="may not renew the leases of worker"):
        other.renew(worker.serial, [])
    lease = lab.leased(lab.job())
    script = lab.platform.authenticate(lease.server_auth)
    with pytest.raises(PermissionDenied, match="may not run jobs"):
        lab.platform.queue_for(script)
