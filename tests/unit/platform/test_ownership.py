"""Task types and workers belong to somebody; a worker's token reaches what it works on; no token makes a wider one."""

import pytest

from tests.unit.platform.test_file_rights import Lab
from xfworker.domain.bookkeeping import Account, PersonalToken, ProjectMember
from xfworker.domain.change import Change
from xfworker.domain.errors import (
    AuthenticationFailed,
    InvalidContent,
    LeaseLost,
    PermissionDenied,
    RecordConflict,
    RecordNotFound,
    XFWorkerError,
)
from xfworker.domain.files import Scope, parse_resource, record_resource
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
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
from xfworker.services.platform.ownership import is_abandoned, owner_key, owner_name
from xfworker.testing.contracts.worlds import heartbeat

CRASHED = Outcome(ending=Ending.CRASHED)


@pytest.fixture
def lab(tmp_path):
    return Lab.at(tmp_path)


def task_type(**also):
    return TaskType(**{"name": "Lab.Measure", "version": "1.0.0.0", **also})


@pytest.fixture
def worker_token(lab):
    accounts = lab.platform.accounts_for(lab.admin)
    return accounts.add_worker_token


def queue(lab, bearer):
    return lab.platform.queue_for(lab.platform.authenticate(bearer))


# --- task types -------------------------------------------------------------------------------------------------


def test_a_task_type_is_changed_by_who_made_it_and_by_administrators_only(lab):
    _, anna = lab.person("anna")
    _, berta = lab.person("berta")
    made = lab.server(anna).create(task_type())
    for change in ({"/interface": {}}, {"/metadata": {"package": {"sha256": "0" * 64}}}, {"/obsolete": True}):
        with pytest.raises(PermissionDenied, match="belongs to anna"):
            lab.server(berta).update(TaskType, made.serial, Change(values=change))
    for bearer in (anna, None):
        lab.server(bearer).update(TaskType, made.serial, Change(values={"/metadata/note": "x"}))


@pytest.mark.parametrize("verb", ["write", "delete"])
def test_a_task_types_files_are_changed_by_who_made_it_only(lab, verb):
    _, anna = lab.person("anna")
    _, berta = lab.person("berta")
    made = lab.server(anna).create(task_type())
    scope = Scope(verb, record_resource("task_type_config", made.serial, "main.py"))
    with pytest.raises(PermissionDenied):
        lab.server(berta).file_token([scope])
    lab.server(anna).file_token([scope])
    lab.server(berta).file_token([Scope("read", scope.resource)])


def test_the_code_of_a_task_type_stays_as_it_is_once_projects_use_it_that_its_owner_does_not_see(lab):
    _, anna = lab.person("anna")
    _, berta = lab.person("berta")
    package = {"archive": "a.xfp", "sha256": "0" * 64, "complete": False}
    made = lab.server(anna).create(task_type(metadata={"package": package}))
    code = Scope("write", record_resource("task_type_config", made.serial, "main.py"))
    lab.server(anna).create(Task(workflow_serial=lab.job(anna).workflow_serial, task_type_serial=made.serial))
    for change in ({"/interface": {"outputs": []}}, {"/metadata/package": {**package, "sha256": "1" * 64}}):
        lab.server(anna).update(TaskType, made.serial, Change(values=change))
    token = lab.server(anna).file_token([code])
    lab.server(berta).create(Task(workflow_serial=lab.job(berta).workflow_serial, task_type_serial=made.serial))
    for change in ({"/interface": {}}, {"/metadata/package": package}, {"/metadata": {}}):
        with pytest.raises(PermissionDenied, match="make a new version"):
            lab.server(anna).update(TaskType, made.serial, Change(values=change))
    for ask in (lambda: lab.server(anna).file_token([code]), lambda: lab.platform.verify_file_token(token.token)):
        with pytest.raises(PermissionDenied):
            ask()
    completed = {**package, "sha256": "1" * 64, "complete": True}
    for harmless in ({"/metadata/note": "x"}, {"/obsolete": True}, {"/metadata/package": completed}):
        lab.server(anna).update(TaskType, made.serial, Change(values=harmless))
    lab.server().update(TaskType, made.serial, Change(values={"/interface": {}}))


def test_nobody_puts_another_task_type_in_the_place_of_a_version(lab):
    _, anna = lab.person("anna")
    _, berta = lab.person("berta")
    lab.server(anna).create(task_type())
    with pytest.raises(PermissionDenied, match="a version of your own"):
        lab.server(berta).create(task_type())
    own = lab.server(berta).create(task_type(version="1.1.0.0"))
    lab.server(berta).update(TaskType, own.serial, Change(values={"/metadata/note": "x"}))


