"""What goes into a bundle when records are gone, files change meanwhile, and packages need others."""

import json
import zipfile

import psutil
import pytest
from attrs import evolve

from xfworker.domain.errors import ChecksumMismatch, UsageError
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.records import DependencyPackage, Job, Run, TaskType
from xfworker.services.bundle import manifest as manifests
from xfworker.services.bundle.manifest import BundledSequence, BundledValue
from xfworker.services.bundle.reading import OpenBundle
from xfworker.services.bundle.restoring import restore_job
from xfworker.services.bundle.writing import plan_bundle, write_bundle
from xfworker.services.sealed_archive import SealedArchive


@pytest.fixture
def done(run_task, segment, array):
    return run_task(segment, image=array, threshold=500).job


def planned(xf_platform, job, server=None):
    server = server or xf_platform.server
    return plan_bundle(server, xf_platform.files, job.serial, clock=xf_platform.clock, bundled_on={})


def test_progress_goes_to_the_size_of_all_files_when_a_bundle_is_written_and_restored(xf_platform, done, tmp_path):
    seen, restored = [], []
    manifest = planned(xf_platform, done)
    path = tmp_path / "a.xfjob"
    written = write_bundle(
        xf_platform.server, xf_platform.files, manifest, path, progress=lambda *step: seen.append(step)
    )
    assert seen[-1][1:] == (manifest.size, manifest.size)
    assert [file.sha256 for file in written.files] == [file.sha256 for file in manifest.files]
    assert written.size == manifest.size == sum(file.size for file in manifest.files)
    with OpenBundle(path) as bundle:
        restore_job(xf_platform.server, xf_platform.files, bundle, progress=lambda *step: restored.append(step[1:]))
    inputs = sum(file.size for file in manifest.files if file.role in (manifests.INPUT, manifests.CONFIG))
    assert restored[-1] == (inputs, inputs)


@pytest.mark.parametrize("change", [{"size": 3}, {"sha256": "0" * 64}])
def test_a_file_that_changed_since_it_was_looked_at_makes_no_bundle(xf_platform, done, tmp_path, change):
    manifest = planned(xf_platform, done)
    first, *others = manifest.files
    manifest = evolve(manifest, files=(evolve(first, **change), *others))
    with pytest.raises(ChecksumMismatch, match=r"it changed meanwhile or is damaged, so the bundle was not made"):
        write_bundle(xf_platform.server, xf_platform.files, manifest, tmp_path / "a.xfjob")


def test_a_store_that_states_no_digests_has_its_files_bundled_with_those_that_they_have(xf_platform, done, tmp_path):
    def without_digests(listing):
        return evolve(listing, files=tuple(evolve(stat, sha256=None) for stat in listing.files))

    files = xf_platform.files
    silent = Without(
        files,
        stat=lambda *of: evolve(files.stat(*of), sha256=None),
        list=lambda *of: without_digests(files.list(*of)),
    )
    plan = plan_bundle(xf_platform.server, silent, done.serial, clock=xf_platform.clock, bundled_on={})
    written = write_bundle(xf_platform.server, silent, plan, tmp_path / "a.xfjob")
    assert written.files == planned(xf_platform, done).files


class Without:
    """A server or a store on which some things are otherwise."""

    def __init__(self, server, **others):
        self._server, self._others = server, others

    def __getattr__(self, name):
        return self._others.get(name) or getattr(self._server, name)


def test_a_job_that_no_worker_ran_or_whose_worker_is_gone_is_bundled_without_it(xf_platform, done):
    server = xf_platform.server

    def with_worker(serial):
        def get(kind, number):
            record = server.get(kind, number)
            return evolve(record, worker_serial=serial) if kind is Job else record

        return Without(server, get=get)

    for serial in (None, 4711):
        assert planned(xf_platform, done, with_worker(serial)).environment["worker"] is None


