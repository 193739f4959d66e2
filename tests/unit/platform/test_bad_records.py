"""One bad record harms nobody else: it is refused when written, and fails its own job where it is there already."""

from typing import Any

import attrs
import pytest

from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.change import Change
from xfworker.domain.errors import InvalidRecord, PermissionDenied, RecordNotFound
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_metadata import PLATFORM_KEYS
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import DependencyPackage, Job, Task, TaskType, Worker
from xfworker.testing.contracts.worlds import DirectWorld, Setting, heartbeat

NUMBER = {"key": "x", "type": "Float"}
ENDED = Outcome(ending=Ending.FINISHED, exit_code=0)
PACKAGE = {"archive": "A-1.0.0.0.xfp", "sha256": "0" * 64, "complete": True}


@pytest.fixture(params=["memory", "sqlite"])
def setting(request, tmp_path):
    if request.param == "memory":
        yield Setting.make(DirectWorld.over(MemoryRecordStore()))
        return
    records = opened_records(PlatformStorage(data=tmp_path, durable=False))
    yield Setting.make(DirectWorld.over(records))
    records.close()


@pytest.fixture
def bench(setting) -> int:
    return setting.world.queue.register(Worker(name="bench")).serial


def store(setting: Setting, record: Any, **fields: Any) -> Any:
    """Put something into the store as an older server, or a violation of the disk, would have left it there."""
    with setting.world.platform.records.transaction() as transaction:
        changed = attrs.evolve(record, **fields)
        if changed.serial:
            transaction.replace(changed)
            return changed
        return transaction.insert(changed)


def task_type(setting: Setting, **fields: Any) -> TaskType:
    return store(setting, TaskType(name="Lab.Bad"), **fields)


def task_of(setting: Setting, kind: TaskType, **fields: Any) -> Task:
    return store(setting, Task(workflow_serial=setting.workflow.serial, task_type_serial=kind.serial), **fields)


# --- what is written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(PLATFORM_KEYS))
def test_what_the_platform_keeps_in_a_jobs_metadata_is_written_by_nobody_else(setting, key):
    lease = setting.leased()
    for caller in (setting.script(lease), setting.world.admin):
        for change in ({f"/metadata/{key}": 5}, {"/metadata": {key: 5}}, {"/metadata": {key: {}}}):
            with pytest.raises(InvalidRecord, match=rf"metadata\.{key}: the platform sets it"):
                caller.update(Job, lease.job.serial, Change(values=change, bump=False))
    assert key not in setting.job(metadata={key: 5, "own": 1}).metadata


def test_an_administrator_asks_a_running_job_to_stop_in_the_platforms_words(setting):
    lease = setting.leased()
    change = Change(values={"/metadata/abort_requested": {"by": "somebody else"}})
    asked = setting.world.admin.update(Job, lease.job.serial, change)
    assert asked.metadata["abort_requested"]["by"] == "admin"
    assert heartbeat(setting.world.queue, lease).abort_requested


def test_what_the_platform_keeps_outlives_metadata_that_are_replaced_or_removed(setting):
    job = store(setting, setting.job(), metadata={"spawned_by_job": 7, "own": 1})
    values = {"/metadata": {"mine": 2}}
    assert setting.world.admin.update(Job, job.serial, Change(values=values)).metadata == {
        "mine": 2,
        "spawned_by_job": 7,
    }
    removed = setting.world.admin.update(Job, job.serial, Change(removals=("/metadata/spawned_by_job",)))
    assert removed.metadata["spawned_by_job"] == 7
    same = setting.world.admin.update(Job, job.serial, Change(values={"/metadata/spawned_by_job": 7}))
    assert same.metadata["spawned_by_job"] == 7


def test_no_script_makes_itself_the_spawner_of_another_job(setting):
    other = setting.job()
    script = setting.script(setting.leased())
    with pytest.raises(InvalidRecord):
        script.update(Job, other.serial, Change(values={"/metadata/spawned_by_job": 2}, bump=False))
    with pytest.raises(PermissionDenied):
        script.file_token([Scope("write", record_resource("job_result", other.serial))])


