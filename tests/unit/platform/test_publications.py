"""While a file store does not answer, nothing waits for it but what would meet the file that it publishes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.unit.platform.small_workflow import ENDED, SmallWorkflow
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.change import Change
from xfworker.domain.conversion import format_time
from xfworker.domain.errors import LeaseLost, ServerBusy
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Worker
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.publications import HELD_SECONDS, Publications
from xfworker.testing.contracts.worlds import heartbeat

_GIVEN_BACK = Outcome(ending=Ending.HANDED_BACK, message="preempted")


class HangingStore:
    """A file store that answers when it is let."""

    def __init__(self):
        self.files = MemoryFileStore()
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    def publish(self, resource, content, permit):
        with permit():
            self.is_asked.set()
            assert self.may_answer.wait(60)
            self.files.put(resource, content)


class Place:
    """A platform over SQLite whose file store hangs in the middle of the publication of a job's result."""

    def __init__(self, folder, threads):
        records = opened_records(PlatformStorage(data=folder, durable=False))
        self.bench = SmallWorkflow(records, PlatformOptions(files_may_wait=True))
        self.platform, self.queue = self.bench.world.platform, self.bench.queue
        self.task = self.bench.task("look")
        self.bench.start()
        self.jobs = [self.bench.server.create(Job(task_serial=self.task, state=JobState.READY)) for _ in range(2)]
        self.lease = self.queue.claim(self.bench.worker)
        self.store = HangingStore()
        self.resource = record_resource("job_result", self.lease.job.serial, "mask.omni")
        self.token = self.script.file_token([Scope(verb, self.resource) for verb in ("read", "write")])
        self.publication = threads.submit(self.store.publish, self.resource, b"1", self.permit)
        assert self.store.is_asked.wait(60)

    @property
    def script(self):
        return self.bench.world.as_bearer(self.lease.server_auth)

    def permit(self):
        return self.platform.held_file_rights(self.token)

    def finish(self):
        return self.script.update(Job, self.lease.job.serial, Change(values={"/outputs": {}, "/state": "Done"}))

    def deleting(self):
        publications = Publications(self.platform.records, self.platform.clock, may_wait=True)
        return publications.under_way((Job, self.lease.job.serial), lambda _: None, alone=True)

    def delete(self):
        with self.deleting():
            pass

    def answer(self):
        self.store.may_answer.set()
        self.publication.result(60)

    def pass_time(self, seconds, *, beating):
        """Let time pass; whoever has no heartbeats loses the lease."""
        for _ in range(int(seconds / 5)):
            self.bench.world.clock.advance(5)
            if beating:
                heartbeat(self.queue, self.lease)
            self.platform.maintain()

    def state(self):
        return self.bench.server.get(Job, self.lease.job.serial).state


@pytest.fixture
def place(tmp_path):
    with ThreadPoolExecutor() as threads:
        place = Place(tmp_path, threads)
        yield place
        place.store.may_answer.set()
    place.platform.close()


def test_another_client_claims_beats_and_ends_a_job_of_the_same_workflow_meanwhile(place):
    other = place.queue.register(Worker(name="other")).serial
    lease = place.queue.claim(other)
    assert lease.job.serial == place.jobs[1].serial
    heartbeat(place.queue, lease)
    heartbeat(place.queue, place.lease)
    script = place.bench.world.as_bearer(lease.server_auth)
    script.update(Job, lease.job.serial, Change(values={"/outputs": {}, "/state": "Done"}))
    assert place.queue.end(lease, ENDED).state is JobState.DONE
    assert not place.publication.done()


@pytest.mark.parametrize(
    "attempted",
    [
        lambda place: place.finish(),
        lambda place: place.queue.end(place.lease, _GIVEN_BACK),
    ],
    ids=["done", "handed back"],
)
def test_what_would_meet_the_file_is_refused_for_a_moment_and_taken_once_the_store_has_answered(place, attempted):
    with pytest.raises(ServerBusy, match=r"job \d+ has to wait: a file is being stored"):
        attempted(place)
    assert place.state() is JobState.RUNNING
    place.answer()
    attempted(place)
    assert place.state() in (JobState.DONE, JobState.READY)
    assert b"".join(place.store.files.open_read(place.token, place.resource)) == b"1"


def test_a_lost_worker_s_job_is_handed_out_again_only_when_its_file_has_arrived(place):
    place.platform.begin_serving()
    place.pass_time(4 * HELD_SECONDS, beating=False)
    assert place.state() is JobState.RUNNING
    place.answer()
    place.pass_time(HELD_SECONDS, beating=False)
    assert place.state() is JobState.READY


def test_a_publication_whose_server_is_gone_keeps_others_waiting_for_a_while_only(place):
    place.bench.world.clock.advance(HELD_SECONDS - 1)
    with pytest.raises(ServerBusy):
        place.finish()
    place.bench.world.clock.advance(1)
    assert place.finish().state is JobState.DONE


def test_a_publication_that_lapsed_and_lost_its_right_is_refused_when_the_store_has_answered(place):
    place.bench.world.clock.advance(HELD_SECONDS)
    place.finish()
    with pytest.raises(LeaseLost):
        place.answer()


