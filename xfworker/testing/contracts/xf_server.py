"""What every XFServer does, whatever carries it and whatever keeps its records."""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from xfworker.domain.change import Change
from xfworker.domain.errors import (
    AccessError,
    AuthenticationFailed,
    IllegalTransition,
    InvalidParameter,
    InvalidRecord,
    LeaseLost,
    PermissionDenied,
    RecordConflict,
    RecordLocked,
    RecordNotFound,
    UsageError,
)
from xfworker.domain.files import Scope, parse_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import CombinedQuery, Sequence
from xfworker.domain.records import (
    ActivityEvent,
    DependencyPackage,
    Entity,
    Job,
    Project,
    Run,
    Task,
    TaskType,
    Worker,
    Workflow,
)
from xfworker.testing.contracts.worlds import Setting, World


class XFServerContract:
    """
    Inherit it, give the fixture, and pytest runs every test against your server.

    Fixtures to give:
        ``world``: a :class:`~xfworker.testing.contracts.worlds.World` with an empty server: its administrator's side,
        its job queue, and a way in for the bearer of a token.

    Attributes:
        listed: How many records the test of long lists makes: more than the server's pages hold. Where making records
            is slow and paging is proven elsewhere, fewer will do.
    """

    listed: ClassVar[int] = 1100

    @pytest.fixture
    def world(self) -> Iterator[World]:
        raise NotImplementedError

    @pytest.fixture
    def setting(self, world: World) -> Setting:
        return Setting.make(world)

    # --- records ------------------------------------------------------------------------------------------------

    def test_a_new_record_gets_a_serial_times_and_the_first_version(self, world: World) -> None:
        project = world.admin.create(Project(name="femora", metadata={"lab": {"room": 7}}))
        assert project.serial > 0
        assert project.occ_lock_version == 1
        assert project.created_at == project.modified_at
        assert project.created_at is not None
        assert project.created_at.utcoffset() == timedelta(0)
        assert world.admin.get(Project, project.serial) == project

    def test_keys_that_nobody_knows_survive(self, world: World) -> None:
        project = world.admin.create(Project(name="p", extra={"colour": "red", "nested": {"a": [1, None]}}))
        world.admin.update(Project, project.serial, Change(values={"/name": "q", "/shape": "round"}))
        kept = world.admin.get(Project, project.serial)
        assert kept.name == "q"
        assert kept.extra == {"colour": "red", "nested": {"a": [1, None]}, "shape": "round"}

    def test_texts_of_all_languages_and_large_numbers_survive(self, world: World) -> None:
        metadata = {"日本": "骨 \U0001f9b4 é\n\t\"'\\", "big": 2**70, "small": 5e-324, "deep": [[[{"x": False}]]]}
        name = "Knochen ß'; DROP TABLE projects; --"
        project = world.admin.create(Project(name=name, metadata=metadata))
        assert world.admin.get(Project, project.serial).metadata == metadata
        assert world.admin.find(Project, {"name": name}) == [project]

    def test_a_record_that_is_not_there_is_not_found(self, world: World) -> None:
        with pytest.raises(RecordNotFound, match="no job 999999"):
            world.admin.get(Job, 999_999)

    @pytest.mark.parametrize("serial", [0, -1, 2**63, 2**70])
    def test_a_number_that_is_not_a_serial_is_not_found(self, world: World, serial: int) -> None:
        with pytest.raises((RecordNotFound, UsageError)):
            world.admin.get(Project, serial)

    def test_records_are_found_by_their_fields(self, setting: Setting) -> None:
        server = setting.world.admin
        first, second = setting.job(), setting.job(state=JobState.WAITING)
        done = setting.job(state=JobState.DONE)
        named = server.create(
            Task(workflow_serial=setting.workflow.serial, task_type_serial=setting.task_type.serial, name="no key")
        )
        workflow = {"workflow_serial": setting.workflow.serial}
        assert server.find(Job, workflow) == [first, second, done]
        assert server.find(Job, {**workflow, "state": (JobState.WAITING, JobState.DONE)}) == [second, done]
        assert server.find(Task, {**workflow, "spawn_key": None}) == [named]
        assert server.find(Task, {**workflow, "spawn_key": (None, "own")}) == [setting.task, named]
        assert server.find(Job, {**workflow, "state": ()}) == []
        assert server.find(Task, {"spawn_key": "own", **workflow}) == [setting.task]

    def test_a_search_by_an_unknown_field_is_refused(self, world: World) -> None:
        with pytest.raises(UsageError, match="colour"):
            world.admin.find(Project, {"colour": "red"})

    def test_jobs_come_in_sort_order(self, setting: Setting) -> None:
        last = setting.job(sort_order="c05")
        first = setting.job(sort_order="a0")
        middle = setting.job(sort_order="a0V")
        jobs = setting.world.admin.find(Job, {"task_serial": setting.task.serial})
        assert [job.serial for job in jobs] == [first.serial, middle.serial, last.serial]

    def test_a_new_job_sorts_behind_all_others_of_its_workflow(self, setting: Setting) -> None:
        orders = [setting.job().sort_order for _ in range(70)]
        assert orders == sorted(orders)
        assert len(set(orders)) == 70
        strange = setting.job(sort_order="zzz!")
        assert setting.job().sort_order > strange.sort_order

    def test_a_list_has_no_end_that_is_cut_off(self, setting: Setting) -> None:
        create = setting.world.admin.create
        serials = [create(Entity(uuid=f"{setting.run.serial}-{n}")).serial for n in range(self.listed)]
        entities = [entity.serial for entity in setting.world.admin.find(Entity)]
        assert entities == sorted(entities)
        assert set(serials) <= set(entities)

    def test_a_search_may_name_very_many_values(self, setting: Setting) -> None:
        serials = (*range(1, 40_000), setting.project.serial)
        projects = setting.world.admin.find(Project, {"serial": serials})
        assert projects.count(setting.project) == 1

    def test_a_request_that_is_sent_twice_is_carried_out_once(self, world: World) -> None:
        first = world.admin.create(Project(name="once"), idempotency_key="once-1")
        second = world.admin.create(Project(name="once"), idempotency_key="once-1")
        assert first == second
        assert len(world.admin.find(Project, {"name": "once"})) == 1

    def test_one_key_for_two_requests_is_refused(self, world: World) -> None:
        world.admin.create(Project(name="a"), idempotency_key="once-2")
        with pytest.raises(UsageError, match="once-2"):
            world.admin.create(Project(name="b"), idempotency_key="once-2")

    def test_a_reference_to_nothing_is_refused(self, world: World) -> None:
        with pytest.raises(InvalidRecord, match="project_serial"):
            world.admin.create(Workflow(project_serial=999_999, name="lost"))
        assert world.admin.find(Workflow, {"name": "lost"}) == []

    @pytest.mark.parametrize("value", [math.nan, math.inf, "half \ud800", "nul \x00", {"a": {"b": [math.nan]}}])
    def test_what_is_no_json_everywhere_is_refused(self, world: World, value: Any) -> None:
        with pytest.raises(InvalidRecord, match="metadata"):
            world.admin.create(Project(name="p", metadata={"value": value}))

    # --- changes ------------------------------------------------------------------------------------------------

    def test_a_change_counts_the_version_on(self, setting: Setting) -> None:
        server = setting.world.admin
        before = setting.job()
        after = server.update(Job, before.serial, Change(values={"/name": "left"}, expected_version=1))
        assert (after.name, after.occ_lock_version) == ("left", 2)
        assert server.get(Job, before.serial) == after

    def test_a_change_from_an_older_record_conflicts_and_shows_the_current_one(self, setting: Setting) -> None:
        server = setting.world.admin
        job = setting.job()
        server.update(Job, job.serial, Change(values={"/name": "theirs"}, expected_version=1))
        with pytest.raises(RecordConflict) as caught:
            server.update(Job, job.serial, Change(values={"/name": "mine"}, expected_version=1))
        assert caught.value.current["name"] == "theirs"
        assert caught.value.current["occ_lock_version"] == 2
        assert server.get(Job, job.serial).name == "theirs"

    def test_a_change_may_leave_the_version(self, setting: Setting) -> None:
        job = setting.job()
        after = setting.world.admin.update(Job, job.serial, Change(values={"/metadata/a": 1}, bump=False))
        assert (after.metadata, after.occ_lock_version) == ({"a": 1}, job.occ_lock_version)

    def test_two_writers_of_two_keys_keep_both(self, setting: Setting) -> None:
        server = setting.world.admin
        job = setting.job(metadata={"old": 1})
        server.update(Job, job.serial, Change(values={"/metadata/a": 1}))
        after = server.update(Job, job.serial, Change(values={"/metadata/b": None}, removals=("/metadata/old",)))
        assert after.metadata == {"a": 1, "b": None}

    @pytest.mark.parametrize("pointer", ["/serial", "/occ_lock_version", "/attempt", "/task_serial", "/started_at"])
    def test_what_the_server_sets_cannot_be_changed(self, setting: Setting, pointer: str) -> None:
        job = setting.job()
        other = job.task_serial + job.serial  # what it is already may be sent again
        with pytest.raises(InvalidRecord, match=pointer[1:]):
            setting.world.admin.update(Job, job.serial, Change(values={pointer: other}))
        assert setting.world.admin.get(Job, job.serial) == job

    @pytest.mark.parametrize("values", [{"name": 1}, {"/": 1}, {"/a/b/c": 1}, {"/state": "Sleeping"}, {"/inputs": 3}])
    def test_a_malformed_change_changes_nothing(self, setting: Setting, values: dict[str, Any]) -> None:
        job = setting.job()
        with pytest.raises(InvalidRecord):
            setting.world.admin.update(Job, job.serial, Change(values=values))
        assert setting.world.admin.get(Job, job.serial) == job

    def test_a_job_goes_only_where_its_state_allows(self, setting: Setting) -> None:
        job = setting.job()
        with pytest.raises(IllegalTransition, match="Ready to Done"):
            setting.world.admin.update(Job, job.serial, Change(values={"/state": "Done"}))
        with pytest.raises(IllegalTransition, match="claims"):
            setting.world.admin.update(Job, job.serial, Change(values={"/state": "Running"}))

    def test_a_task_is_guarded_by_its_workflow(self, setting: Setting) -> None:
        server = setting.world.admin
        workflow = server.get(Workflow, setting.workflow.serial)
        version = workflow.occ_lock_version
        after = server.update(Task, setting.task.serial, Change(values={"/name": "a"}, expected_version=version))
        assert after.name == "a"
        assert server.get(Workflow, workflow.serial).occ_lock_version == version + 1
        with pytest.raises(RecordConflict) as caught:
            server.update(Task, setting.task.serial, Change(values={"/name": "b"}, expected_version=version))
        assert caught.value.current["name"] == "a"

    def test_a_locked_workflow_keeps_its_tasks(self, setting: Setting) -> None:
        server = setting.world.admin
        server.update(Workflow, setting.workflow.serial, Change(values={"/locked": True}))
        with pytest.raises(RecordLocked):
            server.update(Task, setting.task.serial, Change(values={"/name": "b"}))
        with pytest.raises(RecordLocked):
            server.create(Task(workflow_serial=setting.workflow.serial, task_type_serial=setting.task_type.serial))
        server.update(Workflow, setting.workflow.serial, Change(values={"/locked": False}))
        server.update(Task, setting.task.serial, Change(values={"/name": "b"}))

    def test_what_is_obsolete_takes_nothing_new(self, setting: Setting) -> None:
        server = setting.world.admin
        server.update(Project, setting.project.serial, Change(values={"/obsolete": True}))
        with pytest.raises(RecordLocked):
            server.create(Workflow(project_serial=setting.project.serial))

    def test_spawning_twice_with_one_key_makes_one_task(self, setting: Setting) -> None:
        again = setting.world.admin.create(
            Task(workflow_serial=setting.workflow.serial, task_type_serial=setting.task_type.serial, spawn_key="own")
        )
        assert again.serial == setting.task.serial

    # --- jobs ---------------------------------------------------------------------------------------------------

    def test_a_new_job_knows_its_workflow_and_has_all_its_inputs(self, world: World) -> None:
        interface = {
            "inputs": [{"key": "image", "type": "Image"}, {"key": "low", "type": "Int", "default": 220}],
        }
        setting = Setting.make(world, interface=interface)
        job = setting.job(inputs={"low": 300})
        assert (job.workflow_serial, job.project_serial) == (setting.workflow.serial, setting.project.serial)
        assert job.inputs == {"image": None, "low": 300}
        assert setting.job().inputs == {"image": None, "low": 220}

    def test_a_script_finishes_its_job_once(self, setting: Setting) -> None:
        lease = setting.leased()
        script = setting.script(lease)
        done = script.update(
            Job,
            lease.job.serial,
            Change(values={"/outputs": {"n": 3}, "/state": "Done"}, expected_version=lease.job.occ_lock_version),
        )
        assert (done.state, done.outputs) == (JobState.DONE, {"n": 3})
        assert done.started_at is not None
        assert done.finished_at is not None
        assert done.finished_at >= done.started_at
        with pytest.raises(LeaseLost):
            script.update(Job, lease.job.serial, Change(values={"/outputs": {"n": 4}}))
        assert setting.world.admin.get(Job, lease.job.serial).outputs == {"n": 3}

    def test_outputs_that_do_not_fit_the_interface_are_refused(self, world: World) -> None:
        setting = Setting.make(world, interface={"outputs": [{"key": "mean", "type": "Float"}]})
        lease = setting.leased()
        with pytest.raises(InvalidParameter) as caught:
            setting.script(lease).update(
                Job, lease.job.serial, Change(values={"/outputs": {"mean": "5", "median": 1}, "/state": "Done"})
            )
        assert len(caught.value.faults) == 2
        assert world.admin.get(Job, lease.job.serial).state is JobState.RUNNING

    def test_the_values_of_a_sequence_are_those_of_done_jobs_in_sort_order(self, setting: Setting) -> None:
        server = setting.world.admin
        gone = server.create(Run(workflow_serial=setting.workflow.serial, obsolete=True))
        second = setting.job(state=JobState.DONE, outputs={"mean": 2.5}, sort_order="b01")
        first = setting.job(state=JobState.DONE, outputs={"mean": None}, sort_order="a0")
        setting.job(state=JobState.DONE, outputs={"other": 1})
        setting.job(state=JobState.DONE, outputs={"mean": 9}, run_serial=gone.serial)
        setting.job()
        values = server.output_values(Sequence(task_serial=setting.task.serial, key="mean"))
        assert [(item.job_serial, item.run_serial, item.value) for item in values] == [
            (first.serial, setting.run.serial, None),
            (second.serial, setting.run.serial, 2.5),
        ]

    def test_a_combined_query_answers_every_part(self, setting: Setting) -> None:
        job = setting.job()
        setting.world.admin.create(DependencyPackage(name="Core.Any"))
        answer = setting.world.admin.combined_query(
            CombinedQuery(
                parts={"jobs": "narrowed", "tasks": "narrowed", "projects": "all", "dependency_packages": "all"},
                job_serial=job.serial,
            )
        )
        assert answer["jobs"] == [job]
        assert answer["tasks"] == [setting.task]
        assert setting.project in answer["projects"]
        assert [getattr(package, "name", None) for package in answer["dependency_packages"]] == ["Core.Any"] * len(
            answer["dependency_packages"]
        )
        by_serial = setting.world.admin.combined_query(CombinedQuery(parts={"jobs": f"{job.serial}, 999999"}))
        assert by_serial == {"jobs": [job]}

    @pytest.mark.parametrize("parts", [{"jobs": "some"}, {"colours": "all"}])
    def test_a_combined_query_that_is_not_understood_is_refused(self, world: World, parts: dict[str, Any]) -> None:
        with pytest.raises(InvalidParameter):
            world.admin.combined_query(CombinedQuery(parts=parts))

    def test_an_entity_is_found_by_its_uuid(self, world: World) -> None:
        made = world.admin.create(Entity(uuid="", name="mouse"))
        assert made.uuid
        assert world.admin.entity_by_uuid(made.uuid) == made
        with pytest.raises(RecordNotFound):
            world.admin.entity_by_uuid("no/such ?")
        with pytest.raises(RecordConflict):
            world.admin.create(Entity(uuid=made.uuid))

    # --- access -------------------------------------------------------------------------------------------------

    def test_a_forged_token_is_refused(self, world: World) -> None:
        with pytest.raises(AuthenticationFailed):
            world.as_bearer("forged").find(Project)

    def test_a_script_sees_its_own_project_only(self, setting: Setting) -> None:
        other = Setting.make(setting.world)
        hidden = other.job()
        script = setting.script(setting.leased())
        assert script.find(Project) == [setting.project]
        assert {job.project_serial for job in script.find(Job)} == {setting.project.serial}
        assert script.find(Task, {"workflow_serial": other.workflow.serial}) == []
        with pytest.raises(RecordNotFound):
            script.get(Job, hidden.serial)
        with pytest.raises(RecordNotFound):
            script.update(Job, hidden.serial, Change(values={"/name": "mine"}))
        with pytest.raises(RecordNotFound):
            script.output_values(Sequence(task_serial=other.task.serial, key="mean"))
        asked = CombinedQuery(parts={"jobs": "all", "projects": str(other.project.serial), "tasks": "all"})
        answered = script.combined_query(asked)
        assert answered["projects"] == []
        assert other.task not in answered["tasks"]
        assert hidden.serial not in {record.serial for record in answered["jobs"]}

    def test_a_script_spawns_in_its_own_workflow_only(self, setting: Setting) -> None:
        script = setting.script(setting.leased())
        spawned = script.create(Job(task_serial=setting.task.serial, state=JobState.DONE, outputs={"n": 1}))
        assert spawned.workflow_serial == setting.workflow.serial
        task_type = script.create(TaskType(name="Spawned.Type"))
        assert script.create(Task(workflow_serial=setting.workflow.serial, task_type_serial=task_type.serial)).serial
        elsewhere = setting.world.admin.create(Workflow(project_serial=setting.project.serial))
        with pytest.raises(PermissionDenied):
            script.create(Task(workflow_serial=elsewhere.serial, task_type_serial=task_type.serial))
        with pytest.raises(PermissionDenied):
            script.create(Project(name="mine"))
        with pytest.raises(PermissionDenied):
            script.create(DependencyPackage(name="Evil", install="rm -rf /"))

    def test_a_script_changes_what_is_of_its_own_workflow_only(self, setting: Setting) -> None:
        script = setting.script(setting.leased())
        admin = setting.world.admin
        elsewhere = admin.create(Workflow(project_serial=setting.project.serial))
        task = admin.create(Task(workflow_serial=elsewhere.serial, task_type_serial=setting.task_type.serial))
        run = admin.create(Run(workflow_serial=elsewhere.serial))
        job = admin.create(Job(task_serial=task.serial, run_serial=run.serial))
        for record in (elsewhere, task, run, job):
            with pytest.raises(PermissionDenied, match="its token is for workflow"):
                script.update(type(record), record.serial, Change(values={"/metadata": {"seen": True}}))
            assert admin.get(type(record), record.serial).metadata == record.metadata
        for record in (setting.workflow, setting.task, setting.run):
            assert script.update(type(record), record.serial, Change(values={"/metadata": {"seen": True}})).metadata

    def test_a_script_changes_nothing_that_is_of_no_project(self, setting: Setting) -> None:
        script = setting.script(setting.leased())
        admin = setting.world.admin
        made = [admin.create(Entity(uuid="")), admin.create(DependencyPackage(name="Core"))]
        for record in (setting.task_type, admin.find(Worker)[0], *made):
            with pytest.raises(PermissionDenied):
                script.update(type(record), record.serial, Change(values={"/metadata": {"seen": True}}))
            assert admin.get(type(record), record.serial).metadata == record.metadata

    def test_a_script_has_no_say_when_its_attempt_is_over(self, setting: Setting) -> None:
        lease = setting.leased()
        script = setting.script(lease)
        setting.world.admin.update(Job, lease.job.serial, Change(values={"/state": "Failed"}))
        with pytest.raises(AccessError):
            script.get(Job, lease.job.serial)
        with pytest.raises(AccessError):
            script.create(ActivityEvent(title="ghost"))
        with pytest.raises(AccessError):
            script.file_token([Scope("read", parse_resource(f"job_result/{lease.job.serial}"))])

    @pytest.mark.parametrize(
        ("verb", "resource", "allowed"),
        [
            ("read", "job_result/{own}", True),
            ("write", "job_result/{own}/scan.omni", True),
            ("list", "job_result/{other}", True),
            ("write", "job_result/{other}", False),
            ("read", "job_result/{foreign}", False),
            ("read", "job_result", False),
            ("write", "task_type_config/{type}", False),
            ("read", "task_type_config/{type}", True),
            ("read", "workflow_config/{workflow}", True),
            ("write", "userdata/reports", True),
            ("delete", "job_log/{own}", False),
        ],
    )
    def test_a_script_gets_tokens_for_its_own_files(
        self, setting: Setting, verb: str, resource: str, allowed: bool
    ) -> None:
        lease = setting.leased()
        names = {
            "own": lease.job.serial,
            "other": setting.job().serial,
            "foreign": Setting.make(setting.world).job().serial,
            "type": setting.task_type.serial,
            "workflow": setting.workflow.serial,
        }
        scope = Scope(verb, parse_resource(resource.format(**names)))
        script = setting.script(lease)
        if allowed:
            token = script.file_token([scope])
            assert token.scopes == (scope,)
            assert token.token
            assert token.expires_at is not None
        else:
            with pytest.raises(PermissionDenied, match=resource.format(**names)):
                script.file_token([scope])

    def test_a_script_may_write_the_results_of_jobs_that_it_spawned(self, setting: Setting) -> None:
        script = setting.script(setting.leased())
        spawned = script.create(Job(task_serial=setting.task.serial, state=JobState.DONE))
        assert script.file_token([Scope("write", parse_resource(f"job_result/{spawned.serial}"))]).scopes

    # --- the activity log ---------------------------------------------------------------------------------------

    def test_every_change_is_in_the_activity_log(self, setting: Setting) -> None:
        server = setting.world.admin
        job = setting.job()
        server.update(Job, job.serial, Change(values={"/name": "left"}))
        events = server.find(ActivityEvent, {"job_serial": job.serial})
        assert [(event.user, event.payload["action"]) for event in events] == [
            ("admin", "created"),
            ("admin", "changed"),
        ]
        assert events[-1].payload["values"] == {"/name": "left"}
        assert events[-1].created_at is not None

    def test_a_script_writes_events_under_its_own_name(self, setting: Setting) -> None:
        lease = setting.leased()
        event = setting.script(lease).create(ActivityEvent(title="half way", user="root", payload={"n": 1}))
        assert (event.user, event.job_serial) == (f"job {lease.job.serial}", lease.job.serial)

    def test_an_event_is_never_changed(self, setting: Setting) -> None:
        event = setting.world.admin.find(ActivityEvent)[0]
        with pytest.raises((InvalidRecord, PermissionDenied)):
            setting.world.admin.update(ActivityEvent, event.serial, Change(values={"/title": "nothing happened"}))

    def test_the_configuration_is_an_object(self, world: World) -> None:
        assert isinstance(world.admin.global_config(), dict)
