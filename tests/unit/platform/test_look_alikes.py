"""What people would take for a package, a task or a worker that is there already is refused, or is another one."""

import pytest

from tests.unit.platform.small_workflow import SmallWorkflow
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.errors import InvalidParameter, InvalidRecord, PermissionDenied
from xfworker.domain.files import Scope, parse_resource, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.package import PACKAGE
from xfworker.domain.records import DependencyPackage, Job, Project, Task, TaskType, Worker, Workflow


@pytest.fixture
def lab():
    return SmallWorkflow(MemoryRecordStore())


@pytest.fixture
def server(lab):
    return lab.server


# --- names and versions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TaskType, DependencyPackage])
@pytest.mark.parametrize(
    ("name", "version", "path"),
    [
        ("own.t", "1.0.0.0", "name: "),
        ("OWN.T", "2.0.0.0", "name: "),
        (" Own.T", "1.0.0.0", "name: "),
        ("\uff2fwn.T", "1.0.0.0", "name: "),
        ("Own.T", "1.0", "version: "),
        ("Own.T", "1.0.0.0.0", "version: "),
        ("Own.T", "01.0.0.0", "version: "),
    ],
)
def test_names_and_versions_that_look_alike_do_not_stand_beside_each_other(server, kind, name, version, path):
    server.create(kind(name="Own.T", version="0.9.0.0"))
    server.create(kind(name="Own.T", version="1.0.0.0"))
    with pytest.raises(InvalidRecord, match=path):
        server.create(kind(name=name, version=version))


@pytest.mark.parametrize("kind", [TaskType, DependencyPackage])
def test_other_names_and_versions_stand_beside_each_other(server, kind):
    for name, version in (("Own.T", "1.0.0.0"), ("Own.T", "1.0.0.1"), ("Own.T", "10.0.0.0"), ("Own.T2", "1.0.0.0")):
        assert server.create(kind(name=name, version=version)).version == version


def test_a_version_of_before_versions_were_checked_is_in_nobodys_way(lab):
    with lab.world.platform.records.transaction() as transaction:
        transaction.insert(TaskType(name="Own.T", version="first"))
    assert lab.server.create(TaskType(name="Own.T", version="1.0.0.0")).version == "1.0.0.0"


@pytest.mark.parametrize("kind", [TaskType, DependencyPackage])
@pytest.mark.parametrize("change", [{"/name": "Other"}, {"/version": "2.0.0.0"}])
def test_names_and_versions_stay_as_they_are(server, kind, change):
    made = server.create(kind(name="Own.T", version="1.0.0.0"))
    with pytest.raises(InvalidRecord, match="cannot be changed"):
        server.update(kind, made.serial, Change(values=change))


# --- the code of a version ------------------------------------------------------------------------------------------


CODE = {
    "interface": {"/interface": {"inputs": [], "outputs": []}},
    "package": {f"/metadata/{PACKAGE}": {"archive": "a.xfp", "sha256": "0" * 64, "complete": True}},
    "kind": {"/kind": "Interactive"},
    "dependencies": {"/metadata/dependencies": [{"name": "Core.IPL", "version": "1.0.0.0"}]},
}


@pytest.mark.parametrize("change", CODE.values(), ids=CODE)
@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.DONE])
def test_what_a_version_runs_stays_as_it_is_once_a_job_of_it_runs_or_is_done_whoever_asks(lab, state, change):
    task = lab.task("measure")
    lab.start()
    lab.server.create(Job(task_serial=task, state=JobState.READY))
    lab.queue.claim(lab.worker) if state is JobState.RUNNING else lab.work()
    task_type = lab.server.get(Task, task).task_type_serial
    with pytest.raises(PermissionDenied, match="make a new version"):
        lab.server.update(TaskType, task_type, Change(values=change))
    lab.server.update(TaskType, task_type, Change(values={"/metadata/note": "x", "/obsolete": True}))


