"""The small rules of the platform at their edges: what each takes, refuses and says."""

import uuid

import pytest
from attrs import evolve

from tests.unit.platform.small_workflow import SmallWorkflow
from tests.unit.platform.test_file_deletion import SCRIPT, Site
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.errors import InvalidParameter, InvalidRecord, UsageError
from xfworker.domain.files import Scope, parse_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import CombinedQuery
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
from xfworker.domain.resources import Offer
from xfworker.services.platform.activity_retention import activity_state, delete_old_events
from xfworker.services.platform.dependents import task_types_with
from xfworker.services.platform.idle_workers import IdleWorkers
from xfworker.services.platform.isolation import isolated
from xfworker.services.platform.keeping import check_change, check_json
from xfworker.services.platform.options import PlatformOptions, SecondFactorFor
from xfworker.services.platform.principal import ADMIN
from xfworker.services.platform.reach import is_progress, workflow_of, workflow_of_new
from xfworker.services.platform.runs import entities


@pytest.fixture
def lab():
    return SmallWorkflow(MemoryRecordStore())


def test_where_nothing_is_chosen_times_and_numbers_are_the_documented_ones():
    options = PlatformOptions()
    hour, day = 3600, 24 * 3600
    assert (options.file_token_seconds, options.idempotency_key_seconds) == (12 * hour, day)
    assert (options.session_seconds, options.session_idle_seconds, options.most_sessions) == (30 * day, 3 * day, 50)
    assert (options.lease_seconds, options.worker_silent_seconds, options.max_attempts) == (60, 300, 3)
    assert (options.most_spawned_jobs, options.files_url, options.second_factor_for) == (10_000, "/fss/v1", "nobody")
    assert (options.outputs_must_fit, options.files_elsewhere, options.files_may_wait) == (True, False, False)
    assert PlatformOptions(wish_seconds=5).idempotency_key_seconds == 5
    assert [*SecondFactorFor] == ["nobody", "administrators", "all"]


def test_an_idle_worker_looks_again_where_anything_but_the_time_has_changed():
    idle, offer = IdleWorkers(ManualClock()), Offer(cores=4, seconds=100.0)

    def nothing_new(count, offered):
        return idle.has_nothing_new("caller", 1, count, offered)

    idle.record("caller", 1, idle=True, ready_count=3, offer=offer)
    assert idle.is_idle("caller", 1)
    assert nothing_new(3, evolve(offer, seconds=90.0))
    assert not any(nothing_new(*asked) for asked in ((3, evolve(offer, cores=8)), (3, None), (4, offer), (None, offer)))
    idle.record("caller", 1, idle=True, ready_count=3, offer=None)
    assert nothing_new(3, None)
    assert not nothing_new(3, offer)
    idle.record("caller", 1, idle=False, ready_count=3, offer=None)
    assert not idle.is_idle("caller", 1)


def test_idle_workers_look_again_between_five_and_ten_seconds_later_at_times_that_are_spread():
    clock = ManualClock()
    idle = IdleWorkers(clock)
    for worker in range(300):
        idle.record("caller", worker, idle=True, ready_count=3, offer=None)
    counts = []
    for seconds in (4.99, 1.0, 4.01):
        clock.advance(seconds)
        counts.append(sum(idle.has_nothing_new("caller", worker, 3, None) for worker in range(300)))
    assert (counts[0], counts[2]) == (300, 0)
    assert 0 < counts[1] < 300


LARGEST = 2**63 - 1
ROOM = (4 << 20) - len('{"a":""}')


@pytest.mark.parametrize(
    ("record", "too_much"),
    [
        (Job(task_serial=1, name="a" * 65_536), Job(task_serial=1, name="a" * 65_537)),
        (Job(task_serial=1, worker_serial=LARGEST), Job(task_serial=1, worker_serial=LARGEST + 1)),
        (Job(task_serial=1, worker_serial=-LARGEST), Job(task_serial=1, worker_serial=-LARGEST - 1)),
        (Job(task_serial=1, outputs={"a": "x" * ROOM}), Job(task_serial=1, outputs={"a": "x" * (ROOM + 1)})),
        (
            Job(task_serial=1, extra={key: ["x" * (3 << 20)] for key in "ab"}),
            Job(task_serial=1, extra={"a": ["x" * (4 << 20)]}),
        ),
    ],
)
def test_as_much_can_be_kept_of_a_record_and_no_more(record, too_much):
    check_json(record)
    with pytest.raises(InvalidRecord):
        check_json(too_much)