def test_a_task_type_of_the_administrators_is_not_peoples(lab):
    _, anna = lab.person("anna")
    made = lab.server().create(task_type())
    with pytest.raises(PermissionDenied, match="administrators"):
        lab.server(anna).update(TaskType, made.serial, Change(values={"/metadata/note": "x"}))


# --- workers ----------------------------------------------------------------------------------------------------


def test_a_worker_neither_changes_nor_takes_the_name_of_another(lab, worker_token):
    one, two = worker_token("one").text, worker_token("two").text
    first = queue(lab, one).register(Worker(name="one"))
    with pytest.raises(RecordNotFound):
        lab.server(two).update(Worker, first.serial, Change(values={"/dependency_packages": []}))
    with pytest.raises(PermissionDenied, match="belongs to worker one"):
        queue(lab, two).register(Worker(name="one"))
    with pytest.raises(PermissionDenied):
        lab.server(two).create(Worker(name="one"))
    lab.server(one).update(Worker, first.serial, Change(values={"/max_concurrent_jobs": 2}))
    assert queue(lab, one).register(Worker(name="one")).serial == first.serial


def test_an_account_does_not_rewrite_a_workers_record(lab, worker_token):
    _, anna = lab.person("anna")
    queue(lab, worker_token("one").text).register(Worker(name="one"))
    with pytest.raises(PermissionDenied):
        queue(lab, anna).register(Worker(name="one"))
    own = queue(lab, anna).register(Worker(name="laptop"))
    assert queue(lab, anna).claim(own.serial) is None


def test_a_worker_takes_its_record_of_before_records_had_owners_and_an_account_does_not(lab, worker_token):
    with lab.platform.records.transaction() as transaction:
        old = transaction.insert(Worker(name="one"))
    _, anna = lab.person("anna")
    with pytest.raises(PermissionDenied):
        queue(lab, anna).claim(old.serial)
    one = queue(lab, worker_token("one").text)
    assert one.claim(old.serial) is None
    assert one.register(Worker(name="one")).serial == old.serial


def test_an_account_claims_no_job_of_a_project_that_it_does_not_see(lab):
    _, anna = lab.person("anna")
    _, berta = lab.person("berta")
    job = lab.job(berta)
    hers = queue(lab, anna)
    worker = hers.register(Worker(name="hers")).serial
    with pytest.raises(RecordNotFound, match=f"there is no job {job.serial}"):
        hers.claim(worker, job_serial=job.serial)
    assert lab.server(berta).get(Job, job.serial) == job


def test_a_new_token_takes_over_the_worker_of_a_revoked_one(lab, worker_token):
    old = worker_token("one")
    first = queue(lab, old.text).register(Worker(name="one"))
    lab.platform.accounts_for(lab.admin).revoke(old.record.serial)
    assert queue(lab, worker_token("one").text).register(Worker(name="one")).serial == first.serial


@pytest.mark.parametrize("ended", ["revoked", "by an earlier version, which took no jobs back"])
def test_who_takes_over_the_worker_of_a_revoked_token_gets_none_of_its_jobs(lab, worker_token, ended):
    _, anna = lab.person("anna")
    _, berta = lab.person("berta")
    old = worker_token("one")
    first = queue(lab, old.text).register(Worker(name="one"))
    lease = queue(lab, old.text).claim(first.serial, job_serial=lab.job(berta).serial, claim_key="k")
    if ended == "revoked":
        lab.platform.accounts_for(lab.admin).revoke(old.record.serial)
    else:
        with lab.platform.records.transaction() as transaction:
            transaction.delete(PersonalToken, {"serial": old.record.serial})
    two = worker_token("two").text
    for bearer in (anna, two):
        for ask in (
            lambda bearer=bearer: heartbeat(queue(lab, bearer), lease),
            lambda bearer=bearer: queue(lab, bearer).end(lease, CRASHED),
            lambda bearer=bearer: queue(lab, bearer).claim(first.serial, claim_key="k"),
        ):
            with pytest.raises((PermissionDenied, LeaseLost)):
                ask()
    assert queue(lab, two).register(Worker(name="one")).serial == first.serial
    assert not lab.server(two).find(Job)
    assert lab.server(berta).get(Job, lease.job.serial).state is JobState.READY


