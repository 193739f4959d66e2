"""Large values: they are looked through before any lock is taken, and what is too large is refused with advice."""

import threading
from contextlib import contextmanager

import pytest

from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change, apply
from xfworker.domain.errors import InvalidRecord
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.json_value import is_larger
from xfworker.domain.records import Job, TaskType
from xfworker.services.platform import idempotency, keeping
from xfworker.testing.contracts.worlds import DirectWorld, Setting

TOO_LARGE = {"rows": ["x" * 1000] * 5000}
NEARLY = {"rows": ["x" * 1000] * 4000}


@pytest.fixture
def setting() -> Setting:
    return Setting.make(DirectWorld.over(MemoryRecordStore()))


@pytest.mark.parametrize("values", [{"/outputs": TOO_LARGE}, {"/outputs/t": TOO_LARGE}, {"/metadata/t": TOO_LARGE}])
def test_a_value_that_is_too_large_is_refused_with_what_to_do(setting, values):
    lease = setting.leased()
    with pytest.raises(InvalidRecord, match=r"larger than the 4 MiB .* store it as a file \(upload_output_file\)"):
        setting.script(lease).update(Job, lease.job.serial, Change(values=values))
    assert setting.world.admin.get(Job, lease.job.serial) == lease.job


def test_a_new_record_is_held_to_the_same(setting):
    with pytest.raises(InvalidRecord, match=r"^job: outputs: is larger"):
        setting.job(state=JobState.DONE, outputs=TOO_LARGE)
    with pytest.raises(InvalidRecord, match=r"metadata: is larger"):
        setting.world.admin.create(TaskType(name="Lab.Large", metadata=TOO_LARGE))


def test_many_small_changes_do_not_grow_beyond_it(setting):
    job = setting.job()
    setting.world.admin.update(Job, job.serial, Change(values={"/outputs/a": NEARLY}))
    with pytest.raises(InvalidRecord, match=r"outputs: is larger"):
        setting.world.admin.update(Job, job.serial, Change(values={"/outputs/b": NEARLY}))


@pytest.mark.parametrize(("field", "length"), [("name", 70_000), ("sort_order", 1_001)])
def test_a_string_that_is_too_long_is_refused(setting, field, length):
    with pytest.raises(InvalidRecord, match=f"{field}: has more than"):
        setting.job(**{field: "a" * length})
    with pytest.raises(InvalidRecord, match=f"{field}: has more than"):
        setting.world.admin.update(Job, setting.job().serial, Change(values={f"/{field}": "a" * length}))


def test_the_message_of_an_end_is_cut_to_what_people_read(setting):
    job = setting.world.queue.end(setting.leased(), Outcome(ending=Ending.CRASHED, message="x" * 1_000_000))
    assert len(job.metadata["error_message"]) < 20_000
    assert "characters left out" in job.metadata["error_message"]


def test_sizes_are_those_of_json():
    value = {"a": [1, 2.5, None, True], "b": "täxt"}
    assert not is_larger(value, len('{"a":[1,2.5,null,true],"b":"täxt"}'))
    assert is_larger(value, len('{"a":[1,2.5,null,true],"b":"täxt"}') - 1)


def test_what_a_change_does_not_reach_is_not_copied():
    rows = [[1, 2], [3, 4]]
    job = Job(task_serial=1, outputs={"rows": rows}, metadata={"a": 1})
    after = apply(job, Change(values={"/metadata/b": 2, "/name": "n"}))
    assert after.outputs["rows"] is rows
    assert (after.name, after.metadata, job.metadata) == ("n", {"a": 1, "b": 2}, {"a": 1})


class WatchedStore(MemoryRecordStore):
    """Knows whether a writing transaction is open in this thread."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.local()

    @contextmanager
    def transaction(self, *, write: bool = True, **locks):
        with super().transaction(write=write, **locks) as transaction:
            self.open.writes = write
            try:
                yield transaction
            finally:
                self.open.writes = False


def test_nothing_large_is_looked_through_while_others_wait(monkeypatch):
    store = WatchedStore()
    setting = Setting.make(DirectWorld.over(store))
    inside = []

    def watched(module, name):
        function = getattr(module, name)

        def call(value, *more, **named):
            if getattr(store.open, "writes", False) and is_larger(value, 100_000):
                inside.append(name)
            return function(value, *more, **named)

        monkeypatch.setattr(module, name, call)

    watched(keeping, "json_violations")
    watched(keeping, "is_larger")
    watched(idempotency.json, "dumps")
    job = setting.job()
    setting.world.admin.update(Job, job.serial, Change(values={"/outputs": NEARLY}), idempotency_key="k")
    setting.world.admin.create(
        Job(task_serial=setting.task.serial, state=JobState.DONE, outputs=NEARLY), idempotency_key="l"
    )
    assert inside == []