@pytest.mark.parametrize(
    ("values", "too_much", "path"),
    [
        ({"/name": "a" * 65_536}, {"/name": "a" * 65_537}, "name: "),
        ({"/worker_serial": LARGEST}, {"/worker_serial": LARGEST + 1}, "worker_serial: "),
        ({"/outputs/a": "a" * 65_537}, {"/outputs/a": "x" * (4 << 20)}, "outputs.a: "),
    ],
)
def test_as_much_can_be_kept_of_a_change_and_no_more(values, too_much, path):
    check_change(Job, 1, Change(values=values))
    with pytest.raises(InvalidRecord) as caught:
        check_change(Job, 1, Change(values=too_much))
    assert [fault.startswith(path) for fault in caught.value.faults] == [True]


@pytest.mark.parametrize(("count", "end"), [(20, "can hold"), (21, "; and 1 more")])
def test_twenty_of_the_violations_are_said(count, end):
    with pytest.raises(InvalidRecord) as caught:
        check_change(Job, 1, Change(values={f"/outputs/n{number}": 2**63 for number in range(count)}))
    assert str(caught.value).endswith(end)
    assert str(caught.value).count("the number is larger") == 20


def test_what_a_script_says_of_its_progress_keeps_nobody_waiting_and_all_else_reaches_one_workflow_at_most():
    progress = {"/metadata/progress_percentage": 5}
    assert is_progress(Change(values=progress, bump=False))
    for change in (
        Change(values=progress),
        Change(values=progress, removals=("/metadata/a",), bump=False),
        Change(values={**progress, "/name": "n"}, bump=False),
    ):
        assert not is_progress(change)
    assert [workflow_of(kind, 3) for kind in (Workflow, Task, Run, Job)] == [
        (kind, 3) for kind in (Workflow, Task, Run, Job)
    ]
    assert workflow_of(TaskType, 3) is None
    for principal, record, reached in (
        (ADMIN, Job(task_serial=2), (Task, 2)),
        (ADMIN, Run(workflow_serial=2), (Workflow, 2)),
        (ADMIN, ActivityEvent(title="t"), None),
        (SCRIPT, ActivityEvent(title="t"), (Workflow, 1)),
        (SCRIPT, TaskType(name="t"), None),
    ):
        assert workflow_of_new(principal, record) == reached


def test_a_job_that_a_script_spawns_outside_of_any_run_begins_one_about_its_entity_or_a_new_one(lab):
    task = lab.task("look")
    lab.start()
    lab.server.create(Job(task_serial=task, state=JobState.READY))
    script = lab.world.as_bearer(lab.queue.claim(lab.worker).server_auth)
    entity = {"type": "Entity", "uuid": str(uuid.uuid4()), "name": "m1"}
    for where in ({"state": JobState.DONE, "outputs": {"e": entity}}, {"inputs": {"e": entity}}, {}):
        job = script.create(Job(task_serial=task, name="mouse", **where))
        about = lab.server.get(Run, job.run_serial).entity
        assert about["name"] == ("m1" if where else "mouse")
        assert (about["uuid"] == entity["uuid"]) == bool(where)
        [kept] = lab.server.find(Entity, {"uuid": about["uuid"]})
        assert kept.name == about["name"]
    script.create(Job(task_serial=task, state=JobState.DONE, outputs={"e": {**entity, "uuid": "odd", "name": 5}}))
    assert [kept.name for kept in lab.server.find(Entity, {"uuid": "odd"})] == [""]
    assert list(entities({"e": {"type": "Entity", "uuid": "u"}})) == [{"uuid": "u", "name": ""}]


def test_only_the_task_types_that_run_with_a_package_are_those_with_it():
    with MemoryRecordStore().transaction() as transaction:
        package = transaction.insert(DependencyPackage(name="A", version="1"))
        for name, needed in (("B", "Z"), ("C", "A")):
            dependencies = [{"name": needed, "version": "1"}]
            transaction.insert(DependencyPackage(name=name, version="1", dependencies=dependencies))
        serials = [
            transaction.insert(TaskType(name=f"T{number}", metadata={"dependencies": [5, *names]})).serial
            for number, names in enumerate([[{"name": name, "version": "1"}] for name in "ABC"])
        ]
        assert task_types_with(transaction, package) == (serials[0], serials[2])


def test_a_part_that_cannot_be_handled_leaves_nothing_behind():
    def half():
        transaction.insert(Project(name="half"))
        raise ValueError("odd")

    with MemoryRecordStore().transaction() as transaction:
        assert isolated(transaction, "a part", half, lambda reason: reason) == "ValueError: odd"
        assert transaction.find(Project) == []


