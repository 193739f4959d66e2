"""Who may read and change what: every kind of caller against every kind of record and of file."""

import pytest
from attrs import define

from tests.unit.platform.test_file_rights import Lab
from xfworker.domain.bookkeeping import BOOKKEEPING_KINDS
from xfworker.domain.change import Change
from xfworker.domain.errors import AccessError, RecordNotFound
from xfworker.domain.files import Scope, parse_resource
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.records import (
    RECORD_KINDS,
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

CALLERS = ("admin", "owner", "member", "stranger", "worker", "other worker", "script", "ended script")
PEOPLE = {"owner", "member", "stranger"}
OF_PROJECT = {"admin", "owner", "member", "script"}

READ = {
    Project: OF_PROJECT,
    Workflow: OF_PROJECT,
    Task: OF_PROJECT,
    Run: OF_PROJECT,
    Job: OF_PROJECT | {"worker"},
    TaskType: {"admin", *PEOPLE, "script", "worker"},
    Entity: {"admin", *PEOPLE, "script"},
    DependencyPackage: {"admin", *PEOPLE, "script", "worker", "other worker"},
    Worker: {"admin", *PEOPLE, "script", "worker"},
}
CHANGE = {
    Project: OF_PROJECT,
    Workflow: OF_PROJECT,
    Task: OF_PROJECT,
    Run: OF_PROJECT,
    Job: OF_PROJECT,
    TaskType: {"admin", "owner"},
    Entity: {"admin", *PEOPLE},
    DependencyPackage: {"admin"},
    Worker: {"admin", "worker"},
}
FILES = {
    ("read", "job_result"): OF_PROJECT | {"worker"},
    ("list", "job_result"): OF_PROJECT | {"worker"},
    ("write", "job_result"): OF_PROJECT,
    ("delete", "job_result"): OF_PROJECT | {"worker"},
    ("read", "job_log"): OF_PROJECT | {"worker"},
    ("write", "job_log"): {"admin", "worker"},
    ("delete", "job_log"): {"admin", "worker", "owner", "member"},
    ("read", "task_config"): OF_PROJECT,
    ("write", "task_config"): {"admin", "owner", "member"},
    ("read", "workflow_config"): OF_PROJECT,
    ("write", "workflow_config"): {"admin", "owner", "member"},
    ("read", "task_type_config"): {"admin", *PEOPLE, "script", "worker"},
    # Its job runs, so nobody may change what it runs any more.
    ("write", "task_type_config"): set(),
    ("delete", "task_type_config"): set(),
    ("read", "dependency_package_config"): {"admin", *PEOPLE, "script", "worker", "other worker"},
    ("write", "dependency_package_config"): {"admin"},
    ("read", "userdata"): {"admin", *PEOPLE, "script"},
    ("write", "userdata"): {"admin", *PEOPLE, "script"},
}
WHOLE_SOURCES = ("job_result", "job_log", "task_config", "workflow_config", "task_type_config")


@define
class Cast:
    """A project with one running job, and everybody who may have to do with it."""

    servers: dict
    records: dict

    @classmethod
    def at(cls, folder):
        lab = Lab.at(folder)
        accounts = lab.platform.accounts_for(lab.admin)
        bearers = {name: lab.person(name)[1] for name in sorted(PEOPLE)}
        job = lab.job(bearers["owner"])
        ended = lab.job(bearers["owner"])
        serials = {account.name: account.serial for account in accounts.all()}
        accounts.share(job.project_serial, serials["member"])
        bearers |= {name: accounts.add_worker_token(name).text for name in ("worker", "other worker")}
        queues = {name: lab.platform.queue_for(lab.platform.authenticate(bearers[name])) for name in bearers}
        workers = {name: queues[name].register(Worker(name=name)) for name in ("worker", "other worker")}
        lease = queues["worker"].claim(workers["worker"].serial, job_serial=job.serial)
        over = queues["other worker"].claim(workers["other worker"].serial, job_serial=ended.serial)
        queues["other worker"].end(over, Outcome(ending=Ending.CRASHED))
        bearers |= {"script": lease.server_auth, "ended script": over.server_auth}
        run = lab.server(bearers["owner"]).create(Run(workflow_serial=job.workflow_serial))
        entity = lab.server().create(Entity(uuid=""))
        package = lab.server().create(DependencyPackage(name="Core.IPL"))
        records = {
            Project: job.project_serial,
            Workflow: job.workflow_serial,
            Task: job.task_serial,
            Run: run.serial,
            Job: job.serial,
            TaskType: lease.task_type.serial,
            Entity: entity.serial,
            DependencyPackage: package.serial,
            Worker: workers["worker"].serial,
        }
        return cls({name: lab.server(bearers.get(name)) for name in CALLERS}, records)


@pytest.fixture
def cast(tmp_path):
    return Cast.at(tmp_path)


def allowed(ask):
    """Return who gets an answer rather than a refusal."""
    found = set()
    for name in CALLERS:
        try:
            ask(name)
        except (AccessError, RecordNotFound):
            continue
        found.add(name)
    return found


@pytest.mark.parametrize("kind", list(READ), ids=lambda kind: kind.collection)
def test_records_are_read_by_those_who_may(cast, kind):
    serial = cast.records[kind]
    assert allowed(lambda name: cast.servers[name].get(kind, serial)) == READ[kind]
    listed = set()
    for name in CALLERS:
        try:
            found = cast.servers[name].find(kind)
        except AccessError:
            continue
        listed |= {name} if serial in {record.serial for record in found} else set()
    assert listed == READ[kind]


@pytest.mark.parametrize("kind", list(CHANGE), ids=lambda kind: kind.collection)
def test_records_are_changed_by_those_who_may(cast, kind):
    change = Change(values={"/metadata/note": "x"})
    assert allowed(lambda name: cast.servers[name].update(kind, cast.records[kind], change)) == CHANGE[kind]


@pytest.mark.parametrize(("verb", "source"), list(FILES))
def test_files_are_touched_by_those_who_may(cast, verb, source):
    owners = {
        "job_result": Job,
        "job_log": Job,
        "task_config": Task,
        "workflow_config": Workflow,
        "task_type_config": TaskType,
        "dependency_package_config": DependencyPackage,
    }
    place = f"{source}/{cast.records[owners[source]]}/a.bin" if source in owners else f"{source}/a.bin"
    scope = Scope(verb, parse_resource(place))
    assert allowed(lambda name: cast.servers[name].file_token([scope])) == FILES[verb, source]


@pytest.mark.parametrize("source", WHOLE_SOURCES)
@pytest.mark.parametrize("verb", ["read", "list", "write", "delete"])
def test_whole_sources_are_for_administrators(cast, verb, source):
    scope = Scope(verb, parse_resource(source))
    # Which versions a package's source holds that must stay as they are, nobody can say for all of them.
    nobody = source == "task_type_config" and verb in ("write", "delete")
    assert allowed(lambda name: cast.servers[name].file_token([scope])) == (set() if nobody else {"admin"})


def test_every_kind_of_record_is_in_the_matrix():
    assert {*READ} == {*CHANGE} == {kind for kind in RECORD_KINDS.values() if kind.collection != "activity-events"}
    assert not {*RECORD_KINDS} & {*BOOKKEEPING_KINDS}