def test_an_account_keeps_no_job_of_a_project_that_it_does_not_see_any_more(lab):
    anna_serial, anna = lab.person("anna")
    _, berta = lab.person("berta")
    job = lab.job(berta)
    members = lab.platform.accounts_for(lab.platform.authenticate(berta))
    members.share(job.project_serial, "anna")
    own = queue(lab, anna).register(Worker(name="laptop"))
    lease = queue(lab, anna).claim(own.serial, job_serial=job.serial, claim_key="k")
    heartbeat(queue(lab, anna), lease)
    members.unshare(job.project_serial, anna_serial)
    for ask in (
        lambda: heartbeat(queue(lab, anna), lease),
        lambda: queue(lab, anna).end(lease, CRASHED),
    ):
        with pytest.raises(LeaseLost, match="does not see"):
            ask()
    assert queue(lab, anna).claim(own.serial, claim_key="k") is None
    assert lab.server(berta).get(Job, job.serial).state is JobState.READY


def test_who_loses_a_project_loses_its_jobs_alone_and_others_keep_theirs(lab):
    anna_serial, anna = lab.person("anna")
    _, berta = lab.person("berta")
    shared, own = lab.job(berta), lab.job(anna)
    members = lab.platform.accounts_for(lab.platform.authenticate(berta))
    members.share(shared.project_serial, "anna")
    leases = []
    for bearer, name, job in ((anna, "one", shared), (anna, "two", own), (berta, "hers", lab.job(berta))):
        worker = queue(lab, bearer).register(Worker(name=name)).serial
        leases.append((bearer, queue(lab, bearer).claim(worker, job_serial=job.serial)))
    members.unshare(shared.project_serial, anna_serial)
    states = [lab.server().get(Job, lease.job.serial).state for _, lease in leases]
    assert states == [JobState.READY, JobState.RUNNING, JobState.RUNNING]
    for bearer, lease in leases[1:]:
        heartbeat(queue(lab, bearer), lease)


def test_a_lease_that_outlives_the_rights_to_its_job_is_good_for_nothing(lab):
    _, anna = lab.person("anna")
    _, berta = lab.person("berta")
    job = lab.job(berta)
    lab.platform.accounts_for(lab.platform.authenticate(berta)).share(job.project_serial, "anna")
    worker = queue(lab, anna).register(Worker(name="laptop")).serial
    lease = queue(lab, anna).claim(worker, job_serial=job.serial, claim_key="k")
    with lab.platform.records.transaction() as transaction:  # by another way than the server's own, which ends leases
        transaction.delete(ProjectMember, {"project_serial": job.project_serial, "role": "Member"})
    for ask in (
        lambda: heartbeat(queue(lab, anna), lease),
        lambda: queue(lab, anna).claim(worker, claim_key="k"),
        lambda: queue(lab, anna).end(lease, CRASHED),
    ):
        with pytest.raises(LeaseLost, match="does not see"):
            ask()
    lab.lose()
    assert lab.server(berta).get(Job, job.serial).state is JobState.READY


def test_a_worker_claims_for_itself_and_ends_only_what_it_has(lab, worker_token):
    one, two = worker_token("one").text, worker_token("two").text
    first = queue(lab, one).register(Worker(name="one"))
    queue(lab, two).register(Worker(name="two"))
    job = lab.job()
    with pytest.raises(PermissionDenied):
        queue(lab, two).claim(first.serial, job_serial=job.serial)
    lease = queue(lab, one).claim(first.serial, job_serial=job.serial, claim_key="k")
    with pytest.raises(PermissionDenied):
        queue(lab, two).claim(first.serial, claim_key="k")
    for ask in (lambda: queue(lab, two).end(lease, CRASHED), lambda: heartbeat(queue(lab, two), lease)):
        with pytest.raises(PermissionDenied):
            ask()
    heartbeat(queue(lab, one), lease)
    ended = queue(lab, one).end(lease, CRASHED)
    assert queue(lab, one).end(lease, CRASHED) == ended
    with pytest.raises(PermissionDenied):
        queue(lab, two).end(lease, CRASHED)


def test_an_account_ends_no_job_of_anothers_worker(lab, worker_token):
    _, anna = lab.person("anna")
    job = lab.job(anna)
    one = queue(lab, worker_token("one").text)
    lease = one.claim(one.register(Worker(name="one")).serial, job_serial=job.serial)
    with pytest.raises(PermissionDenied):
        queue(lab, anna).end(lease, CRASHED)


def test_a_worker_that_lost_its_lease_is_refused_by_that(lab, worker_token):
    one, two = worker_token("one").text, worker_token("two").text
    lease = queue(lab, one).claim(queue(lab, one).register(Worker(name="one")).serial, job_serial=lab.job().serial)
    lab.lose()
    queue(lab, two).claim(queue(lab, two).register(Worker(name="two")).serial, job_serial=lease.job.serial)
    for ask in (
        lambda: heartbeat(queue(lab, one), lease),
        lambda: queue(lab, one).end(lease, CRASHED),
        lambda: lab.server(one).get(Job, lease.job.serial),
    ):
        with pytest.raises(LeaseLost):
            ask()