def test_the_disks_use_counts_folders_in_folders_and_what_is_of_no_job_the_largest_first(tmp_path):
    site = Site(tmp_path)
    small = site.server.create(Workflow(project_serial=site.project, name="small")).serial
    with site.records.transaction() as transaction:
        transaction.insert(Workflow(project_serial=4711))
    site.run()
    for _ in range(2):
        site.run(obsolete=False)
    for text in ("userdata/a/b/c.isq", "userdata/a/d.isq", "userdata/e.isq"):
        resource = parse_resource(text)
        site.files.upload(site.server.file_token([Scope("write", resource)]), site.source, resource)
    use = site.platform.measure_disk(ADMIN)
    found = [(one.workflow_serial, one.bytes, one.obsolete_bytes) for one in use.workflows]
    assert found == [(site.workflow, 30, 10), (small, 0, 0)]
    assert {one.source: one.bytes for one in use.sources}["userdata"] == 15
    site.server.update(Workflow, site.workflow, Change(values={"/obsolete": True}))
    assert site.platform.measure_disk(ADMIN).workflows[0].obsolete_bytes == 30
    with site.records.transaction() as transaction:
        for job in transaction.find(Job, limit=2):
            transaction.replace(evolve(job, workflow_serial=small))
    assert [one.workflow_serial for one in site.platform.measure_disk(ADMIN).workflows] == [small, site.workflow]


def test_the_log_has_what_was_changed_as_far_as_it_is_short(lab):
    values = {"/name": "x" * 201, "/metadata": {"a": 1}, "/metadata/b": None}
    lab.server.update(Project, lab.project.serial, Change(values=values))
    event = lab.server.find(ActivityEvent)[-1]
    assert (event.type, event.source, event.level) == ("RecordChange", "XFServer", "INFO")
    assert event.payload["values"] == {"/name": "x" * 200, "/metadata/b": None}
    job = lab.server.create(Job(task_serial=lab.task("look"), state=JobState.READY_FOR_INTERACTIVE))
    lab.server.update(Job, job.serial, Change(values={"/state": "Done"}))
    assert {event.level for event in lab.server.find(ActivityEvent)} == {"INFO"}
    assert ["ReadyForInteractive", "Done"] in [
        event.payload.get("state") for event in lab.server.find(ActivityEvent, {"job_serial": job.serial})
    ]


def test_the_state_of_the_log_says_since_when_it_has_events():
    records, clock = MemoryRecordStore(), ManualClock()
    assert str(activity_state(records)).startswith("activity log: 0 events, kept for ever")
    with records.transaction() as transaction:
        transaction.insert(ActivityEvent(title="t", created_at=clock.now()))
    assert str(activity_state(records)).startswith("activity log: 1 events since 2024-01-01, kept for ever")
    assert delete_old_events(records, clock, PlatformOptions()) == 0


WRONG = [{"version": "1.0.0.0"}]


@pytest.mark.parametrize(
    ("record", "path"),
    [
        (Worker(name="w", dependency_packages=WRONG), "dependency_packages[0]"),
        (TaskType(name="T", metadata={"dependencies": WRONG}), "metadata.dependencies[0]"),
        (DependencyPackage(name="P", dependencies=WRONG), "dependencies[0]"),
        (DependencyPackage(name="P", parameter_types=[{"name": 3}]), "parameter_types[0]"),
    ],
)
def test_what_is_wrong_with_a_declaration_begins_with_its_path(lab, record, path):
    with pytest.raises(InvalidRecord) as caught:
        lab.server.create(record)
    assert all(fault.startswith(path) for fault in caught.value.faults)


def test_a_package_may_have_its_script_in_a_folder(lab):
    described = {"archive": "A.xfp", "sha256": "0" * 64, "complete": True, "script": "sub/main.py"}
    assert lab.server.create(TaskType(name="T", metadata={"package": described})).metadata["package"] == described