@pytest.mark.parametrize(
    ("interface", "path"),
    [
        ({"inputs": 5}, r"interface\.inputs"),
        ({"inputs": [5]}, r"interface\.inputs\[0\]"),
        ({"inputs": [{"type": "Int"}]}, r"interface\.inputs\[0\]: 'key'"),
        ({"inputs": [{**NUMBER, "supported_modes": 5}]}, r"interface\.inputs\[0\]\.supported_modes"),
        ({"inputs": [{**NUMBER, "supported_modes": ["now"]}]}, r"supported_modes\[0\]"),
        ({"inputs": [NUMBER, NUMBER]}, "declared twice"),
        ({"inputs": [{**NUMBER, "default": {}}]}, r"\.default"),
        ({"inputs": [{**NUMBER, "default": "much"}]}, r"\.default"),
        ({"inputs": [{**NUMBER, "minimum": "low"}]}, r"\.minimum"),
        ({"inputs": [{**NUMBER, "minimum": 2, "maximum": 1}]}, "more than the maximum"),
        ({"inputs": [{"key": "s", "type": "String", "enum": "ab"}]}, r"\.enum"),
        ({"outputs": [{"key": ["o"], "type": "Int"}]}, r"interface\.outputs\[0\]\.key"),
        ({"outputs": [{"key": "o", "type": ["Int"]}]}, r"interface\.outputs\[0\]\.type"),
    ],
)
def test_an_interface_is_checked_in_full_when_it_is_written(setting, interface, path):
    with pytest.raises(InvalidRecord, match=path):
        setting.world.admin.create(TaskType(name="Lab.Bad", interface=interface))
    with pytest.raises(InvalidRecord, match=path):
        setting.world.admin.update(TaskType, setting.task_type.serial, Change(values={"/interface": interface}))


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ({"dependencies": 5}, r"metadata\.dependencies"),
        ({"dependencies": ["x"]}, r"metadata\.dependencies\[0\]"),
        ({"dependencies": [{"name": "../../esc", "version": "1.0.0.0"}]}, r"dependencies\[0\]\.name"),
        ({"package": 5}, r"metadata\.package"),
        ({"package": {}}, r"metadata\.package: 'archive'"),
        ({"package": {**PACKAGE, "archive": "../x.xfp"}}, r"metadata\.package\.archive"),
        ({"package": {**PACKAGE, "sha256": "no"}}, r"metadata\.package\.sha256"),
        ({"package": {**PACKAGE, "script": "../../main.py"}}, r"metadata\.package\.script"),
        ({"package": {**PACKAGE, "metadata": {"limits": 5}}}, r"metadata\.package\.metadata"),
    ],
)
def test_what_describes_a_package_is_checked_in_full_when_it_is_written(setting, metadata, path):
    for kind in (TaskType,) if "dependencies" in metadata else (TaskType, DependencyPackage):
        with pytest.raises(InvalidRecord, match=path):
            setting.world.admin.create(kind(name="Lab.Bad", metadata=metadata))
        there = setting.world.admin.create(kind(name="Lab.Good"))
        with pytest.raises(InvalidRecord, match=path):
            setting.world.admin.update(kind, there.serial, Change(values={"/metadata": metadata}))


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"dependencies": [{"version": "1.0.0.0"}]}, r"dependencies\[0\]"),
        ({"parameter_types": [{"name": 3}]}, r"parameter_types\[0\]"),
    ],
)
def test_a_dependency_package_is_checked_in_full_when_it_is_written(setting, fields, path):
    with pytest.raises(InvalidRecord, match=path):
        setting.world.admin.create(DependencyPackage(name="Lab.Bad", **fields))
    there = setting.world.admin.create(DependencyPackage(name="Lab.Good"))
    values = {f"/{name}": value for name, value in fields.items()}
    with pytest.raises(InvalidRecord, match=path):
        setting.world.admin.update(DependencyPackage, there.serial, Change(values=values))


def test_a_script_brings_no_package(setting):
    script = setting.script(setting.leased())
    assert "package" not in script.create(TaskType(name="Lab.Spawned", metadata={"package": PACKAGE})).metadata


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ([{"mode": "fixed"}], r"inputs\[0\]\.key"),
        ([{"key": 3, "mode": "fixed"}], r"inputs\[0\]\.key"),
        ([{"key": "k", "mode": ["fixed"]}], r"inputs\[0\]\.mode"),
        ([{"key": "k", "mode": "ui"}, {"key": "k", "mode": "fixed"}], "given twice"),
        ([{"key": "k", "mode": "output", "task_serial": "1", "output_key": "o"}], "task_serial"),
    ],
)
def test_a_tasks_inputs_are_checked_in_full_when_they_are_written(setting, inputs, path):
    fields = {"workflow_serial": setting.workflow.serial, "task_type_serial": setting.task_type.serial}
    with pytest.raises(InvalidRecord, match=path):
        setting.world.admin.create(Task(**fields, inputs=inputs))
    with pytest.raises(InvalidRecord, match=path):
        setting.world.admin.update(Task, setting.task.serial, Change(values={"/inputs": inputs}))


# --- what is there already ------------------------------------------------------------------------------------------


def test_a_lost_job_is_handed_out_again_whatever_its_metadata_hold(setting, bench):
    job = store(setting, setting.job(), metadata={"lost_attempts": 5})
    setting.leased(job)
    store(setting, setting.world.admin.get(Job, job.serial), metadata={"lost_attempts": 5})
    setting.world.clock.advance(61)
    again = setting.world.queue.claim(bench)
    assert again is not None
    assert again.job.metadata["lost_attempts"] == ["worker bench stopped answering during attempt 1"]