def test_the_packages_that_a_task_type_needs_are_listed_each_once_with_those_that_they_need(xf_platform, done):
    server = xf_platform.server
    server.create(DependencyPackage(name="a", version="1.0.0.0", install="what it was before"))
    for name, version, needed in (
        ("a", "1.0.0.0", "bag"),
        ("a", "2.0.0.0", "c"),
        ("b", "1.0.0.0", "ac"),
        ("c", "1.0.0.0", ""),
    ):
        dependencies = [{"name": one, "version": "1.0.0.0"} for one in needed]
        server.create(DependencyPackage(name=name, version=version, install="pip", dependencies=dependencies))

    def get(kind, number):
        record = server.get(kind, number)
        needs = {"dependencies": [{"name": "a", "version": "1.0.0.0"}]}
        return evolve(record, metadata=needs) if kind is TaskType else record

    listed = planned(xf_platform, done, Without(server, get=get)).environment["dependency_packages"]
    assert [(one["name"], one["version"], one["install"]) for one in listed] == [
        ("a", "1.0.0.0", "pip"), ("b", "1.0.0.0", "pip"), ("c", "1.0.0.0", "pip"),
    ]  # fmt: skip


def test_a_sequence_that_an_input_names_twice_goes_in_once(xf_platform, run_task, tmp_path):
    inputs = xf_platform.make_sequences(volume=[1.0, 2.0], density=[3.0, 4.0])
    script = tmp_path / "twice.py"
    script.write_text("import xfworkerutil\nxfworkerutil.XFWorkerJob().finish({'n': 1})\n")
    job = run_task(script, {"first": inputs["volume"], "second": inputs["volume"], "third": inputs["density"]}).job
    assert [sequence.key for sequence in planned(xf_platform, job).sequences] == ["volume", "density"]


def test_values_of_one_run_stay_in_one_run_and_those_of_none_in_none(xf_platform, done, tmp_path):
    values = [BundledValue(job_serial=n, run_serial=run, value=n) for n, run in ((1, 5), (2, 5), (3, None))]
    manifest = evolve(
        planned(xf_platform, done),
        run=None,
        sequences=(BundledSequence(task_serial=77, key="x", values=tuple(values)),),
    )
    path = tmp_path / "a.xfjob"
    write_bundle(xf_platform.server, xf_platform.files, manifest, path)
    before = {job.serial for job in xf_platform.server.find(Job)}
    with OpenBundle(path) as bundle:
        job = restore_job(xf_platform.server, xf_platform.files, bundle)
    made = [one for one in xf_platform.server.find(Job) if one.serial not in before | {job.serial}]
    runs = [one.run_serial for one in made if one.outputs.get("x")]
    assert runs[0] == runs[1] is not None
    assert runs[2] is None
    assert xf_platform.server.get(Run, job.run_serial).name == ""


def test_what_names_a_file_of_a_sequences_job_names_the_new_job_also_where_the_file_is_not_there(
    xf_platform, done, tmp_path
):
    values = (BundledValue(job_serial=4711, run_serial=None, value=1.5),)
    lost = {"type": "ForeignFile", "source": "job_result", "job_serial": 4711, "filename": "lost.bin"}
    manifest = planned(xf_platform, done)
    manifest = evolve(
        manifest,
        job=evolve(manifest.job, inputs={**manifest.job.inputs, "lost": lost}),
        sequences=(BundledSequence(task_serial=77, key="x", values=values),),
    )
    path = tmp_path / "a.xfjob"
    write_bundle(xf_platform.server, xf_platform.files, manifest, path)
    with OpenBundle(path) as bundle:
        job = restore_job(xf_platform.server, xf_platform.files, bundle)
    named = xf_platform.server.get(Job, job.inputs["lost"]["job_serial"])
    assert (named.outputs, named.project_serial) == ({"x": 1.5}, job.project_serial)


