"""Files of obsolete runs go for good, and nothing that anything else uses goes with them."""

from datetime import timedelta

import attrs
import pytest

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.change import Change
from xfworker.domain.conversion import format_time
from xfworker.domain.errors import InvalidParameter, PermissionDenied, RecordNotFound, ServerBusy
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Project, Run, Task, TaskType, Worker, Workflow
from xfworker.services.platform.checkup import check_up
from xfworker.services.platform.disk_space import listing_scopes, measure
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import ADMIN, Principal, PrincipalKind

STRANGER = Principal(kind=PrincipalKind.USER, name="stranger", account_serial=77)
SCRIPT = Principal(kind=PrincipalKind.JOB, name="job 1", job_serial=1, workflow_serial=1, project_serial=1, attempt=1)


class Records(MemoryRecordStore):
    """Records to which somebody may come in between two transactions."""

    before_writing = None

    def transaction(self, *, write=True, **options):
        if write and self.before_writing is not None:
            meanwhile, self.before_writing = self.before_writing, None
            meanwhile()
        return super().transaction(write=write, **options)


class Site:
    """A project with a workflow of one task, and runs whose jobs have a result and a log."""

    def __init__(self, folder):
        self.files = FolderFileStore(folder / "files")
        self.clock = ManualClock()
        self.records = Records()
        signer, options = MemoryTokenSigner(self.clock), PlatformOptions(files_may_wait=True)
        self.platform = Platform(self.records, self.clock, signer, options, files=self.files)
        self.server = self.platform.server_for(ADMIN)
        self.source = folder / "content"
        self.source.write_bytes(b"12345")
        self.project = self.server.create(Project(name="p")).serial
        self.workflow = self.server.create(Workflow(project_serial=self.project, name="w")).serial
        self.server.update(Workflow, self.workflow, Change(values={"/state": "Active"}))
        self.type = self.server.create(TaskType(name="T", version="1.0.0.0")).serial
        self.task = self.server.create(Task(workflow_serial=self.workflow, task_type_serial=self.type)).serial

    def run(self, *, obsolete=True, inputs=None, named=True):
        """Make a run with a done job; with its serial comes the job's."""
        run = self.server.create(Run(workflow_serial=self.workflow, name="r")).serial
        job = self.job(run, inputs=inputs, named=named)
        if obsolete:
            self.server.update(Run, run, Change(values={"/obsolete": True}))
        return run, job

    def job(self, run, *, inputs=None, named=True):
        state = JobState.READY_FOR_INTERACTIVE
        job = self.server.create(Job(task_serial=self.task, run_serial=run, state=state, inputs=inputs or {})).serial
        for source, name in (("job_result", "a.bin"), ("job_log", "log.txt")):
            resource = record_resource(source, job, name)
            token = self.server.file_token([Scope("write", resource)])
            self.files.upload(token, self.source, resource)
        outputs = {"out": reference(job)} if named else {}
        self.server.update(Job, job, Change(values={"/outputs": outputs, "/state": "Done"}))
        return job

    def stored(self, job):
        names = []
        for source in ("job_result", "job_log"):
            folder = record_resource(source, job)
            token = self.server.file_token([Scope("list", folder)])
            names += [stat.resource.filename for stat in self.files.list(token, folder).files]
        return names

    def delete(self, *runs, by=ADMIN, **options):
        return self.platform.file_deletion_for(by).delete(runs, **options)


def reference(job, **more):
    return {"type": "ForeignFile", "source": "job_result", "job_serial": job, "filename": "a.bin", **more}


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_files_of_an_obsolete_run_go_and_its_values_stay(site):
    run, job = site.run()
    (shown,) = site.delete(run, dry_run=True)
    assert (shown.files, shown.bytes, shown.deleted, shown.name) == (2, 10, False, "r")
    assert len(site.stored(job)) == 2
    (freed,) = site.delete(run)
    assert (freed.files, freed.bytes, freed.deleted, freed.reason) == (2, 10, True, "")
    assert site.stored(job) == []
    kept = site.server.get(Job, job)
    assert (kept.state, kept.outputs["out"]["filename"]) == (JobState.DONE, "a.bin")
    assert kept.metadata["files_deleted"] == {"by": "admin", "at": format_time(site.clock.now())}
    (event,) = [event for event in site.server.find(ActivityEvent) if "deleted" in event.title]
    assert (event.payload["action"], event.user) == ("files deleted", "admin")
    assert (event.payload["files"], event.payload["bytes"]) == (2, 10)
    assert list(check_up(site.platform.records, site.files)) == []


def test_what_is_not_obsolete_stays_unless_it_is_to_become_so(site):
    run, job = site.run(obsolete=False)
    (refused,) = site.delete(run)
    assert (refused.files, refused.deleted, refused.reason) == (0, False, f"run {run} is not obsolete")
    (shown,) = site.delete(run, dry_run=True, make_obsolete=True)
    assert (shown.files, site.server.get(Run, run).obsolete) == (2, False)
    (freed,) = site.delete(run, make_obsolete=True)
    assert (freed.deleted, site.server.get(Run, run).obsolete, site.stored(job)) == (True, True, [])
    before = site.server.get(Run, run)
    site.delete(run, make_obsolete=True)
    assert site.server.get(Run, run) == before