def test_files_are_deleted_for_good_only_when_none_is_arriving_and_none_arrives_meanwhile(place):
    with pytest.raises(ServerBusy):
        place.delete()
    place.answer()
    with place.deleting(), pytest.raises(ServerBusy, match="files are being deleted"), place.permit():
        pass
    with place.permit():
        pass


def test_a_job_that_failed_meanwhile_is_restarted_only_when_its_file_has_arrived(place):
    crashed = Outcome(ending=Ending.CRASHED, message="crash")
    assert place.queue.end(place.lease, crashed).state is JobState.FAILED
    with pytest.raises(ServerBusy):
        place.bench.control.restart_job(place.lease.job.serial)
    place.answer()
    assert place.bench.control.restart_job(place.lease.job.serial).state is JobState.READY
    with pytest.raises(LeaseLost), place.permit():
        pass


class Doubtful(MemoryRecordStore):
    """Records whose database may be away for whoever writes."""

    is_away = False

    def transaction(self, *, write=True, **options):
        if write and self.is_away:
            raise ServerBusy("the database is away")
        return super().transaction(write=write, **options)


@pytest.fixture
def records():
    return Doubtful()


@pytest.fixture
def own(records):
    """The publications of one server process over records of one job, whose files may wait."""
    bench = SmallWorkflow(records, PlatformOptions(files_may_wait=True))
    task = bench.task("look")
    bench.start()
    bench.job = bench.server.create(Job(task_serial=task, state=JobState.READY)).serial
    bench.publications = Publications(records, bench.world.clock, may_wait=True)
    return bench


def publishing(own, *, alone=False):
    return own.publications.under_way((Job, own.job), lambda _: None, alone=alone)


def others_may_begin(own):
    """Return whether another process may have the job's files for itself now."""
    other = Publications(own.world.platform.records, own.world.clock, may_wait=True)
    try:
        with other.under_way((Job, own.job), lambda _: None, alone=True):
            return True
    except ServerBusy:
        return False


def test_files_of_no_job_are_published_while_nothing_is_locked_by_whoever_had_the_right(own):
    asked = []
    with own.publications.under_way(None, asked.append):
        own.server.update(Job, own.job, Change(values={"/name": "free"}))
    assert len(asked) == 1

    def refuse(_):
        raise LeaseLost("too late")

    with pytest.raises(LeaseLost), own.publications.under_way(None, refuse):
        pytest.fail("nothing is published without the right")


def test_a_publication_that_fails_keeps_nobody_waiting(own):
    with pytest.raises(ZeroDivisionError), publishing(own):
        raise ZeroDivisionError
    assert others_may_begin(own)


def test_a_publication_that_ends_leaves_another_one_of_the_same_job_under_way(own):
    with publishing(own):
        with publishing(own):
            assert not others_may_begin(own)
        assert not others_may_begin(own)
    assert others_may_begin(own)


def test_an_end_that_could_not_be_written_down_is_written_later(own, records):
    with publishing(own):
        records.is_away = True
    records.is_away = False
    assert not others_may_begin(own)
    own.publications.renew()
    assert others_may_begin(own)


def test_an_end_that_cannot_be_written_down_in_time_fails_the_publication(own, records):
    def take_too_long():
        with publishing(own):
            own.world.clock.advance(HELD_SECONDS)
            records.is_away = True

    with pytest.raises(ServerBusy, match="the database is away"):
        take_too_long()


def test_what_the_records_know_no_more_is_not_renewed(own, records):
    with publishing(own):
        own.world.clock.advance(HELD_SECONDS - 1)
        with records.transaction() as transaction:
            transaction.delete_entry(f"publications:{own.job}")
        own.publications.renew()
        assert others_may_begin(own)


def test_what_has_lapsed_is_not_renewed(own):
    with publishing(own):
        own.world.clock.advance(HELD_SECONDS)
        own.publications.renew()
        assert others_may_begin(own)


def test_a_publication_is_renewed_from_a_third_of_its_minute_on_and_nothing_is_written_before(own, records):
    with publishing(own):
        own.world.clock.advance(19)
        records.is_away = True
        own.publications.renew()
        records.is_away = False
        own.world.clock.advance(1)
        own.publications.renew()
        own.world.clock.advance(59)
        assert not others_may_begin(own)
        own.world.clock.advance(1)
        assert others_may_begin(own)


def test_nothing_is_written_about_a_publication_that_is_over(own, records):
    with publishing(own):
        pass
    own.world.clock.advance(HELD_SECONDS)
    records.is_away = True
    own.publications.renew()


def test_files_of_no_job_are_published_while_nobody_can_write_records(own, records):
    records.is_away = True
    with own.publications.under_way(None, lambda _: None):
        pass


def test_what_a_server_of_an_earlier_version_has_under_way_counts_as_well(own, records):
    held = format_time(own.world.clock.now() + timedelta(seconds=30))
    for entry, reason in (
        ({"until": held}, "a file is being stored or deleted"),
        ({"until": held, "alone": True}, "files are being deleted"),
    ):
        with records.transaction() as transaction:
            transaction.put_entry(f"publications:{own.job}", {"theirs": entry}, at=own.world.clock.now())
        refused = pytest.raises(ServerBusy, match=rf"job {own.job} has to wait: {reason}, and the file store")
        with refused, publishing(own, alone="alone" not in entry):
            pytest.fail("it meets the other")
    own.world.clock.advance(30)
    with publishing(own):
        pass
