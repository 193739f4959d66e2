"""What a caller sees and may do, where the matrices of rights do not tell the cases apart."""

import pytest

from tests.unit.platform.test_file_rights import Lab
from xfworker.domain.change import Change
from xfworker.domain.errors import JobAborted, LeaseLost, PermissionDenied, RecordNotFound
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.records import ActivityEvent, DependencyPackage, Entity, Job, Run, Task, TaskType, Worker


@pytest.fixture
def lab(tmp_path):
    return Lab.at(tmp_path)


@pytest.fixture
def anna(lab):
    return lab.person("anna")[1]


@pytest.fixture
def bert(lab):
    return lab.person("bert")[1]


def worker(lab, name):
    """Give the token of a computer, and its queue with the worker that it registered."""
    token = lab.platform.accounts_for(lab.admin).add_worker_token(name).text
    queue = lab.platform.queue_for(lab.platform.authenticate(token))
    return token, queue, queue.register(Worker(name=name))


def test_events_of_no_project_are_seen_by_who_wrote_them(lab, anna, bert):
    event = lab.server(anna).create(ActivityEvent(title="looked around"))
    assert lab.server(anna).get(ActivityEvent, event.serial) == event
    assert lab.server().get(ActivityEvent, event.serial) == event
    with pytest.raises(RecordNotFound):
        lab.server(bert).get(ActivityEvent, event.serial)


def test_a_worker_gets_its_own_events_and_dependency_packages_only(lab, anna):
    token, _, _ = worker(lab, "one")
    package = lab.server().create(DependencyPackage(name="Core"))
    own = lab.server(token).create(ActivityEvent(title="started"))
    others = lab.server(anna).create(ActivityEvent(title="looked around"))
    assert lab.server(token).get(DependencyPackage, package.serial) == package
    assert lab.server(token).get(ActivityEvent, own.serial) == own
    with pytest.raises(RecordNotFound):
        lab.server(token).get(ActivityEvent, others.serial)


def test_a_worker_finds_its_jobs_and_their_task_types_by_their_own_serials(lab):
    lab.job()
    lab.server().create(TaskType(name="Other.Type"))
    job = lab.job()
    token, queue, own = worker(lab, "one")
    lease = queue.claim(own.serial, job_serial=job.serial)
    assert lease.task_type.serial != job.serial
    assert lab.server(token).find(TaskType) == [lease.task_type]
    assert [found.serial for found in lab.server(token).find(Job)] == [job.serial]
    assert lab.server(token).get(TaskType, lease.task_type.serial) == lease.task_type


def test_people_find_what_is_theirs_without_naming_a_workflow(lab, anna, bert):
    job = lab.job(anna)
    lab.job(bert)
    entity = lab.server().create(Entity(uuid=""))
    run = lab.server(anna).create(Run(workflow_serial=job.workflow_serial))
    server = lab.server(anna)
    assert [task.serial for task in server.find(Task)] == [job.task_serial]
    assert [found.serial for found in server.find(Run)] == [run.serial]
    assert entity in server.find(Entity)
    assert server.find(Entity, {"uuid": "another"}) == []
    assert len(server.find(TaskType)) == 2
    assert server.find(Run, {"workflow_serial": None}) == []
    assert server.find(Job, {"project_serial": None}) == []


def test_a_script_that_is_to_stop_reads_and_writes_nothing(lab):
    job = lab.job()
    script = lab.server(lab.leased(job).server_auth)
    lab.platform.control_for(lab.admin).abort_job(job.serial)
    assert script.get(Job, job.serial).serial == job.serial
    with pytest.raises(JobAborted):
        script.update(Job, job.serial, Change(values={"/metadata/note": "late"}))
    with pytest.raises(JobAborted):
        script.create(Entity(uuid=""))


def test_a_repeated_end_is_not_answered_once_another_attempt_has_begun(lab):
    job = lab.job()
    lease = lab.leased(job)
    done = Change(values={"/state": "Done"})
    script = lab.server(lease.server_auth)
    ended = script.update(Job, job.serial, done, idempotency_key="k")
    assert script.update(Job, job.serial, done, idempotency_key="k") == ended
    lab.platform.queue_for(lab.admin).end(lease, Outcome(ending=Ending.FINISHED))
    lab.platform.control_for(lab.admin).restart_job(job.serial)
    lab.leased(job)
    with pytest.raises(LeaseLost, match="attempt 1 at job"):
        script.update(Job, job.serial, done, idempotency_key="k")


def test_a_refusal_says_whose_it_is_and_what_to_do(lab, anna, bert):
    made = lab.server(anna).create(TaskType(name="Annas.Type"))
    with pytest.raises(PermissionDenied, match="belongs to anna; make a version of your own"):
        lab.server(bert).update(TaskType, made.serial, Change(values={"/metadata": {"a": 1}}))
    worker(lab, "one")
    token, queue, _ = worker(lab, "two")
    del token
    with pytest.raises(PermissionDenied, match="it belongs to worker one; choose another name"):
        queue.register(Worker(name="one"))


def test_only_workers_change_workers_and_nobody_but_administrators_dependency_packages(lab, anna):
    token, _, own = worker(lab, "one")
    package = lab.server().create(DependencyPackage(name="Core"))
    with pytest.raises(PermissionDenied, match="change worker"):
        lab.server(anna).update(Worker, own.serial, Change(values={"/metadata": {"a": 1}}))
    for bearer in (anna, token):
        with pytest.raises(PermissionDenied, match="change dependency package"):
            lab.server(bearer).update(DependencyPackage, package.serial, Change(values={"/metadata": {"a": 1}}))
