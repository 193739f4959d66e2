import json
import shutil
import zipfile

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.errors import ChecksumMismatch, FileNotInStore, RecordNotFound, UsageError
from xfworker.domain.files import Scope, parse_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, TaskType, Workflow
from xfworker.services.bundle.manifest import INPUT, OUTPUT
from xfworker.services.bundle.reading import OpenBundle
from xfworker.services.bundle.restoring import restore_job
from xfworker.services.bundle.writing import plan_bundle, write_bundle
from xfworker.services.packages.checkin import check_in
from xfworker.testing import MemoryPlatform

HEAD = "import xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\ninputs = worker.job['inputs']\n"


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    platform = MemoryPlatform(folder)
    # Serials here are other ones than there.
    for number in range(5):
        platform.make_sequences(value=[number])
    yield platform
    platform.close()


@pytest.fixture
def bundle_of(xf_platform, tmp_path):
    def make(job, **options):
        path = tmp_path / f"job-{job.serial}.xfjob"
        parts = xf_platform.server, xf_platform.files
        options.setdefault("bundled_on", {"python": "3.11"})
        plan = plan_bundle(*parts, job.serial, clock=xf_platform.clock, **options)
        write_bundle(*parts, plan, path)
        return path

    return make


def test_a_job_runs_again_elsewhere_with_the_same_outputs(run_task, segment, array, bundle_of, elsewhere):
    before = run_task(segment, image=array, threshold=500)
    with OpenBundle(bundle_of(before.job)) as bundle:
        job = restore_job(elsewhere.server, elsewhere.files, bundle)
    assert (job.state, job.serial != before.job.serial) == (JobState.READY, True)
    after = elsewhere.run_job(job, segment)
    assert after.outputs["bvtv"] == before.outputs["bvtv"]
    after.outputs["segments"].assert_same_as(array > 500)


def test_a_bundle_holds_inputs_outputs_log_and_where_it_ran(run_task, segment, array, bundle_of):
    result = run_task(segment, image=array, threshold=500)
    with OpenBundle(bundle_of(result.job)) as bundle:
        manifest = bundle.manifest
    names = {role: [file.resource.filename for file in manifest.files_of(role)] for role in ("input", "output", "log")}
    assert names == {"input": ["image.omni", "image.raw"], "output": ["seg.omni", "seg.raw"], "log": ["log.txt"]}
    assert manifest.job == result.job
    assert manifest.environment["worker"]["name"].startswith("tests on")
    assert manifest.environment["bundled_on"] == {"python": "3.11"}


def test_outputs_can_be_left_out(run_task, segment, array, bundle_of):
    with OpenBundle(bundle_of(run_task(segment, image=array, threshold=1).job, with_outputs=False)) as bundle:
        assert bundle.manifest.files_of(OUTPUT) == ()


def test_sequences_go_along_with_their_runs_and_files(run_task, tmp_path, xf_platform, bundle_of, elsewhere):
    inputs = xf_platform.make_sequences(volume=[3.0, 1.0, None], density=[30.0, None, 20.0])
    script = tmp_path / "mean.py"
    script.write_text(
        f"""{HEAD}
with worker.server_connection() as connection:
    volumes = xfworkerutil.get_xf_parameter_float_sequence(connection, inputs["volume"])
    pairs = xfworkerutil.get_xf_parameter_paired_float_sequences(connection, inputs["volume"], inputs["density"])
worker.finish({{"volumes": volumes, "pairs": pairs}})
"""
    )
    before = run_task(script, inputs)
    assert before.outputs == {"volumes": [3.0, 1.0], "pairs": [[3.0], [30.0]]}
    with OpenBundle(bundle_of(before.job)) as bundle:
        job = restore_job(elsewhere.server, elsewhere.files, bundle)
    assert elsewhere.run_job(job, script).outputs == before.outputs


def test_a_sequence_of_files_takes_its_files_along(run_task, tmp_path, xf_platform, bundle_of, elsewhere):
    notes = [xf_platform.put_userdata(f"notes/{name}.txt", name.encode()) for name in ("left", "right")]
    inputs = xf_platform.make_sequences(notes=notes)
    script = tmp_path / "join.py"
    script.write_text(
        f"""{HEAD}
with worker.server_connection() as connection:
    found = xfworkerutil.get_xf_parameter_sequence(connection, inputs["notes"])
worker.finish({{"text": " ".join(worker.download_input_file(item).read_text() for item in found)}})
"""
    )
    before = run_task(script, inputs)
    with OpenBundle(bundle_of(before.job)) as bundle:
        job = restore_job(elsewhere.server, elsewhere.files, bundle)
    assert elsewhere.run_job(job, script).outputs == before.outputs == {"text": "left right"}


