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
from xfworker.services.platform.checkup import check_up


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def found(site, **how):
    return [(finding.kind, finding.place, finding.message) for finding in check_up(site.records, site.files, **how)]


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
        jobs = [
            transaction.insert(
                Job(
                    task_serial=4711 if number in {499, 1000} else site.task,
                    workflow_serial=site.workflow,
                    project_serial=site.project,
                    sort_order=f"{number:04}",
                )
            )
            for number in range(1001)
        ]
        for _ in range(998):
            transaction.insert(Workflow(project_serial=site.project))
        workflows = [transaction.insert(Workflow(project_serial=4712)) for _ in range(2)]
    assert found(site) == [
        *(("broken", str(workflow), "project_serial is 4712, but there is no project 4712") for workflow in workflows),
        *(("broken", str(job), "task_serial is 4711, but there is no task 4711") for job in (jobs[499], jobs[1000])),
    ]


def test_a_running_job_without_a_lease_is_found_and_one_with_a_lease_is_not(site):
    _, serial = site.run(obsolete=False)
    with site.records.transaction() as transaction:
        job = attrs.evolve(transaction.get(Job, serial), state=JobState.RUNNING, attempt=1)
        transaction.replace(job)
    [(kind, place, message)] = found(site)
    assert (kind, place) == ("broken", str(job))
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
            "missing",
            str(jobs[0]),
            f"names the file job_result/{lost}/a.bin, which is not in the file store",
        ),
        ("missing", str(jobs[1]), "names the file userdata/scans/a.isq, which is not in the file store"),
    ]


def test_a_file_that_went_with_an_obsolete_run_is_not_missing_and_one_beside_it_is(site):
    (run, deleted), (_, lost) = site.run(), site.run(obsolete=False)
    site.delete(run)
    (site.source.parent / "files" / "job_result" / str(lost) / "a.bin").unlink()
    with site.records.transaction() as transaction:
        job = transaction.get(Job, lost)
        transaction.replace(attrs.evolve(job, inputs={"a": reference(deleted), "b": reference(lost)}, outputs={}))
    assert [(kind, place) for kind, place, _ in found(site)] == [("missing", str(job))]


def test_files_that_belong_to_no_record_are_found_however_deep(site):
    _, job = site.run(obsolete=False)
    store(site, f"task_config/{site.task}/a.json")
    beside = f"job_result/0{job}"
    for text in (f"{beside}/d.bin", "task_config/4711/a.json", "job_result/4712/deep/b.bin", "job_result/4712/c.bin"):
        path = (site.source.parent / "files").joinpath(*text.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert sorted(found(site)) == [
        ("orphaned", f"{beside}/d.bin", f"there is no job 0{job}"),
        ("orphaned", "job_result/4712/c.bin", "there is no job 4712"),
        ("orphaned", "job_result/4712/deep/b.bin", "there is no job 4712"),
        ("orphaned", "task_config/4711/a.json", "there is no task 4711"),
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
        ("damaged", f"job_log/{job}/log.txt"),
        ("damaged", "userdata/scans/a.isq"),
    ]
    assert all(message.startswith("its XXH3-128 is ") and "was stored" in message for *_, message in damaged)


def test_a_file_that_was_written_anew_behind_the_stores_back_is_damaged_as_well(site):
    path = store(site, "userdata/scans/a.isq")
    os.utime(path, ns=(0, 0))
    assert found(site, deep=True) == []
    path.write_bytes(b"12346")
    assert [(kind, place) for kind, place, _ in found(site, deep=True)] == [("damaged", "userdata/scans/a.isq")]


def test_a_record_that_names_a_file_as_no_file_can_be_named_is_found(site):
    _, serial = site.run(obsolete=False)
    with site.records.transaction() as transaction:
        job = attrs.evolve(transaction.get(Job, serial), outputs={"out": {**reference(serial), "filename": "../a.bin"}})
        transaction.replace(job)
    [(kind, place, message)] = found(site)
    assert (kind, place) == ("broken", str(job))
    assert "../a.bin" in message


@pytest.mark.parametrize(
    ("known", "names"),
    [({}, []), ({"sha256": "0" * 64}, ["SHA-256"]), ({"sha256": "0" * 64, "xxh3": "0" * 32}, ["XXH3-128"])],
)
def test_a_file_is_compared_with_what_an_object_store_knows_of_it(site, known, names):
    class ObjectStore(FolderFileStore):
        """A store that notes no digests of its own, and may know none of what others put there."""

        def stat(self, token, resource, *, sha256=False):
            stat = super().stat(token, resource, sha256=sha256)
            return attrs.evolve(stat, **{"sha256": None, "xxh3": None, "stored": Digests(), **known})

    store(site, "userdata/scans/a.isq")
    site.files.__class__ = ObjectStore
    assert [message.split()[1] for *_, message in found(site, deep=True)] == names