def uses_in_an_input(site, job):
    site.run(obsolete=False, inputs={"in": reference(job)}, named=False)


def uses_in_an_output(site, job):
    _, other = site.run(obsolete=False)
    site.server.update(Job, other, Change(values={"/outputs/more": reference(job)}))


def uses_in_the_entity_of_a_run(site, job):
    run, _ = site.run(obsolete=False)
    site.server.update(Run, run, Change(values={"/entity": {"uuid": "u", "picture": reference(job)}}))


def uses_in_an_obsolete_run(site, job):
    site.run(obsolete=True, inputs={"in": reference(job)}, named=False)


def uses_beside_another_file(site, job):
    site.run(obsolete=False, inputs={"in": {"deep": [{"x": reference(job, filenames=["b.raw"])}]}}, named=False)


def uses_in_a_fixed_value(site, job):
    inputs = [{"key": "a", "mode": "fixed", "fixed_value": reference(job)}]
    described = {"inputs": [{"key": "a", "type": "ForeignFile", "supported_modes": ["fixed"]}]}
    kind = site.server.create(TaskType(name="F", version="1.0.0.0", interface=described)).serial
    site.server.create(Task(workflow_serial=site.workflow, task_type_serial=kind, inputs=inputs))


def uses_in_the_metadata_of_the_project(site, job):
    change = Change(values={"/metadata": {"picture": {"source": "job_result", "job_serial": str(job)}}})
    site.server.update(Project, site.project, change)


@pytest.mark.parametrize(
    "use",
    [
        uses_in_an_input,
        uses_in_an_output,
        uses_in_the_entity_of_a_run,
        uses_in_an_obsolete_run,
        uses_beside_another_file,
        uses_in_a_fixed_value,
        uses_in_the_metadata_of_the_project,
    ],
)
def test_what_something_else_uses_stays_and_what_uses_it_is_named(site, use):
    run, job = site.run()
    other = site.job(run)
    use(site, job)
    site.clock.advance(3600)
    (shown,) = site.delete(run, dry_run=True)
    (freed,) = site.delete(run)
    assert (shown.kept_jobs, freed.kept_jobs) == ([job], [job])
    assert f"uses files of job {job}" in freed.reason
    assert (site.stored(job), site.stored(other)) == (["a.bin", "log.txt"], [])


def test_up_to_three_users_of_a_files_job_are_named(site):
    run, job = site.run()
    other = site.job(run)
    users = [f"job {site.run(obsolete=False, inputs={'in': reference(job)}, named=False)[1]}" for _ in range(3)]
    users_of_other = [f"job {site.run(inputs={'in': reference(other)}, named=False)[1]}" for _ in range(5)]
    (freed,) = site.delete(run)
    assert freed.reason == (
        f"{', '.join(sorted(users))} uses files of job {job}; "
        f"{', '.join(sorted(users_of_other)[:3])} and 2 more uses files of job {other}"
    )


def test_a_run_that_stays_keeps_what_it_uses_of_one_that_would_go_with_it(site):
    run, job = site.run()
    other, _ = site.run(obsolete=False, inputs={"in": reference(job)})
    assert [freed.deleted for freed in site.delete(run, other)] == [False, False]
    assert len(site.stored(job)) == 2


def test_what_only_looks_like_a_use_of_a_file_keeps_none(site):
    run, _ = site.run()
    odd = {"source": "job_result", "job_serial": "the first", "deep": [1, "x"]}
    site.server.update(Project, site.project, Change(values={"/metadata": {"picture": odd}}))
    (freed,) = site.delete(run)
    assert (freed.files, freed.deleted) == (2, True)


class ContestedFiles(FolderFileStore):
    """Files that somebody else deletes as well, at the same moment."""

    def delete(self, token, resource):
        super().delete(token, resource)
        super().delete(token, resource)


def test_files_that_somebody_else_deletes_as_well_are_not_counted_twice(site):
    run, job = site.run()
    site.files.__class__ = ContestedFiles
    (freed,) = site.delete(run)
    assert (freed.files, freed.bytes, freed.deleted) == (0, 0, True)
    assert site.stored(job) == []


def test_runs_that_use_each_others_files_go_together(site):
    run, job = site.run()
    other, follower = site.run(inputs={"in": reference(job)})
    assert [freed.deleted for freed in site.delete(run, other)] == [True, True]
    assert site.stored(job) == site.stored(follower) == []


def test_a_run_in_which_a_script_is_at_work_keeps_all(site):
    run, job = site.run(obsolete=False)
    ready = site.server.create(Job(task_serial=site.task, run_serial=run, state=JobState.READY)).serial
    queue = site.platform.queue_for(ADMIN)
    queue.claim(queue.register(Worker(name="w")).serial, job_serial=ready)
    site.server.update(Run, run, Change(values={"/obsolete": True}))
    (freed,) = site.delete(run)
    assert (freed.reason, freed.deleted) == (f"job {ready} is running; abort it first", False)
    assert len(site.stored(job)) == 2


