"""What ``xfworker doctor`` finds: records that contradict each other, files that are missing, orphaned or damaged."""

import os

import attrs
import pytest

from tests.unit.platform.test_file_deletion import Site, reference
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.change import Change
from xfworker.domain.digests import Digests
from xfworker.domain.files import Scope, parse_resource, resource_reference
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Workflow
from xfworker.services.platform.checkup import FindingKind, check_up


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def found(site, *, deep=False):
    return [(finding.kind, finding.place, finding.message) for finding in check_up(site.records, site.files, deep=deep)]


def store(site, text):
    resource = parse_resource(text)
    site.files.upload(site.server.file_token([Scope("write", resource)]), site.source, resource)
    return (site.source.parent / "files").joinpath(*text.split("/"))


def test_where_all_is_well_nothing_is_found(site):
    site.run()
    store(site, "userdata/scans/a.isq")
    assert found(site) == found(site, deep=True) == []


def test_a_record_that_refers_to_none_is_found_behind_any_number_of_others(site):
    with site.records.transaction() as transaction:
        for _ in range(1000):
            transaction.insert(Job(task_serial=site.task, workflow_serial=site.workflow, project_serial=site.project))
        job = transaction.insert(Job(task_serial=4711, workflow_serial=site.workflow, project_serial=site.project))
        for _ in range(1000):
            transaction.insert(Workflow(project_serial=site.project))
        workflow = transaction.insert(Workflow(project_serial=4712))
    assert found(site) == [
        (FindingKind.BROKEN, str(workflow), "project_serial is 4712, but there is no project 4712"),
        (FindingKind.BROKEN, str(job), "task_serial is 4711, but there is no task 4711"),
    ]


def test_a_running_job_without_a_lease_is_found_and_one_with_a_lease_is_not(site):
    _, serial = site.run(obsolete=False)
    with site.records.transaction() as transaction:
        job = attrs.evolve(transaction.get(Job, serial), state=JobState.RUNNING, attempt=1)
        transaction.replace(job)
    [(kind, place, message)] = found(site)
    assert (kind, place) == (FindingKind.BROKEN, str(job))
    assert "no worker has a lease on it" in message
    with site.records.transaction() as transaction:
        transaction.insert(
            JobLease(job_serial=serial, worker_serial=1, attempt=1, expires_at=job.created_at, claim_key=None)
        )
    assert found(site) == []


def test_files_that_records_name_and_that_are_not_there_are_found(site):
    _, lost = site.run(obsolete=False)
    _, named = site.run(obsolete=False)
    gone, userdata = reference(lost), resource_reference(parse_resource("userdata/scans/a.isq"))
    site.server.update(Job, named, Change(values={"/outputs": {"scan": {"type": "ForeignFile", **userdata}}}))
    (site.source.parent / "files").joinpath("job_result", str(lost), gone["filename"]).unlink()
    jobs = [site.server.get(Job, serial) for serial in (lost, named)]
    assert found(site) == [
        (
            FindingKind.MISSING,
            str(jobs[0]),
            f"names the file job_result/{lost}/a.bin, which is not in the file store",
        ),
        (FindingKind.MISSING, str(jobs[1]), "names the file userdata/scans/a.isq, which is not in the file store"),
    ]


def test_files_that_belong_to_no_record_are_found_however_deep(site):
    _, job = site.run(obsolete=False)
    store(site, f"task_config/{site.task}/a.json")
    for text in ("task_config/4711/a.json", "job_result/4712/deep/b.bin", "job_result/4712/c.bin"):
        path = (site.source.parent / "files").joinpath(*text.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert sorted(found(site)) == [
        (FindingKind.ORPHANED, "job_result/4712/c.bin", "there is no job 4712"),
        (FindingKind.ORPHANED, "job_result/4712/deep/b.bin", "there is no job 4712"),
        (FindingKind.ORPHANED, "task_config/4711/a.json", "there is no task 4711"),
    ]
    assert site.server.get(Job, job).state is JobState.DONE


def test_files_that_are_not_what_was_stored_are_found_by_reading_them(site):
    _, job = site.run(obsolete=False)
    for path in (store(site, "userdata/scans/a.isq"), site.source.parent / "files" / "job_log" / str(job) / "log.txt"):
        status = path.stat()
        path.write_bytes(b"12346")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert found(site) == []
    damaged = sorted(found(site, deep=True))
    assert [(kind, place) for kind, place, _ in damaged] == [
        (FindingKind.DAMAGED, f"job_log/{job}/log.txt"),
        (FindingKind.DAMAGED, "userdata/scans/a.isq"),
    ]
    assert all("was stored" in message for *_, message in damaged)


def test_a_record_that_names_a_file_as_no_file_can_be_named_is_found(site):
    _, serial = site.run(obsolete=False)
    with site.records.transaction() as transaction:
        job = attrs.evolve(transaction.get(Job, serial), outputs={"out": {**reference(serial), "filename": "../a.bin"}})
        transaction.replace(job)
    [(kind, place, message)] = found(site)
    assert (kind, place) == (FindingKind.BROKEN, str(job))
    assert "../a.bin" in message


class StoreOfNoDigests(FolderFileStore):
    """A store that knows no digests of what others put there, as an object store may."""

    def stat(self, token, resource, *, sha256=False):
        known = super().stat(token, resource, sha256=sha256)
        return attrs.evolve(known, sha256=None, xxh3=None, stored=Digests())


def test_a_file_of_which_no_digest_was_stored_has_nothing_to_be_compared_with(site):
    _, job = site.run(obsolete=False)
    (site.source.parent / "files" / "job_result" / str(job) / "a.bin").write_bytes(b"x")
    site.files.__class__ = StoreOfNoDigests
    assert found(site, deep=True) == []