@pytest.mark.parametrize(
    "bad", [{"metadata": {"dependencies": [{"name": 3}]}}, {"interface": {"inputs": 5}}, {"interface": {"inputs": [5]}}]
)
def test_a_task_type_of_any_shape_stops_no_claim(setting, bench, bad):
    setting.job(task_serial=task_of(setting, task_type(setting, **bad)).serial)
    good = setting.job()
    claimed = [setting.world.queue.claim(bench) for _ in range(2)]
    assert good.serial in {lease.job.serial for lease in claimed if lease}
    setting.world.platform.maintain()


def test_a_job_whose_task_type_is_gone_fails_and_the_queue_goes_on(setting, bench):
    task = task_of(setting, attrs.evolve(setting.task_type, serial=4711))
    bad = store(setting, attrs.evolve(setting.job(), task_serial=task.serial))
    good = setting.job()
    lease = setting.world.queue.claim(bench)
    assert lease is not None
    assert lease.job.serial == good.serial
    after = setting.world.admin.get(Job, bad.serial)
    assert after.state is JobState.FAILED
    assert "there is no task type 4711" in after.metadata["error_message"]


def test_no_job_is_made_of_a_task_whose_task_type_is_gone(setting):
    task = task_of(setting, attrs.evolve(setting.task_type, serial=4711))
    for named in ({}, {"workflow_serial": setting.workflow.serial}):
        with pytest.raises(RecordNotFound, match="there is no task type 4711"):
            setting.job(task_serial=task.serial, **named)


def test_maintenance_fails_what_cannot_be_handled_as_well(setting):
    task = task_of(setting, attrs.evolve(setting.task_type, serial=4711))
    bad = store(setting, attrs.evolve(setting.job(), task_serial=task.serial))
    setting.world.platform.maintain()
    assert setting.world.admin.get(Job, bad.serial).state is JobState.FAILED


def test_a_lease_on_a_job_that_is_gone_ends_alone(setting, bench):
    lost = setting.leased()
    now = setting.world.clock.now()
    for job_serial, worker_serial in ((4711, bench), (lost.job.serial, 4711)):
        store(setting, JobLease(job_serial=job_serial, worker_serial=worker_serial, attempt=1, expires_at=now))
    setting.world.clock.advance(61)
    assert setting.world.queue.claim(bench) is not None
    with setting.world.platform.records.transaction(write=False) as transaction:
        assert [lease.job_serial for lease in transaction.find(JobLease)] == [lost.job.serial]


@pytest.mark.parametrize(
    ("interface", "inputs"),
    [
        ({"inputs": [{"key": "k", "type": "Int", "supported_modes": 5}]}, []),
        ({"inputs": 5}, []),
        ({}, [{"mode": "fixed"}]),
        ({}, [{"key": "k", "mode": "sometimes"}]),
        ({}, [{"key": ["k"], "mode": "define_on_first"}]),
    ],
)
def test_a_follower_that_cannot_be_started_fails_itself_and_its_upstream_is_done(setting, interface, inputs):
    follows = {"key": "a", "mode": "output", "task_serial": setting.task.serial, "output_key": "o"}
    follower = task_of(setting, task_type(setting, interface=interface), inputs=[follows, *inputs])
    lease = setting.leased()
    setting.script(lease).update(Job, lease.job.serial, Change(values={"/outputs": {"o": 1}, "/state": "Done"}))
    assert setting.world.queue.end(lease, ENDED).state is JobState.DONE
    [job] = setting.world.admin.find(Job, {"task_serial": follower.serial})
    assert job.state is JobState.FAILED
    assert "the job cannot be started" in job.metadata["error_message"]


def test_a_waiting_job_that_cannot_go_on_fails_when_its_turn_comes(setting):
    bad = task_type(setting, interface={"inputs": [{"key": "k", "type": "Int", "supported_modes": 5}]})
    task = task_of(
        setting,
        bad,
        inputs=[
            {"key": "k", "mode": "output", "task_serial": setting.task.serial, "output_key": "o"},
            {"key": "d", "mode": "define_on_first"},
        ],
    )
    waiting = setting.job(task_serial=task.serial, state=JobState.WAITING)
    first = setting.leased(setting.job(task_serial=task.serial))
    assert setting.world.queue.end(first, Outcome(ending=Ending.CRASHED)).state is JobState.FAILED
    assert setting.world.admin.get(Job, waiting.serial).state is JobState.FAILED
    assert setting.leased(setting.job()).job.state is JobState.RUNNING


def test_a_follower_whose_task_type_is_gone_fails_and_says_so(setting):
    follows = {"key": "a", "mode": "output", "task_serial": setting.task.serial, "output_key": "o"}
    follower = task_of(setting, attrs.evolve(setting.task_type, serial=4711), inputs=[follows])
    lease = setting.leased()
    setting.script(lease).update(Job, lease.job.serial, Change(values={"/outputs": {"o": 1}, "/state": "Done"}))
    assert setting.world.queue.end(lease, ENDED).state is JobState.DONE
    [job] = setting.world.admin.find(Job, {"task_serial": follower.serial})
    assert job.state is JobState.FAILED
    assert job.metadata["error_message"] == "the job cannot be started: there is no task type 4711"