def test_config_files_run_and_package_go_along(xf_platform, tmp_path, bundle_of, elsewhere):
    folder = tmp_path / "package"
    folder.mkdir()
    metadata = {"package_format": "XFP-TT1.0", "name": "Lab.Config", "version": "1.0.0.0"}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    (folder / "interface.json").write_text(json.dumps({"inputs": [], "outputs": [{"key": "text", "type": "String"}]}))
    (folder / "main.py").write_text(
        f"""{HEAD}
task = worker.get_current_task()
paths = [
    worker.download_xf_workflow_config_file(worker.job["workflow_serial"], "lab.txt"),
    worker.download_xf_task_type_config_file(task["task_type_serial"], "interface.json"),
]
worker.finish({{"text": paths[0].read_text() + worker.get_run_entity()["name"] + str(paths[1].stat().st_size)}})
"""
    )
    task_type = check_in(xf_platform.server, xf_platform.files, folder).record
    started = xf_platform.make_job()
    workflow = xf_platform.server.get(Workflow, started.record.workflow_serial)
    xf_platform.put_config("workflow_config", workflow.serial, "lab.txt", b"bone ")
    run = xf_platform.server.create(Run(workflow_serial=workflow.serial, entity={"uuid": "u", "name": "mouse "}))
    task = xf_platform.server.create(
        evolve(
            xf_platform.server.find(_task(), {"workflow_serial": workflow.serial})[0], task_type_serial=task_type.serial
        )
    )
    ready = Job(
        task_serial=task.serial,
        workflow_serial=workflow.serial,
        project_serial=workflow.project_serial,
        run_serial=run.serial,
        state=JobState.READY,
    )
    before = xf_platform.run_job(xf_platform.server.create(ready), folder)
    assert before.outputs["text"].startswith("bone mouse ")
    with OpenBundle(bundle_of(before.job)) as bundle:
        archive = next(file for file in bundle.manifest.files if file.resource == bundle.manifest.archive)
        bundle.extract(archive, tmp_path / "again.xfp")
        job = restore_job(elsewhere.server, elsewhere.files, bundle)
    assert elsewhere.run_job(job, tmp_path / "again.xfp").outputs == before.outputs


def _task():
    from xfworker.domain.records import Task

    return Task


def test_pixels_that_an_image_names_only_inside_go_along(xf_platform, segment, array, bundle_of, elsewhere):
    first = xf_platform.make_job(image=array, other=xf_platform.put_userdata("scans/other.raw", b"x")).record
    image = {key: value for key, value in first.inputs["image"].items() if key != "filenames"}
    ready = evolve(first, inputs={"image": image, "threshold": 500}, state=JobState.READY, spawn_key=None)
    before = xf_platform.run_job(xf_platform.server.create(ready), segment)
    with OpenBundle(bundle_of(before.job)) as bundle:
        names = [file.resource.filename for file in bundle.manifest.files_of(INPUT)]
        job = restore_job(elsewhere.server, elsewhere.files, bundle)
    assert sorted(names) == ["image.omni", "image.raw"]
    assert elsewhere.run_job(job, segment).outputs["bvtv"] == before.outputs["bvtv"]


def test_an_input_that_is_gone_is_said_to_be_gone(run_task, segment, array, xf_platform, bundle_of):
    job = run_task(segment, image=array, threshold=1).job
    resource = parse_resource(f"job_result/{job.inputs['image']['job_serial']}/image.raw")
    xf_platform.files.delete(xf_platform.server.file_token([Scope("delete", resource)]), resource)
    with pytest.raises(FileNotInStore, match=r"image\.raw.*cannot be bundled"):
        bundle_of(job)


def test_a_job_that_is_not_there_cannot_be_bundled(bundle_of, xf_job):
    with pytest.raises(RecordNotFound):
        bundle_of(evolve(xf_job().record, serial=999))


@pytest.fixture
def bundle(run_task, segment, array, bundle_of):
    return bundle_of(run_task(segment, image=array, threshold=500).job)


def rewritten(bundle, change):
    """Write the bundle again, with each entry's content as ``change(name, content)`` gives it."""
    target = bundle.with_suffix(".changed.xfjob")
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(target, "w") as copy:
        for info in source.infolist():
            content = change(info.filename, source.read(info))
            if content is not None:
                copy.writestr(info.filename, content)
    return target