@pytest.mark.parametrize("through", [False, True], ids=["itself", "through-another"])
def test_a_dependency_package_stays_as_it_is_once_a_job_with_it_is_done_whoever_asks(lab, through):
    package = lab.server.create(DependencyPackage(name="Lab.Numpy", version="1.0.0.0", install="pip install numpy"))
    needed = [{"name": package.name, "version": package.version}]
    above = lab.server.create(DependencyPackage(name="Lab.Scipy", version="1.0.0.0", dependencies=needed))
    task = lab.task("measure")
    names = [{"name": above.name, "version": above.version}] if through else needed
    task_type = lab.server.get(Task, task).task_type_serial
    lab.server.update(TaskType, task_type, Change(values={"/metadata/dependencies": names}))
    scopes = [Scope("write", record_resource("dependency_package_config", package.serial))]
    changes = (
        {"/install": "pip install something-else"},
        {"/dependencies": [{"name": "Core.IPL", "version": "1.0.0.0"}]},
        {"/parameter_types": [{"name": "Score", "$ref": "score.json"}]},
    )
    lab.server.update(DependencyPackage, package.serial, Change(values={"/install": "pip install numpy>=2"}))
    lab.server.file_token(scopes)
    lab.worker = lab.queue.register(Worker(name="with-it", dependency_packages=names)).serial
    lab.start()
    lab.server.create(Job(task_serial=task, state=JobState.READY))
    lab.work()
    for change in changes:
        with pytest.raises(PermissionDenied, match="make a new version"):
            lab.server.update(DependencyPackage, package.serial, Change(values=change))
    with pytest.raises(PermissionDenied, match="make a new version"):
        lab.server.file_token(scopes)
    lab.server.update(DependencyPackage, package.serial, Change(values={"/metadata/note": "x"}))


@pytest.mark.parametrize("verb", ["write", "delete"])
def test_the_files_of_a_version_stay_as_they_are_once_a_job_of_it_is_done_whoever_asks(lab, verb):
    task = lab.task("measure")
    lab.start()
    folder = record_resource("task_type_config", lab.server.get(Task, task).task_type_serial)
    lab.server.file_token([Scope(verb, folder)])
    lab.server.create(Job(task_serial=task, state=JobState.READY))
    lab.work()
    for place in (folder, folder.child("task.xfp"), parse_resource("task_type_config")):
        with pytest.raises(PermissionDenied, match="make a new version"):
            lab.server.file_token([Scope(verb, place)])
    lab.server.file_token([Scope("read", folder)])


@pytest.mark.parametrize("change", CODE.values(), ids=CODE)
def test_a_version_whose_jobs_failed_is_mended(lab, change):
    task = lab.task("measure")
    lab.start()
    for _ in range(2):
        lab.server.create(Job(task_serial=task, state=JobState.READY))
    lab.fail()
    lab.server.update(TaskType, lab.server.get(Task, task).task_type_serial, Change(values=change))


# --- sequences of other projects --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_name", "wrap"), [("Sequence", lambda value: value), ("Own", lambda value: {"type": "Own", "all": [value]})]
)
def test_a_job_takes_no_sequence_of_another_projects_task(lab, type_name, wrap):
    task, own = lab.task("measure", types={"all": type_name}, all={"mode": "none"}), lab.task("own")
    other = lab.server.create(Workflow(project_serial=lab.server.create(Project(name="hidden")).serial)).serial
    kind = lab.server.get(Task, task).task_type_serial
    hidden = lab.server.create(Task(workflow_serial=other, task_type_serial=kind)).serial
    for serial in (hidden, 999):
        inputs = {"all": wrap({"type": "Sequence", "task_serial": serial, "key": "out"})}
        with pytest.raises(
            InvalidParameter, match=rf"^job: inputs\.all: there is no task {serial} in the job's project"
        ):
            lab.server.create(Job(task_serial=task, state=JobState.READY, inputs=inputs))
        job = lab.server.create(Job(task_serial=task, state=JobState.READY_FOR_INTERACTIVE))
        with pytest.raises(InvalidParameter, match=rf"there is no task {serial}"):
            lab.server.update(Job, job.serial, Change(values={"/inputs": inputs}))
    inputs = {"all": {"type": "Sequence", "task_serial": own, "key": "out"}}
    fits = lab.task("sums", types={"all": "Sequence"}, all={"mode": "none"})
    assert lab.server.create(Job(task_serial=fits, state=JobState.READY, inputs=inputs)).inputs == inputs