def test_entries_that_are_encrypted_or_larger_than_they_say_are_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"12345")
    with SealedArchive(path, "bundle", "make one") as sealed:
        with pytest.raises(ChecksumMismatch, match="a in it is not what it was"):
            list(sealed._pieces("a", 3, "0" * 64, called="a", otherwise="it was"))  # noqa: SLF001  what both kinds share
        sealed._archive.infolist()[0].flag_bits |= 1  # noqa: SLF001
        with pytest.raises(UsageError, match="'a' is encrypted or compressed in an unknown way"):
            sealed._entries()  # noqa: SLF001
    path.write_bytes(path.read_bytes().replace(b"12345", b"12346"))
    with (
        SealedArchive(path, "bundle", "make one") as sealed,
        pytest.raises(ChecksumMismatch, match=r"is damaged at a: Bad CRC-32"),
    ):
        list(sealed._pieces("a", 5, "0" * 64, called="a", otherwise="it was"))  # noqa: SLF001


def kept_beside_the_task(xf_platform, job, folder, name):
    (folder / name).write_bytes(b"PK")
    resource = record_resource("task_config", job.task_serial, name)
    token = xf_platform.server.file_token([Scope("write", resource)])
    xf_platform.files.upload(token, folder / name, resource)
    return resource


def test_the_script_that_is_kept_beside_the_task_is_the_one_of_the_bundle(xf_platform, done, tmp_path):
    resource = kept_beside_the_task(xf_platform, done, tmp_path, "script.xfp")
    manifest = planned(xf_platform, done)
    assert manifest.archive == resource
    assert [file.resource for file in manifest.files_of(manifests.CONFIG)] == [resource]


def test_a_file_beside_the_task_that_is_not_an_archive_goes_in_and_is_not_its_script(xf_platform, done, tmp_path):
    other = kept_beside_the_task(xf_platform, done, tmp_path, "a-protocol.txt")
    manifest = planned(xf_platform, done)
    assert manifest.archive != other
    assert other in [file.resource for file in manifest.files_of(manifests.CONFIG)]
    script = kept_beside_the_task(xf_platform, done, tmp_path, "script.xfp")
    assert planned(xf_platform, done).archive == script


def test_a_job_is_restored_beside_the_one_that_it_was_with_what_its_own_task_had(xf_platform, done, tmp_path):
    kept_beside_the_task(xf_platform, done, tmp_path, "a-protocol.txt")
    manifest = planned(xf_platform, done)
    path = tmp_path / "a.xfjob"
    write_bundle(xf_platform.server, xf_platform.files, manifest, path)
    with zipfile.ZipFile(path) as archive:
        roles = {file["role"] for file in json.loads(archive.read("bundle.json"))["files"]}
    assert roles == {"input", "output", "config", "log"}
    with OpenBundle(path) as bundle:
        job = restore_job(xf_platform.server, xf_platform.files, bundle)
    assert job.task_serial != done.task_serial
    resource = record_resource("task_config", job.task_serial, "a-protocol.txt")
    token = xf_platform.server.file_token([Scope("read", resource)])
    assert b"".join(xf_platform.files.open_read(token, resource)) == b"PK"
    assert job.metadata == {"from_bundle": {"job_serial": done.serial, "created_at": manifest.created_at}}
    runs = [xf_platform.server.get(Run, one.run_serial) for one in (done, job)]
    assert (runs[0].name, runs[0].serial == runs[1].serial) == (runs[1].name, False)
    assert job.inputs["image"]["job_serial"] != done.inputs["image"]["job_serial"]
    assert {**job.inputs["image"], "job_serial": 0} == {**done.inputs["image"], "job_serial": 0}


def test_a_manifest_may_be_large_but_not_of_any_size_and_what_is_refused_is_closed(xf_platform, done, tmp_path):
    path = tmp_path / "a.xfjob"
    write_bundle(xf_platform.server, xf_platform.files, planned(xf_platform, done), path)

    def claiming(size):
        with zipfile.ZipFile(path, "a") as archive:
            archive.getinfo("bundle.json").file_size = size
            archive.writestr(f"another-{size}", b"")
        return path

    OpenBundle(claiming(1 << 28)).close()
    with pytest.raises(UsageError, match=r"bundle\.json in it is too large to be one") as caught:
        OpenBundle(claiming((1 << 28) + 1))
    assert str(path) not in [file.path for file in psutil.Process().open_files()], caught