def test_a_worker_sees_what_it_works_on_and_nothing_else(lab, worker_token):
    bearer = worker_token("one").text
    other, job = lab.job(), lab.job()
    lab.server().create(Entity(uuid="", name="mouse"))
    lab.server().create(DependencyPackage(name="Core.IPL"))
    lab.server().create(Run(workflow_serial=job.workflow_serial))
    lab.leased(other)
    worker = queue(lab, bearer).register(Worker(name="one"))
    assert not lab.server(bearer).find(Job)
    lease = queue(lab, bearer).claim(worker.serial, job_serial=job.serial)
    server = lab.server(bearer)
    assert [found.serial for found in server.find(Job)] == [job.serial]
    assert server.get(Job, job.serial).attempt == 1
    assert [found.serial for found in server.find(Worker)] == [worker.serial]
    assert server.find(TaskType) == [lease.task_type]
    assert [found.name for found in server.find(DependencyPackage)] == ["Core.IPL"]
    for kind in (Project, Workflow, Task, Run, Entity, ActivityEvent):
        assert not server.find(kind)
    for kind, serial in ((Project, job.project_serial), (Task, job.task_serial), (Job, other.serial)):
        with pytest.raises(XFWorkerError):
            server.get(kind, serial)
    with pytest.raises(RecordNotFound):
        lab.platform.accounts_for(lab.platform.authenticate(bearer)).members(job.project_serial)


def test_a_worker_touches_the_files_of_its_leases_only(lab, worker_token):
    bearer = worker_token("one").text
    other, job = lab.job(), lab.job()
    lab.leased(other)
    lease = queue(lab, bearer).claim(queue(lab, bearer).register(Worker(name="one")).serial, job_serial=job.serial)
    code = record_resource("task_type_config", lease.task_type.serial)
    allowed = [("write", f"job_log/{job.serial}"), ("read", f"job_result/{job.serial}"), ("read", str(code))]
    refused = [
        ("delete", f"job_result/{other.serial}"),
        ("read", f"job_result/{other.serial}"),
        ("write", f"job_log/{other.serial}"),
        ("write", f"job_result/{job.serial}"),
        ("write", str(code)),
        ("read", "userdata"),
        ("read", "userdata/scan.isq"),
        ("read", "job_result"),
    ]
    for verb, place in allowed:
        lab.server(bearer).file_token([Scope(verb, parse_resource(place))])
    for verb, place in refused:
        with pytest.raises(PermissionDenied):
            lab.server(bearer).file_token([Scope(verb, parse_resource(place))])
    queue(lab, bearer).end(lease, CRASHED)
    with pytest.raises(PermissionDenied):
        lab.server(bearer).file_token([Scope("write", parse_resource(f"job_log/{job.serial}"))])


# --- tokens and accounts ----------------------------------------------------------------------------------------


def test_a_token_makes_none_that_outlives_it(lab):
    account, login = lab.person("anna")
    accounts = lab.platform.accounts_for(lab.platform.authenticate(login))
    short = accounts.add_token(account, "short", days=0.5)
    own = lab.platform.accounts_for(lab.platform.authenticate(short.text))
    assert own.add_token(account, "same").record.expires_at == short.record.expires_at
    assert own.add_token(account, "shorter", days=0.1).record.expires_at < short.record.expires_at
    with pytest.raises(InvalidContent, match="cannot outlive"):
        own.add_token(account, "longer", days=1)


def test_an_administrators_token_makes_none_for_a_worker_that_outlives_it(lab):
    chief = lab.platform.accounts_for(lab.admin).add("chief", "chief-password", administrator=True)
    short = lab.platform.accounts_for(lab.admin).add_token(chief.serial, "short", days=0.5)
    made = lab.platform.accounts_for(lab.platform.authenticate(short.text)).add_worker_token("bench")
    assert made.record.expires_at == short.record.expires_at
    lab.clock.advance(43_201)
    with pytest.raises(AuthenticationFailed):
        lab.platform.authenticate(made.text)


def test_a_token_alone_sets_no_password(lab):
    account, login = lab.person("anna")
    accounts = lab.platform.accounts_for(lab.platform.authenticate(login))
    for current in (None, "guessed-password"):
        with pytest.raises(AuthenticationFailed):
            accounts.change(account, password="something new", current_password=current)
    accounts.change(account, password="something new", current_password="anna-password")