def test_whoever_cannot_finish_a_job_is_told_which(lab):
    interface = {"outputs": [{"key": "n", "type": "Int"}]}
    kind = lab.server.create(TaskType(name="Lab.Mean", interface=interface)).serial
    task = lab.server.create(Task(workflow_serial=lab.workflow, task_type_serial=kind)).serial
    with pytest.raises(InvalidParameter, match=r"^job cannot be finished"):
        lab.server.create(Job(task_serial=task, state=JobState.DONE, outputs={"n": "many"}))
    job = lab.server.create(Job(task_serial=task, state=JobState.READY_FOR_INTERACTIVE)).serial
    change = Change(values={"/outputs": {"n": "many"}, "/state": "Done"})
    with pytest.raises(InvalidParameter, match=rf"^job {job} cannot be finished"):
        lab.server.update(Job, job, change)
    with pytest.raises(InvalidParameter, match=rf"^job {job} cannot be finished"):
        lab.server.check_update(Job, job, change)
    with pytest.raises(InvalidRecord, match="has more than"):
        lab.server.check_update(Job, job, Change(values={"/name": "a" * 65_537}))


def test_a_list_as_it_travels_has_what_the_list_has(lab):
    projects = lab.server.find(Project, {"name": "bones"})
    encoded = lab.server.encoded_page(Project, {"name": "bones"}, limit=10, most_bytes=1000)
    assert [one.position for one in encoded] == [("", project.serial) for project in projects]
    with pytest.raises(UsageError, match="has no field colour"):
        lab.server.encoded_page(Project, {"colour": 1}, limit=10, most_bytes=1000)


@pytest.mark.parametrize("most_bytes", [1, 1000, 5000, 20_000, 10**6])
def test_a_page_ends_with_the_record_that_fills_it_and_the_next_goes_on_behind_it(lab, most_bytes):
    sizes = [10, 3000, 10, 10, 2000, *[10] * 40, 9000, 10]
    serials = [lab.server.create(Project(name="p", metadata={"note": "x" * size})).serial for size in sizes]
    found, pages, after = [], 0, None
    while len(found) < len(sizes):
        page = lab.server.encoded_page(Project, {"name": "p"}, after=after, limit=30, most_bytes=most_bytes)
        assert 0 < len(page) <= 30
        found += page
        after, pages = page[-1].position, pages + 1
    assert [one.position[1] for one in found] == serials
    assert pages >= 2
    assert lab.server.encoded_page(Project, {"name": "p"}, after=after, limit=30, most_bytes=most_bytes) == []


def test_a_page_has_no_more_of_equal_records_than_fit_and_reads_few_at_once_of_any(lab):
    for size in [*[1000] * 30, *[10] * 30, *[100_000] * 150]:
        lab.server.create(Project(name="p", metadata={"note": "x" * size}))

    def page(most_bytes, after):
        return lab.server.encoded_page(Project, {"name": "p"}, after=("", after), limit=1000, most_bytes=most_bytes)

    assert len(page(1, 0)) == 8
    assert 15 <= len(page(20_000, 0)) <= 17
    assert len(page(10**6, 31)) <= 29 + 100
    assert len(page(10**9, 0)) == 210


def test_a_combined_query_is_narrowed_by_each_serial_that_is_given(lab):
    task = lab.task("look")
    other = lab.task("mask")
    kind = lab.server.get(Task, task).task_type_serial
    job = lab.server.create(Job(task_serial=task)).serial

    def serials(parts, **narrowing):
        query = CombinedQuery(parts=dict.fromkeys(parts, "narrowed"), **narrowing)
        return [[record.serial for record in found] for found in lab.server.combined_query(query).values()]

    everything = ("jobs", "tasks", "workflows", "projects", "task_types")
    assert serials(everything, job_serial=job) == [[job], [task], [lab.workflow], [lab.project.serial], [kind]]
    assert serials(("task_types", "tasks"), task_type_serial=kind) == [[kind], [task]]
    of_project = [[job], [task, other], [lab.workflow], [lab.project.serial]]
    assert serials(everything[:4], project_serial=lab.project.serial) == of_project
    package = next(lab.server.create(DependencyPackage(name=name)).serial for name in ("A", "B"))
    assert serials(("dependency_packages",), dependency_package_serial=package) == [[package]]
    elsewhere = lab.server.create(Project(name="elsewhere")).serial
    assert serials(("projects",), job_serial=job, project_serial=elsewhere) == [[]]
    assert serials(("projects",), job_serial=job, project_serial=lab.project.serial) == [[lab.project.serial]]
    with pytest.raises(InvalidParameter, match="no serial is given that narrows them"):
        serials(("jobs",))
    assert lab.server.combined_query(CombinedQuery(parts={"jobs": "9" * 18})) == {"jobs": []}
    with pytest.raises(InvalidParameter, match="is not a selector"):
        lab.server.combined_query(CombinedQuery(parts={"jobs": "9" * 19}))