def test_a_file_that_was_tampered_with_is_refused(bundle, tmp_path):
    changed = rewritten(bundle, lambda name, content: content[::-1] if name == "files/0001" else content)
    with OpenBundle(changed) as opened, pytest.raises(ChecksumMismatch, match=r"image\.omni.*damaged"):
        opened.extract(opened.manifest.files[0], tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name, content: None if name == "bundle.json" else content, "no bundle.json"),
        (lambda name, content: None if name == "files/0002" else content, "missing or has another size"),
        (lambda name, content: content[:-1] if name == "files/0002" else content, "missing or has another size"),
        (lambda name, content: b"{" if name == "bundle.json" else content, "not JSON"),
        (lambda name, content: b"[" * 100_000 if name == "bundle.json" else content, "not JSON"),
        (
            lambda name, content: b'{"format": "XFJOB9.0"}' if name == "bundle.json" else content,
            "a bundle of a.*XFJOB9.0",
        ),
        (lambda name, content: b'{"format": "XFJOB1.0"}' if name == "bundle.json" else content, "lacks something"),
        (
            lambda name, content: (
                content.replace(b"/image.omni", b"/../image.omni") if name == "bundle.json" else content
            ),
            "damaged",
        ),
    ],
)
def test_a_damaged_bundle_is_refused_with_a_sentence(bundle, change, message):
    with pytest.raises(UsageError, match=message):
        OpenBundle(rewritten(bundle, change))


@pytest.mark.parametrize("content", [b"", b"PK", b"not a bundle at all" * 100])
def test_what_is_no_bundle_is_refused(tmp_path, content):
    path = tmp_path / "a.xfjob"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a bundle"):
        OpenBundle(path)
    with pytest.raises(UsageError, match="there is no bundle"):
        OpenBundle(tmp_path / "absent.xfjob")


@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_any_damaged_byte_is_noticed_or_harmless(tmp_path_factory, place, byte):
    bundle = _small_bundle(tmp_path_factory)
    content = bytearray(bundle.read_bytes())
    content[place % len(content)] = byte
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "a.xfjob"
    path.write_bytes(content)
    try:
        with OpenBundle(path) as opened:
            for file in opened.manifest.files:
                opened.extract(file, folder / "out")
                assert (folder / "out").read_bytes() == b"left femur"
    except (UsageError, ChecksumMismatch):
        pass
    shutil.rmtree(folder)


_BUNDLES = {}


def _small_bundle(tmp_path_factory):
    if not _BUNDLES:
        folder = tmp_path_factory.mktemp("bundle")
        platform = MemoryPlatform(folder)
        job = platform.make_job(notes=platform.put_userdata("notes.txt", b"left femur"))
        path = folder / "small.xfjob"
        parts = platform.server, platform.files
        write_bundle(*parts, plan_bundle(*parts, job.serial, clock=platform.clock, bundled_on={}), path)
        _BUNDLES["small"] = path
    return _BUNDLES["small"]


def test_a_bundle_holds_no_token(run_task, segment, array, bundle_of):
    result = run_task(segment, image=array, threshold=500)
    with zipfile.ZipFile(bundle_of(result.job)) as archive:
        text = archive.read("bundle.json").decode()
    assert "token" not in text
    assert "XF_SERVER_AUTH" not in text


def test_what_shrinks_is_compressed_and_noise_is_not(xf_platform, bundle_of):
    noise = np.random.default_rng(1).bytes(100_000)
    zeros, noise = (
        xf_platform.put_userdata(name, content) for name, content in (("a.raw", bytes(200_000)), ("b.raw", noise))
    )
    with zipfile.ZipFile(bundle_of(xf_platform.make_job(zeros=zeros, noise=noise))) as archive:
        kinds = {info.file_size: info.compress_type for info in archive.infolist() if info.filename != "bundle.json"}
    assert kinds == {200_000: zipfile.ZIP_DEFLATED, 100_000: zipfile.ZIP_STORED}


def test_task_types_are_not_left_behind_by_accident(xf_platform, run_task, segment, array, bundle_of, elsewhere):
    before = run_task(segment, image=array, threshold=500)
    with OpenBundle(bundle_of(before.job)) as bundle:
        restore_job(elsewhere.server, elsewhere.files, bundle)
        # A second time on the same server works as well.
        job = restore_job(elsewhere.server, elsewhere.files, bundle)
    assert elsewhere.server.find(TaskType, {"name": "segment"})
    assert elsewhere.run_job(job, segment).outputs["bvtv"] == before.outputs["bvtv"]
    assert [file.role for file in bundle.manifest.files].count(INPUT) == 2