@pytest.mark.parametrize("left", ["state", "lease"])
def test_a_script_may_be_at_work_where_one_of_its_job_s_state_and_lease_says_so(site, left):
    run, job = site.run(obsolete=False)
    with site.records.transaction() as transaction:
        if left == "state":
            transaction.replace(attrs.evolve(transaction.get(Job, job), state=JobState.RUNNING))
        else:
            lease = {"job_serial": job, "worker_serial": 1, "attempt": 1, "claim_key": None}
            transaction.insert(JobLease(expires_at=site.clock.now(), **lease))
    (freed,) = site.delete(run, make_obsolete=True)
    assert (freed.reason, freed.deleted) == (f"job {job} is running; abort it first", False)
    assert not site.server.get(Run, run).obsolete


def test_nothing_begins_to_use_files_that_are_gone_until_they_are_made_again(site):
    run, job = site.run()
    site.delete(run)
    with pytest.raises(InvalidParameter, match=f"the files of job {job} were deleted; restart it"):
        site.run(obsolete=False, inputs={"in": reference(job)}, named=False)
    site.server.update(Run, run, Change(values={"/obsolete": False}))
    site.platform.control_for(ADMIN).restart_job(job)
    site.run(obsolete=False, inputs={"in": reference(job)}, named=False)


def test_files_that_are_used_from_the_moment_of_deletion_on_stay(site):
    """The look around and the deletion are two moments; what comes in between counts."""
    run, job = site.run()
    site.records.before_writing = lambda: uses_in_an_input(site, job)
    (freed,) = site.delete(run)
    assert (freed.deleted, freed.kept_jobs, len(site.stored(job))) == (False, [job], 2)


def test_files_that_are_used_by_what_a_server_with_a_late_clock_wrote_meanwhile_stay(site):
    run, job = site.run()

    def use():
        now = site.clock.now()
        site.clock.set_time(now - timedelta(minutes=4))
        uses_in_an_input(site, job)
        site.clock.set_time(now)

    site.records.before_writing = use
    (freed,) = site.delete(run)
    assert (freed.deleted, freed.kept_jobs, len(site.stored(job))) == (False, [job], 2)


def test_jobs_of_no_run_go_with_their_obsolete_workflow_only(site):
    job = site.job(None)
    (refused,) = site.delete(workflows=[site.workflow])
    assert (refused.run_serial, refused.reason) == (None, f"workflow {site.workflow} is not obsolete")
    site.server.update(Workflow, site.workflow, Change(values={"/obsolete": True}))
    (freed,) = site.delete(workflows=[site.workflow])
    assert (freed.files, site.stored(job)) == (2, [])


def test_who_does_not_see_a_run_deletes_nothing_of_it_and_scripts_nothing_at_all(site):
    run, job = site.run()
    with pytest.raises(RecordNotFound):
        site.delete(run, by=STRANGER)
    with pytest.raises(PermissionDenied, match="may not delete files of runs"):
        site.delete(run, by=SCRIPT)
    with pytest.raises(PermissionDenied, match="may not see what takes disk space"):
        site.platform.measure_disk(STRANGER)
    assert len(site.stored(job)) == 2


def test_the_disks_use_is_by_workflow_and_says_what_is_obsolete(site):
    site.run()
    site.run(obsolete=False)
    use = site.platform.measure_disk(ADMIN)
    (own,) = use.workflows
    assert (own.bytes, own.obsolete_bytes, use.total, use.is_complete) == (20, 10, 20, True)


def test_a_measurement_that_leaves_folders_out_says_so(site):
    for _ in range(3):
        site.run()
    token = site.server.file_token(listing_scopes())
    complete, partial = (
        measure(site.records, site.files, token, site.clock.now(), most_folders=most) for most in (100, 2)
    )
    assert (complete.is_complete, complete.total) == (True, 30)
    assert (partial.is_complete, partial.total) == (False, 10)


class InterruptedFiles(FolderFileStore):
    """A store during whose first deletion somebody does something else."""

    def delete(self, token, resource):
        super().delete(token, resource)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()


def test_a_job_that_is_taken_back_while_the_files_of_others_go_keeps_its_own(site):
    (first, gone), (second, kept) = site.run(), site.run()

    def take_back():
        with site.records.transaction() as transaction:
            transaction.replace(attrs.evolve(transaction.get(Job, kept), metadata={}))

    site.files.__class__, site.files.meanwhile = InterruptedFiles, take_back
    site.delete(first, second)
    assert (site.stored(gone), sorted(site.stored(kept))) == ([], ["a.bin", "log.txt"])


def test_no_file_of_a_job_is_stored_while_its_files_are_deleted(site):
    run, job = site.run()
    token = site.server.file_token([Scope("write", record_resource("job_result", job, "b.bin"))])
    refused = []

    def store():
        try:
            with site.platform.held_file_rights(token):
                pass
        except ServerBusy as error:
            refused.append(str(error))

    site.files.__class__, site.files.meanwhile = InterruptedFiles, store
    site.delete(run)
    assert len(refused) == 1
    assert "files are being deleted" in refused[0]