@pytest.mark.parametrize("name", ["Anna", "ANNA", "anna"])
def test_names_that_differ_by_case_only_are_one_name(lab, name):
    lab.person("anna")
    with pytest.raises(RecordConflict):
        lab.platform.accounts_for(lab.admin).add(name, "long enough")


def test_an_owner_shares_by_name_without_seeing_other_accounts(lab):
    _, anna = lab.person("anna")
    berta_serial, berta = lab.person("berta")
    project = lab.server(anna).create(Project(name="hers"))
    accounts = lab.platform.accounts_for(lab.platform.authenticate(anna))
    assert len(accounts.all()) == 1
    member, name = accounts.share(project.serial, "berta")
    assert (member.account_serial, name) == (berta_serial, "berta")
    assert [found for _, found in accounts.members(project.serial)] == ["anna", "berta"]
    assert lab.server(berta).find(Project) == [project]
    with pytest.raises(RecordNotFound):
        accounts.share(project.serial, "nobody")


def test_the_token_of_an_ended_job_lists_nothing(lab):
    job = lab.job()
    lease = lab.leased(job)
    script = lab.platform.authenticate(lease.server_auth)
    accounts = lab.platform.accounts_for(script)
    assert accounts.members(job.project_serial) == []
    lab.platform.queue_for(lab.admin).end(lease, CRASHED)
    with pytest.raises(LeaseLost):
        accounts.members(job.project_serial)
    assert not accounts.all()
    assert not accounts.tokens()
    for kind in (Project, Job, TaskType, Worker, Entity):
        with pytest.raises(LeaseLost):
            lab.platform.server_for(script).find(kind)


def test_a_spawn_that_made_nothing_does_not_count_the_workflows_version_on(lab):
    job = lab.job()
    task = Task(workflow_serial=job.workflow_serial, task_type_serial=1, name="again", spawn_key="k")
    before = lab.server().get(Workflow, job.workflow_serial).occ_lock_version
    first = lab.server().create(task)
    assert lab.server().get(Workflow, job.workflow_serial).occ_lock_version == before + 1
    assert lab.server().create(task) == first
    assert lab.server().get(Workflow, job.workflow_serial).occ_lock_version == before + 1


# --- what concerns tokens of accounts -----------------------------------------------------------------------------


def test_a_change_that_is_not_about_getting_in_leaves_tokens_as_they_are(lab):
    serial, anna = lab.person("anna")
    lab.platform.accounts_for(lab.admin).change(serial, administrator=True)
    assert lab.platform.authenticate(anna).is_admin


def test_a_token_of_a_disabled_account_or_of_one_that_is_gone_lets_nobody_in(lab):
    accounts = lab.platform.accounts_for(lab.admin)
    serial, _ = lab.person("anna")
    accounts.change(serial, disabled=True)
    token = accounts.add_token(serial, "laptop")
    with pytest.raises(AuthenticationFailed, match="anna is disabled"):
        lab.platform.authenticate(token.text)
    with lab.platform.records.transaction() as transaction:
        transaction.delete(Account, {"serial": serial})
    with pytest.raises(AuthenticationFailed, match="account is gone"):
        lab.platform.authenticate(token.text)


def test_messages_say_whose_a_record_is(lab):
    accounts = lab.platform.accounts_for(lab.admin)
    serial, _ = lab.person("anna")
    worker = accounts.add_worker_token("bench")
    made = lab.server().create(task_type())
    for owner, name in (
        ("administrators", "the administrators"),
        (f"account:{serial}", "anna"),
        (f"token:{worker.record.key}", "worker bench"),
        ("token:gone", "a worker whose token was revoked"),
        ("job:7", "job 7"),
        (None, "the administrators"),
    ):
        with lab.platform.records.transaction() as transaction:
            if owner is None:
                transaction.delete_entry(owner_key(TaskType, made.serial))
            else:
                transaction.put_entry(owner_key(TaskType, made.serial), {"owner": owner})
            assert owner_name(transaction, made) == name
            assert is_abandoned(transaction, made) is (owner in {None, "token:gone"})


def test_only_its_owner_and_administrators_work_as_a_worker(lab, worker_token):
    mine, others = worker_token("mine"), worker_token("others")
    worker = queue(lab, mine.text).register(Worker(name="bench")).serial
    lab.job()
    with pytest.raises(PermissionDenied):
        queue(lab, others.text).claim(worker)
    administrator = lab.platform.queue_for(lab.admin)
    assert administrator.claim(worker) is not None
    assert queue(lab, mine.text).claim(worker) is None
