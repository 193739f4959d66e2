"""What every RecordStore does."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import RecordNotFound
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import Sequence
from xfworker.domain.records import (
    ActivityEvent,
    Entity,
    Job,
    Project,
    Run,
    RunPriority,
    Task,
    TaskState,
    TaskType,
    Worker,
    Workflow,
    WorkflowState,
)
from xfworker.ports.job_queue import HeldAttempt
from xfworker.ports.record_store import ClaimableTask, Claimant, Locking, RecordStore, RecordTransaction

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class RecordStoreContract:
    """
    Inherit it, give the fixture, and pytest runs every test against your record store.

    Fixtures to give:
        ``store``: an empty :class:`~xfworker.ports.record_store.RecordStore`.
    """

    @pytest.fixture
    def store(self) -> Iterator[RecordStore]:
        raise NotImplementedError

    def test_what_is_inserted_is_there_afterwards(self, store: RecordStore) -> None:
        project = Project(name="p", metadata={"a": {"b": [1, 2.5, None, "é"]}}, extra={"x": 1}, created_at=NOON)
        with store.transaction() as transaction:
            stored = transaction.insert(project)
            assert transaction.get(Project, stored.serial) == stored
        with store.transaction(write=False) as transaction:
            assert transaction.get(Project, stored.serial) == stored
            assert (stored.name, stored.metadata, stored.extra, stored.created_at) == (
                project.name,
                project.metadata,
                project.extra,
                NOON,
            )

    def test_what_is_encoded_is_what_is_found(self, store: RecordStore) -> None:
        values = {"a": {"b": [1, 2.5, None, "é", True]}, "empty": {}}
        with store.transaction() as transaction:
            for number in range(4):
                extra = {"x": [number], "name_of_later": "ß"} if number % 2 else {}
                transaction.insert(
                    Job(
                        task_serial=1,
                        workflow_serial=1,
                        project_serial=1,
                        state=JobState.DONE if number else JobState.WAITING,
                        inputs=values if number else {},
                        extra=extra,
                        sort_order=f"c{9 - number}",
                        started_at=NOON if number else None,
                    )
                )
                transaction.insert(Project(name=f"p{number}", obsolete=bool(number % 2), created_at=NOON, extra=extra))
        many = tuple(range(1, 100))
        for kind, where in (
            (Job, None),
            (Job, {"state": JobState.DONE}),
            (Job, {"serial": many}),
            (Project, {"obsolete": True}),
            (Project, {"serial": many}),
        ):
            with store.transaction(write=False) as transaction:
                found = transaction.find(kind, where)
                encoded = transaction.find_encoded(kind, where)
                assert [json.loads(record.body) for record in encoded] == [to_json(record) for record in found]
                page = transaction.find_encoded(kind, where, after=encoded[0].position, limit=1)
                assert page == encoded[1:2]

    def test_what_is_logged_is_found_behind_what_was_logged_before_and_undone_with_its_part(
        self, store: RecordStore
    ) -> None:
        with store.transaction() as transaction:
            transaction.log(ActivityEvent(title="first", created_at=NOON))
            with suppress(ZeroDivisionError), transaction.savepoint():
                transaction.log(ActivityEvent(title="undone", created_at=NOON))
                _ = 1 / 0
            transaction.log(ActivityEvent(title="second", created_at=NOON))
            assert [event.title for event in transaction.find(ActivityEvent)] == ["first", "second"]
            transaction.log(ActivityEvent(title="last", created_at=NOON))
        with store.transaction(write=False) as transaction:
            assert [event.title for event in transaction.find(ActivityEvent)] == ["first", "second", "last"]

    def test_what_was_undone_with_its_part_is_not_seen_by_its_serial(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            project = transaction.insert(Project(name="before"))
            assert transaction.get(Project, project.serial).name == "before"
            with suppress(ZeroDivisionError), transaction.savepoint():
                transaction.replace(attrs.evolve(project, name="undone"))
                undone = transaction.insert(Project(name="undone"))
                _ = 1 / 0
            assert transaction.get(Project, project.serial).name == "before"
            with pytest.raises(RecordNotFound):
                transaction.get(Project, undone.serial)

    def test_strings_are_encoded_with_their_escapes(self, store: RecordStore) -> None:
        names = ['"', "\\", "a\tb\n\r\b\f", "\x01\x1f\x7f", "é\u2028\U0001f52c", "%s%d", "'", "{}", "null", ""]
        with store.transaction() as transaction:
            for name in names:
                transaction.insert(Project(name=name, metadata={name: name}))
            encoded = transaction.find_encoded(Project)
        assert [json.loads(record.body)["name"] for record in encoded] == names
        assert [json.loads(record.body)["metadata"] for record in encoded] == [{name: name} for name in names]

    def test_records_that_were_modified_since_a_time_are_found(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            old, new, other = (
                transaction.insert(Run(workflow_serial=workflow, modified_at=NOON + timedelta(seconds=seconds)))
                for workflow, seconds in ((1, -1), (1, 0), (2, 5))
            )
            found = transaction.modified_since(Run, {"workflow_serial": 1}, NOON)
            assert [run.serial for run in found] == [new.serial]
            everywhere = transaction.modified_since(Run, {}, NOON - timedelta(seconds=1))
            assert [run.serial for run in everywhere] == [old.serial, new.serial, other.serial]

    def test_cells_say_of_running_jobs_how_far_they_are(self, store: RecordStore) -> None:
        said = {"progress_percentage": 40, "estimated_duration_seconds": 60.0, "other": "x"}
        job = Job(task_serial=7, workflow_serial=3, started_at=NOON, metadata=said, outputs={"large": [1]})
        with store.transaction() as transaction:
            running = transaction.insert(attrs.evolve(job, state=JobState.RUNNING, run_serial=5))
            done = transaction.insert(attrs.evolve(job, state=JobState.DONE))
            transaction.insert(attrs.evolve(job, workflow_serial=4))
            odd = {"progress_percentage": "much"}
            strange = transaction.insert(attrs.evolve(job, state=JobState.RUNNING, metadata=odd, started_at=None))
            assert [tuple(cell) for cell in transaction.job_cells(3)] == [
                (running.serial, 7, 5, JobState.RUNNING, NOON, 40.0, 60.0),
                (done.serial, 7, None, JobState.DONE, None, None, None),
                (strange.serial, 7, None, JobState.RUNNING, None, None, None),
            ]

    def test_an_exception_undoes_everything(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            before = transaction.insert(Project(name="before"))
            transaction.put_entry("kept", {"n": 1})

        def fail() -> None:
            with store.transaction() as transaction:
                transaction.insert(Project(name="after"))
                transaction.replace(Project(serial=before.serial, name="changed"))
                transaction.put_entry("kept", {"n": 2})
                transaction.put_entry("new", {"n": 3})
                transaction.delete(Project, {"serial": before.serial})
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        with store.transaction(write=False) as transaction:
            assert [project.name for project in transaction.find(Project)] == ["before"]
            assert transaction.entry("kept") == {"n": 1}
            assert transaction.entry("new") is None

    def test_a_part_of_a_transaction_is_undone_alone(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            kept = transaction.insert(Project(name="kept"))
            with pytest.raises(ZeroDivisionError), transaction.savepoint():
                transaction.insert(Project(name="undone"))
                transaction.replace(Project(serial=kept.serial, name="changed"))
                raise ZeroDivisionError
            with transaction.savepoint():
                transaction.insert(Project(name="kept as well"))
        with store.transaction(write=False) as transaction:
            assert [project.name for project in transaction.find(Project)] == ["kept", "kept as well"]

    def test_what_a_caller_holds_is_not_what_is_kept(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            stored = transaction.insert(Project(metadata={"list": [1]}))
        stored.metadata["list"].append(2)
        with store.transaction(write=False) as transaction:
            seen = transaction.get(Project, stored.serial)
            seen.metadata["list"].append(3)
            assert transaction.get(Project, stored.serial).metadata == {"list": [1]}

    def test_replacing_or_reading_nothing_is_an_error(self, store: RecordStore) -> None:
        with store.transaction() as transaction, pytest.raises(RecordNotFound):
            transaction.replace(Project(serial=4711))
        with store.transaction() as transaction, pytest.raises(RecordNotFound):
            transaction.get(Project, 4711)

    def test_a_page_goes_on_behind_the_last_record(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            jobs = [
                transaction.insert(Job(task_serial=1, workflow_serial=1, sort_order=order))
                for order in ("b", "a", "a", "C", "ä")
            ]
        expected = [jobs[3], jobs[1], jobs[2], jobs[0], jobs[4]]
        with store.transaction(write=False) as transaction:
            assert list(transaction.find(Job)) == expected
            first = transaction.find(Job, limit=2)
            key = (first[-1].sort_order, first[-1].serial)
            assert list(transaction.find(Job, after=key)) == expected[2:]
            assert list(transaction.find(Job, {"sort_order": "a"}, after=key)) == [jobs[2]]

    def test_counting_and_finding_agree(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            for name in ("a", "b", "a"):
                transaction.insert(Project(name=name, obsolete=name == "b"))
            assert transaction.count(Project) == 3
            assert transaction.count(Project, {"name": "a"}) == len(transaction.find(Project, {"name": "a"})) == 2
            assert transaction.count(Project, {"name": ("a", "b"), "obsolete": True}) == 1
            assert transaction.count(Project, {"name": ()}) == 0

    def test_many_allowed_values_are_no_problem(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            made = [transaction.insert(Project()).serial for _ in range(3)]
            assert [project.serial for project in transaction.find(Project, {"serial": tuple(range(70_000))})] == made

    def test_deleting_returns_how_many(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            for job_serial in (1, 1, 2):
                transaction.insert(JobLease(job_serial=job_serial, worker_serial=1, attempt=1, expires_at=NOON))
            assert transaction.delete(JobLease, {"job_serial": 1}) == 2
            assert [lease.job_serial for lease in transaction.find(JobLease)] == [2]

    def test_what_was_deleted_is_not_seen_any_more_by_who_had_seen_it(self, store: RecordStore) -> None:
        for where in ({"name": "bones"}, {"name": ("bones", *map(str, range(100)))}):
            with store.transaction() as transaction:
                project = transaction.insert(Project(name="bones"))
                assert transaction.get(Project, project.serial) == project
                assert transaction.delete(Project, where) == 1
                with pytest.raises(RecordNotFound):
                    transaction.get(Project, project.serial)

    def test_leases_that_ran_out_are_found(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            for minutes in (0, 1, 2):
                transaction.insert(
                    JobLease(
                        job_serial=minutes, worker_serial=1, attempt=1, expires_at=NOON + timedelta(minutes=minutes)
                    )
                )
            leases = transaction.expired_leases(NOON + timedelta(seconds=61))
            assert sorted(lease.job_serial for lease in leases) == [0, 1]

    def test_a_claimant_comes_with_its_owner_and_its_repeated_lease(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            worker = transaction.insert(Worker(name="bench"))
            transaction.put_entry("owner", {"owner": "anna"})
            lease = transaction.insert(
                JobLease(job_serial=1, worker_serial=worker.serial, attempt=1, expires_at=NOON, claim_key="one")
            )

            def seen(claim_key: str | None, moment: datetime, owner_key: str = "owner") -> Claimant:
                return transaction.claimant(worker.serial, owner_key=owner_key, claim_key=claim_key, moment=moment)

            before, after = NOON - timedelta(seconds=1), NOON + timedelta(seconds=1)
            assert seen("one", before) == Claimant(
                worker=worker, owner={"owner": "anna"}, lease=lease, has_expired_leases=False
            )
            for claim_key in ("two", None):
                assert seen(claim_key, after, "nobody") == Claimant(
                    worker=worker, owner=None, lease=None, has_expired_leases=True
                )
            with pytest.raises(RecordNotFound):
                transaction.claimant(worker.serial + 1, owner_key="owner", claim_key=None, moment=NOON)

    def test_a_job_that_is_handed_out_is_kept_with_its_lease_and_its_event(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            active = transaction.insert(Workflow(project_serial=1, state=WorkflowState.ACTIVE)).serial
            inputs = {"large": "x" * 10_000}
            ready = Job(task_serial=1, workflow_serial=active, state=JobState.READY, inputs=inputs)
            serial = transaction.insert(ready).serial
        with store.transaction(locking=Locking.ROWS) as transaction:
            job = transaction.first_claimable_job((1,))
            assert job is not None
            running = attrs.evolve(job, state=JobState.RUNNING, attempt=1, worker_serial=3, metadata={"a": 1})
            lease = JobLease(job_serial=serial, worker_serial=3, attempt=1, expires_at=NOON, claim_key="k")
            lease = transaction.hand_out(running, lease, ActivityEvent(title="claimed"))
            assert transaction.get(Job, serial) == running
        with store.transaction(write=False) as transaction:
            assert transaction.get(Job, serial) == running
            assert transaction.find(JobLease) == [lease]
            assert [event.title for event in transaction.find(ActivityEvent)] == ["claimed"]
            assert transaction.first_claimable_job((1,)) is None

    def test_leases_of_one_worker_on_the_current_attempts_are_renewed_together(self, store: RecordStore) -> None:
        later = NOON + timedelta(minutes=5)
        with store.transaction() as transaction:
            jobs = [
                transaction.insert(
                    Job(task_serial=1, workflow_serial=1, metadata=metadata, state=state, started_at=NOON)
                ).serial
                for metadata, state in (({}, JobState.RUNNING), ({"stop": 1}, JobState.RUNNING), ({}, JobState.FAILED))
            ]
            for worker, job in ((1, jobs[0]), (1, jobs[1]), (2, jobs[2])):
                transaction.insert(JobLease(job_serial=job, worker_serial=worker, attempt=2, expires_at=NOON))
        with store.transaction(locking=Locking.ROWS) as transaction:
            attempts = [HeldAttempt(job, 2) for job in jobs] + [HeldAttempt(4711, 1), HeldAttempt(jobs[0], 1)]
            renewed = transaction.renew_leases(1, attempts, later, member="stop")
            assert sorted(
                (lease.job_serial, lease.attempt, lease.state, dict(lease.metadata)) for lease in renewed
            ) == [
                (jobs[0], 2, JobState.RUNNING, {}),
                (jobs[1], 2, JobState.RUNNING, {"stop": 1}),
            ]
            others = [HeldAttempt(jobs[0], 1), HeldAttempt(jobs[1], 2, later)]
            assert transaction.renew_leases(1, others, NOON, member="stop") == []
            [lease] = transaction.renew_leases(1, [*others, HeldAttempt(jobs[1], 2, NOON)], later, member="stop")
            assert (lease.job_serial, lease.started_at) == (jobs[1], NOON)
        with store.transaction(write=False) as transaction:
            ends = {lease.job_serial: lease.expires_at for lease in transaction.find(JobLease)}
            assert ends == {jobs[0]: later, jobs[1]: later, jobs[2]: NOON}
        with store.transaction(locking=Locking.ROWS) as transaction:
            transaction.renew_all_leases(later)
        with store.transaction(write=False) as transaction:
            assert {lease.expires_at for lease in transaction.find(JobLease)} == {later}

    def test_a_worker_is_seen_without_a_change_of_anything_else(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            worker = transaction.insert(Worker(name="bench", occ_lock_version=3))
        with store.transaction(locking=Locking.ROWS) as transaction:
            assert transaction.get(Worker, worker.serial) == worker
            transaction.touch_worker(worker.serial, NOON)
            assert transaction.get(Worker, worker.serial) == attrs.evolve(worker, last_seen_at=NOON)

    def test_a_job_that_becomes_claimable_is_counted(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            active = transaction.insert(Workflow(project_serial=1, state=WorkflowState.ACTIVE)).serial
            job = transaction.insert(Job(task_serial=1, workflow_serial=active))

        def counted() -> int:
            while (count := store.ready_count()) is None:  # a store may need a moment before it knows
                pass
            return count

        before = counted()
        with store.transaction(write=False) as transaction:
            transaction.get(Job, job.serial)
        assert counted() == before
        with store.transaction() as transaction:
            transaction.replace(attrs.evolve(job, state=JobState.READY))
        while counted() == before:
            pass

    def test_a_lease_is_deleted_only_as_it_was_read(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            lease = transaction.insert(JobLease(job_serial=1, worker_serial=1, attempt=1, expires_at=NOON))
            later = NOON + timedelta(seconds=1)
            assert transaction.delete(JobLease, {"serial": lease.serial, "expires_at": later}) == 0
            assert transaction.delete(JobLease, {"serial": lease.serial, "expires_at": NOON}) == 1

    def test_what_belongs_to_no_workflow_is_written_whatever_is_named(self, store: RecordStore) -> None:
        for of in ((Workflow, 4711), (Job, 2**70), (Run, -1)):
            with store.transaction(of=of) as transaction:
                transaction.hold_name("entity u")
                transaction.insert(Entity(uuid="u"))
        with store.transaction(locking=Locking.SHARED, of=(Workflow, 4711)) as transaction:
            assert transaction.count(Entity) == 3

    @pytest.mark.parametrize("way", [{"write": False}, {"locking": Locking.SHARED}])
    def test_a_transaction_that_only_reads_writes_nothing(self, store: RecordStore, way: dict[str, Any]) -> None:
        with store.transaction() as transaction:
            worker = transaction.insert(Worker(name="seen", last_seen_at=NOON))
            transaction.put_entry("key", {"n": 1}, at=NOON)
            event = transaction.insert(ActivityEvent(title="first", created_at=NOON))
        later = NOON + timedelta(days=1)
        job = Job(serial=1, task_serial=1, workflow_serial=1, project_serial=1)
        lease = JobLease(job_serial=1, worker_serial=worker.serial, attempt=1, expires_at=later)
        writes: tuple[Callable[[RecordTransaction], object], ...] = (
            lambda transaction: transaction.insert(Project(name="new")),
            lambda transaction: transaction.log(ActivityEvent(title="second")),
            lambda transaction: transaction.replace(attrs.evolve(worker, name="renamed")),
            lambda transaction: transaction.delete(Worker, {"serial": worker.serial}),
            lambda transaction: transaction.hand_out(job, lease, event),
            lambda transaction: transaction.touch_worker(worker.serial, later),
            lambda transaction: transaction.put_entry("key", {"n": 2}),
            lambda transaction: transaction.delete_entry("key"),
            lambda transaction: transaction.delete_entries_before(later),
            lambda transaction: transaction.delete_events_before(later, most=10),
        )
        for write in writes:
            with pytest.raises(RuntimeError), store.transaction(**way) as transaction:
                write(transaction)
        # A caller that goes on after it has written nothing either.
        with store.transaction(**way) as transaction, suppress(RuntimeError):
            transaction.put_entry("key", {"n": 3})
        with store.transaction(write=False) as transaction:
            assert transaction.entry("key") == {"n": 1}
            assert transaction.find(Worker) == [worker]
            assert transaction.find(ActivityEvent) == [event]
            assert [transaction.count(kind) for kind in (Project, JobLease)] == [0, 0]

    def test_entries_are_deleted_by_age(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            transaction.put_entry("old", {"n": 1}, at=NOON)
            transaction.put_entry("new", {"n": 2}, at=NOON + timedelta(hours=1))
            transaction.put_entry("timeless", {"n": 3})
            transaction.put_entry("new", {"n": 4}, at=NOON + timedelta(hours=2))
            assert transaction.delete_entries_before(NOON + timedelta(minutes=1)) == 1
            assert transaction.entry("old") is None
            assert transaction.entry("new") == {"n": 4}
            transaction.delete_entry("timeless")
            assert transaction.entry("timeless") is None
            transaction.delete_entry("never there")

    def test_old_events_are_deleted_a_few_at_a_time(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            for minutes in range(6):
                transaction.insert(ActivityEvent(title=str(minutes), created_at=NOON + timedelta(minutes=minutes)))
            moment = NOON + timedelta(minutes=4)
            assert [transaction.delete_events_before(moment, most=3) for _ in range(3)] == [3, 1, 0]
            assert [event.title for event in transaction.find(ActivityEvent)] == ["4", "5"]

    def test_ready_jobs_come_by_priority_then_sort_order(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            active = transaction.insert(Workflow(project_serial=1, state=WorkflowState.ACTIVE)).serial
            draft = transaction.insert(Workflow(project_serial=1)).serial
            high = transaction.insert(Run(workflow_serial=active, priority=RunPriority.HIGH)).serial
            paused = transaction.insert(Run(workflow_serial=active, priority=RunPriority.PAUSED))

            def job(name: str, **fields: Any) -> Job:
                defaults: dict[str, Any] = {
                    "task_serial": 1,
                    "workflow_serial": active,
                    "state": JobState.READY,
                    "sort_order": "a",
                }
                return transaction.insert(Job(name=name, **{**defaults, **fields}))

            job("third", sort_order="b")
            job("second")
            job("first", run_serial=high, sort_order="z")
            job("paused", run_serial=paused.serial)
            waiting = job("waiting", state=JobState.WAITING)
            job("draft", workflow_serial=draft)
            job("other task", task_serial=2, sort_order="c")

            def names(**options: Any) -> list[str]:
                return [job.name for job in transaction.claimable_jobs(**options)]

            assert names() == ["first", "second", "third", "other task"]
            assert names(limit=2) == ["first", "second"]
            assert [task.serial for task in transaction.claimable_tasks()] == [1, 2]
            for tasks, first in (((2,), "other task"), ((2, 1), "first"), ((3,), None), ((), None)):
                claimable = transaction.first_claimable_job(tasks)
                assert (claimable and claimable.name) == first
            transaction.replace(attrs.evolve(paused, priority=RunPriority.HIGH))
            transaction.replace(attrs.evolve(waiting, state=JobState.READY, sort_order="0"))
            assert names() == ["paused", "first", "waiting", "second", "third", "other task"]
            transaction.replace(attrs.evolve(transaction.get(Workflow, draft), state=WorkflowState.ACTIVE))
            transaction.replace(attrs.evolve(transaction.get(Workflow, active), obsolete=True))
            assert names() == ["draft"]

    def test_a_claimable_task_says_where_it_belongs_and_what_it_needs(self, store: RecordStore) -> None:
        dependencies = [{"name": "Core.IPL", "version": "1.0.0.0"}, {"name": "Core.Any"}]
        with store.transaction() as transaction:
            workflow = transaction.insert(Workflow(project_serial=9, state=WorkflowState.ACTIVE)).serial
            needs = transaction.insert(TaskType(name="needs", metadata={"dependencies": dependencies})).serial
            plain = transaction.insert(TaskType(name="plain")).serial
            tasks = [
                transaction.insert(Task(workflow_serial=workflow, task_type_serial=serial)).serial
                for serial in (needs, plain, 4711)
            ]
            for task in tasks:
                for _ in range(2):
                    transaction.insert(Job(task_serial=task, workflow_serial=workflow, state=JobState.READY))
            transaction.insert(Job(task_serial=4712, workflow_serial=workflow, state=JobState.DONE))
            needed = (("Core.IPL", "1.0.0.0"), ("Core.Any", None))
            assert list(transaction.claimable_tasks()) == [
                ClaimableTask(serial=tasks[0], project_serial=9, needed=needed),
                ClaimableTask(serial=tasks[1], project_serial=9, needed=()),
                ClaimableTask(serial=tasks[2], project_serial=0, needed=()),
            ]

    def test_whether_there_is_a_job_that_counts_is_answered_by_the_store(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            workflow = transaction.insert(Workflow(project_serial=1)).serial
            gone = transaction.insert(Run(workflow_serial=1, obsolete=True)).serial
            kept = transaction.insert(Run(workflow_serial=1)).serial

            def job(task: int, state: JobState, run: int | None) -> None:
                transaction.insert(Job(task_serial=task, workflow_serial=workflow, state=state, run_serial=run))

            for _ in range(3):
                job(1, JobState.READY, gone)
            job(2, JobState.RUNNING, kept)
            job(3, JobState.DONE, None)
            coming = (JobState.READY, JobState.RUNNING)
            assert not transaction.has_live_job((1, 3), coming)
            assert transaction.has_live_job((1, 2), coming)
            assert transaction.has_live_job((3,), (JobState.DONE,))
            assert not transaction.has_live_job((), (JobState.DONE,))

    def test_what_is_derived_from_tasks_is_made_anew_when_one_has_changed(self, store: RecordStore) -> None:
        def names() -> list[str]:
            tasks = transaction.find(Task, {"workflow_serial": 1, "state": TaskState.ACTIVE})
            return [f"{task.name} of {transaction.get(TaskType, task.task_type_serial).name}" for task in tasks]

        later = iter(NOON + timedelta(seconds=number) for number in range(100))
        with store.transaction() as transaction:
            kind = transaction.insert(TaskType(name="A", occ_lock_version=1, modified_at=next(later)))
            task = transaction.insert(
                Task(workflow_serial=1, task_type_serial=kind.serial, name="one", modified_at=next(later))
            )
        for change in (
            lambda: transaction.replace(attrs.evolve(task, name="two", occ_lock_version=2)),
            lambda: transaction.replace(attrs.evolve(task, name="three", occ_lock_version=2, modified_at=next(later))),
            lambda: transaction.replace(attrs.evolve(kind, name="B", occ_lock_version=2)),
            lambda: transaction.insert(
                Task(workflow_serial=1, task_type_serial=kind.serial, name="new", modified_at=next(later))
            ),
        ):
            with store.transaction() as transaction:
                assert transaction.derived(1, names) == names()
                change()
                assert transaction.derived(1, names) == names()
            with store.transaction(write=False) as transaction:
                assert transaction.derived(1, names) == names()
                assert transaction.derived(2, list) == []

    def test_what_was_derived_of_what_was_undone_is_not_kept(self, store: RecordStore) -> None:
        def names() -> list[str]:
            return [task.name for task in transaction.find(Task, {"workflow_serial": 1})]

        task = Task(workflow_serial=1, task_type_serial=1, occ_lock_version=1, modified_at=NOON)
        with suppress(ZeroDivisionError), store.transaction() as transaction:
            transaction.insert(attrs.evolve(task, name="one"))
            assert transaction.derived(1, names) == ["one"]
            _ = 1 / 0
        with store.transaction() as transaction:
            transaction.insert(attrs.evolve(task, name="two"))
        with store.transaction() as transaction:
            assert transaction.derived(1, names) == ["two"]

    def test_sequences_and_last_sort_orders_are_answered_by_the_store(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            gone = transaction.insert(Run(workflow_serial=1, obsolete=True)).serial
            kept = transaction.insert(Run(workflow_serial=1)).serial

            def job(order: str, **fields: Any) -> int:
                defaults: dict[str, Any] = {
                    "task_serial": 7,
                    "workflow_serial": 1,
                    "state": JobState.DONE,
                    "run_serial": kept,
                }
                return transaction.insert(Job(sort_order=order, **{**defaults, **fields})).serial

            second = job("b", outputs={"k": {"type": "CSV"}})
            first = job("a", outputs={"k": None}, run_serial=None)
            job("c", outputs={"k": 1}, run_serial=gone)
            job("d", outputs={"other": 1})
            job("e", outputs={"k": 1}, state=JobState.FAILED)
            job("f", outputs={"k": 1}, task_serial=8)
            values = list(transaction.output_values(Sequence(task_serial=7, key="k")))
            assert [(item.job_serial, item.value) for item in values] == [(first, None), (second, {"type": "CSV"})]
            assert transaction.last_sort_order(1) == "f"
            assert transaction.last_sort_order(2) is None

    def test_writers_do_not_lose_each_others_changes(self, store: RecordStore) -> None:
        with store.transaction() as transaction:
            serial = transaction.insert(Entity(uuid="u", metadata={"n": 0})).serial
        errors: list[BaseException] = []

        def count() -> None:
            try:
                for _ in range(25):
                    with store.transaction() as transaction:
                        seen = transaction.get(Entity, serial)
                        transaction.replace(Entity(serial=serial, uuid="u", metadata={"n": seen.metadata["n"] + 1}))
            except BaseException as error:  # noqa: BLE001  shown by the test
                errors.append(error)

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        with store.transaction(write=False) as transaction:
            assert transaction.get(Entity, serial).metadata == {"n": 200}