# --- workers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"dependency_packages": [{"version": "1.0.0.0"}]}, r"dependency_packages\[0\]"),
        ({"dependency_packages": [{"name": 5}]}, r"dependency_packages\[0\]\.name"),
        ({"dependency_packages": [{"name": "A", "version": 1}]}, r"dependency_packages\[0\]\.version"),
        ({"max_concurrent_jobs": 0}, "max_concurrent_jobs"),
        ({"max_concurrent_jobs": -1}, "max_concurrent_jobs"),
        ({"max_concurrent_jobs": 2**40}, "max_concurrent_jobs"),
    ],
)
def test_what_a_worker_says_of_itself_is_checked_on_every_way(lab, fields, path):
    with pytest.raises(InvalidRecord, match=path):
        lab.queue.register(Worker(name="other", **fields))
    with pytest.raises(InvalidRecord, match=path):
        lab.server.create(Worker(name="other", **fields))
    with pytest.raises(InvalidRecord, match=path):
        lab.server.update(Worker, lab.worker, Change(values={f"/{key}": value for key, value in fields.items()}))
    assert [worker.name for worker in lab.server.find(Worker)] == ["bench"]


def instance(name, **more):
    return Worker(name="twin", metadata={"instance": name}, **more)


def test_workers_of_one_name_on_two_computers_have_two_records(lab):
    gpu = [{"name": "Gpu", "version": "1.0.0.0"}]
    first = lab.queue.register(instance("one", dependency_packages=gpu))
    second = lab.queue.register(instance("two"))
    assert (first.name, second.name) == ("twin", "twin (2)")
    for _ in range(2):
        assert lab.queue.register(instance("two")).serial == second.serial
        assert lab.queue.register(instance("one", dependency_packages=gpu)).serial == first.serial
    assert lab.server.get(Worker, second.serial).dependency_packages == []


def test_a_computer_takes_the_record_of_one_that_is_not_there_any_more(lab):
    first = lab.queue.register(instance("one"))
    lab.world.clock.advance(3600)
    assert lab.queue.register(instance("two")).serial == first.serial
    assert lab.queue.register(instance("one")).name == "twin (2)"


def test_a_computer_does_not_take_the_record_of_a_job_that_still_has_a_lease(lab):
    task = lab.task("measure")
    lab.start()
    lab.server.create(Job(task_serial=task, state=JobState.READY))
    first = lab.queue.register(instance("one"))
    lab.queue.claim(first.serial)
    lab.world.clock.advance(3600)
    assert lab.queue.register(instance("two")).name == "twin (2)"


def test_a_worker_goes_on_with_its_own_record_although_an_earlier_one_is_free(lab):
    lab.queue.register(instance("one"))
    second = lab.queue.register(instance("two"))
    lab.world.clock.advance(3600)
    assert lab.queue.register(instance("two")).serial == second.serial


# --- files of other projects ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["job_result", "job_log", "task_config", "workflow_config"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_job_takes_no_file_of_another_project(lab, source, deep):
    kind = {"task_config": "task", "workflow_config": "workflow"}.get(source, "job")
    task = lab.task("measure", types={"scan": "Own"}, scan={"mode": "none"})
    type_serial = lab.server.get(Task, task).task_type_serial

    def owner_in(workflow):
        if kind == "workflow":
            return workflow
        step = lab.server.create(Task(workflow_serial=workflow, task_type_serial=type_serial)).serial
        return step if kind == "task" else lab.server.create(Job(task_serial=step, state=JobState.WAITING)).serial

    def inputs(serial):
        file = {"type": "Own", "source": source, f"{kind}_serial": serial, "filename": "scan.isq"}
        return {"scan": {"type": "Own", "list": [file]} if deep else file}

    project = lab.server.create(Project(name="hidden"))
    hidden = owner_in(lab.server.create(Workflow(project_serial=project.serial)).serial)
    own = owner_in(lab.server.get(Task, task).workflow_serial)
    lab.start()
    for serial in (hidden, str(hidden), 999):
        with pytest.raises(InvalidParameter, match=rf"inputs\.scan: there is no {kind} {serial} in the job's project"):
            lab.server.create(Job(task_serial=task, state=JobState.READY, inputs=inputs(serial)))
    lab.server.create(Job(task_serial=task, state=JobState.READY, inputs=inputs(own)))
