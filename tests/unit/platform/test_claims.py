"""A worker that fits none of the ready jobs costs next to nothing, however many there are."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from tests.unit.platform.statements import counted
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.sql.engine import open_engine, sqlite_url
from xfworker.adapters.sql.records import SqlRecordStore
from xfworker.adapters.sql.schema import upgrade
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.testing.contracts.worlds import DirectWorld

LONG_SECONDS = 15.0
"""Idle workers look at least as often whether there is something to do."""


@pytest.fixture
def world(tmp_path):
    records = opened_records(PlatformStorage(data=tmp_path, durable=False))
    yield DirectWorld.over(records)
    records.close()


def ready_jobs(world: DirectWorld, count: int, *, needs: str | None = None) -> list[int]:
    server = world.admin
    dependencies = [] if needs is None else [{"name": needs, "version": "1.0.0.0"}]
    project = server.create(Project(name="bones"))
    workflow = server.create(Workflow(project_serial=project.serial, state=WorkflowState.ACTIVE))
    task_type = server.create(TaskType(name="Lab.Some", metadata={"dependencies": dependencies}))
    task = server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial))
    return [server.create(Job(task_serial=task.serial, state=JobState.READY)).serial for _ in range(count)]


def test_a_worker_that_fits_no_job_asks_as_little_of_the_store_at_many_jobs_as_at_few(world):
    worker = world.queue.register(Worker(name="poor")).serial
    ready_jobs(world, 1, needs="Core.IPL")
    assert world.queue.claim(worker) is None
    world.clock.advance(LONG_SECONDS)
    with counted(world) as few:
        assert world.queue.claim(worker) is None
    ready_jobs(world, 60, needs="Core.IPL")
    with counted(world) as many:
        assert world.queue.claim(worker) is None
    assert few
    assert len(many) == len(few)
    assert not [statement for statement in many if "IMMEDIATE" in statement]


def test_a_job_that_fits_is_found_behind_many_that_do_not(world):
    worker = world.queue.register(Worker(name="poor")).serial
    ready_jobs(world, 30, needs="Core.IPL")
    assert world.queue.claim(worker) is None
    first, second = ready_jobs(world, 2)
    claimed = [world.queue.claim(worker) for _ in range(3)]
    assert [lease and lease.job.serial for lease in claimed] == [first, second, None]


def test_an_idle_worker_is_answered_while_somebody_else_writes(world):
    worker = world.queue.register(Worker(name="poor")).serial
    assert world.queue.claim(worker) is None
    with ThreadPoolExecutor() as threads, world.platform.records.transaction():
        assert threads.submit(world.queue.claim, worker).result(timeout=10) is None


def test_an_idle_worker_gets_what_has_become_ready(world):
    worker = world.queue.register(Worker(name="poor")).serial
    assert world.queue.claim(worker) is None
    [job] = ready_jobs(world, 1)
    lease = world.queue.claim(worker)
    assert lease is not None
    assert lease.job.serial == job


class AfterwardsRecords(MemoryRecordStore):
    """Records in memory, where something happens right after the next transaction ends."""

    afterwards = None

    @contextmanager
    def transaction(self, **options):
        with super().transaction(**options) as transaction:
            yield transaction
        happening, self.afterwards = self.afterwards, None
        if happening is not None:
            happening()


def test_an_idle_worker_gets_what_became_ready_while_it_was_told_that_nothing_is():
    world, jobs = DirectWorld.over(AfterwardsRecords()), []
    worker = world.queue.register(Worker(name="poor")).serial
    world.platform.records.afterwards = lambda: jobs.extend(ready_jobs(world, 1))
    assert world.queue.claim(worker) is None
    lease = world.queue.claim(worker)
    assert lease is not None
    assert [lease.job.serial] == jobs


def test_what_has_become_ready_counts_once_others_can_see_it(tmp_path):
    # A worker that asked in between would find nothing, and take it that nothing has come since.
    engine, counts = open_engine(sqlite_url(tmp_path / "records.sqlite"), durable=False), []
    upgrade(engine, lambda _: tmp_path)
    engine.dispose()

    @event.listens_for(engine, "connect")
    def look_at_commits(connection, _):
        connection.set_trace_callback(lambda statement: statement == "COMMIT" and counts.append(records.ready_count()))

    records = SqlRecordStore(engine)
    world = DirectWorld.over(records)
    ready_jobs(world, 1)
    counts.clear()
    before = records.ready_count()
    ready_jobs(world, 1)
    assert counts[0] == before
    assert records.ready_count() > counts[-1]
    records.close()


def test_an_idle_worker_asks_the_store_nothing_until_something_may_have_become_claimable(world):
    worker = world.queue.register(Worker(name="poor")).serial
    assert world.queue.claim(worker) is None
    with counted(world) as again:
        assert world.queue.claim(worker) is None
    assert again == []
    world.clock.advance(LONG_SECONDS)
    with counted(world) as later:
        assert world.queue.claim(worker) is None
    assert later


def test_an_idle_worker_gets_what_a_new_package_lets_it_run(world):
    worker = Worker(name="bench")
    serial = world.queue.register(worker).serial
    [job] = ready_jobs(world, 1, needs="Core.IPL")
    assert world.queue.claim(serial) is None
    world.queue.register(Worker(name="bench", dependency_packages=[{"name": "Core.IPL", "version": "1.0.0.0"}]))
    assert world.queue.claim(serial).job.serial == job
