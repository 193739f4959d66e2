"""A captured job becomes a bundle where its records fit, and nothing goes in that the capture does not hold."""

import hashlib
import json

import pytest
from attrs import evolve

from tests.unit.capture.test_hostile_captures import manifest_of, written
from xfworker.api.cli.main import main
from xfworker.domain.errors import UsageError
from xfworker.domain.job_state import JobState
from xfworker.services.bundle.manifest import BundledValue
from xfworker.services.bundle.reading import OpenBundle
from xfworker.services.capture.bundling import plan_bundle
from xfworker.services.capture.calls import RecordedCall
from xfworker.services.capture.manifest import CapturedEntry, CapturedFile

JOB = {
    "serial": 17,
    "task_serial": 5,
    "workflow_serial": 3,
    "project_serial": 2,
    "run_serial": 8,
    "state": "Running",
    "inputs": {},
}
TASK = {"serial": 5, "workflow_serial": 3}
IMAGE = {"type": "Image", "source": "job_result", "job_serial": 9, "filename": "scan.omni"}
KEYS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("scan.omni", "scan.raw", "more.raw", "out.txt")}


def listed(name):
    return {"$": "path", "name": name, "folder": 1, "file": {"size": 4, "sha256": KEYS.get(name, "0" * 64)}}


def call(function, args=None, result=None, **more):
    return RecordedCall(number=1, name=f"XFWorkerJob.{function}", args=args or {}, result=result, **more)


def fetched(parameter, *paths, **more):
    return call("get_omni_image", {"input_parameter": parameter}, {"$": "object", "state": {"paths": [*paths]}}, **more)


def stored(name, file):
    return call("upload_output_file", {"local_path": {"$": "path", "name": name, "file": file}})


def manifest(ending="finished", **outcome):
    entries = {key: CapturedEntry(name=f"files/{key}", size=4, sha256=key) for key in KEYS.values()}
    return manifest_of(entries, ending=ending, **outcome)


def plan(*calls, captured=None):
    return plan_bundle(captured or manifest(), [call("load_job", result=JOB), *calls])


def names(planned):
    return [(str(file.resource), file.role) for file in planned.manifest.files]


@pytest.mark.parametrize("package", [{"package/main.py": b"import xfworkerutil\n"}, {}])
def test_a_captured_job_is_written_as_a_bundle_with_its_records_files_and_script(tmp_path, capsys, package):
    contents = {name: f"content of {name}".encode() for name in ("scan.omni", "scan.raw", "out.txt")}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}

    def path(name):
        return {"$": "path", "name": name, "folder": 1, "file": {"size": 1, "sha256": digests[name]}}

    rows = [
        ("XFWorkerJob.load_job", {}, JOB),
        ("xfworkerutil.get_xf_workflow", {}, {"serial": 3, "name": "Bones", "project_serial": 2}),
        (
            "XFWorkerJob.get_current_task",
            {},
            {"serial": 5, "name": "Segment", "workflow_serial": 3, "task_type_serial": 4},
        ),
        ("XFWorkerJob.get_omni_image", {"input_parameter": IMAGE}, [path("scan.omni"), path("scan.raw")]),
        ("XFWorkerJob.upload_output_file", {"local_path": path("out.txt")}, None),
    ]
    lines = "\n".join(json.dumps({"number": n, "call": f, "args": a, "result": r}) for n, (f, a, r) in enumerate(rows))
    capture = written(
        tmp_path / "job-17.xfcap",
        package | {f"files/{digests[n]}": c for n, c in contents.items()},
        calls=lines.encode(),
        files={digests[n]: {"size": len(c), "entry": f"files/{digests[n]}"} for n, c in contents.items()},
        outcome={
            "ending": "finished",
            "args": {
                "outputs": {"$": "dict", "items": [["volume", {"$": "tuple", "items": [1, 2.5]}]]},
                "units": {"volume": "mm3"},
            },
        },
    )

    assert main(["capture", "to-bundle", str(capture), "--out", str(tmp_path)]) == 0, capsys.readouterr().err

    shown = capsys.readouterr()
    assert f"job 17, {3 + len(package)} files" in shown.out
    assert ("it holds no script" in shown.err) == (not package)
    with OpenBundle(tmp_path / "job-17.xfjob") as bundle:
        made = bundle.manifest
        assert (made.job.state, made.job.outputs) == (JobState.DONE, {"volume": [1, 2.5]})
        assert made.job.metadata["output_units"] == {"volume": "mm3"}
        assert (made.workflow.name, made.task.name, made.task_type.serial) == ("Bones", "Segment", 4)
        assert made.run.serial == 8
        assert made.archive == (made.files[3].resource if package else None)
        for file in made.files[:3]:
            bundle.extract(file, tmp_path / "one")
            assert (tmp_path / "one").read_bytes() == contents[file.resource.filename]


def test_records_that_no_call_gave_are_made_up_with_their_serials():
    made = plan().manifest
    assert (made.task.serial, made.task.name, made.task.task_type_serial) == (5, "captured task", 1)
    assert (made.task_type.name, made.task_type.version) == ("Captured.Script", "1.0.0.0")
    assert (made.workflow.serial, made.project.serial, made.run.serial) == (3, 2, 8)
    without = plan_bundle(manifest(), [call("load_job", result={**JOB, "run_serial": None})]).manifest
    assert without.run is None
    assert made.environment == {"bundled_on": {}, "captured_on": {"python": "3.11"}}


def test_records_around_the_job_are_taken_from_whatever_call_gave_them():
    made = plan(
        call("get_current_task", result={**TASK, "name": "Segment", "task_type_serial": 4}),
        *(
            RecordedCall(number=1, name=f"xfworkerutil.get_xf_{noun}", args={}, result=record)
            for noun, record in (
                ("task_type", {"serial": 9, "name": "Other.Type"}),
                ("task_type", {"serial": 4, "name": "Lab.Segment"}),
                ("project", {"serial": 2, "name": "Bones"}),
                ("workflow_run", {"serial": 8, "workflow_serial": 3, "name": "mouse"}),
            )
        ),
    ).manifest
    assert (made.task_type.name, made.project.name, made.run.name) == ("Lab.Segment", "Bones", "mouse")


@pytest.mark.parametrize(
    ("captured", "state", "outputs"),
    [
        (manifest("finished", args={"outputs": {"n": 1}}), JobState.DONE, {"n": 1}),
        (manifest("finished", args={"outputs": [1]}), JobState.DONE, {}),
        (manifest("finished", args=None), JobState.DONE, {}),
        (manifest("error", args={"outputs": {"n": 1}}), JobState.FAILED, {}),
        (manifest("exception"), JobState.FAILED, {}),
    ],
)
def test_a_job_is_done_with_its_outputs_where_it_finished_and_failed_else(captured, state, outputs):
    job = plan(captured=captured).manifest.job
    assert (job.state, job.outputs) == (state, outputs)
    assert "output_units" not in job.metadata


def test_a_captured_record_of_another_shape_is_named():
    with pytest.raises(UsageError, match=r"the captured task does not fit .*name: expected string"):
        plan(call("get_current_task", result={"serial": 5, "name": 7}))


def test_files_go_in_once_under_the_names_that_the_input_gives_them():
    planned = plan(
        fetched(IMAGE, listed("scan.omni"), listed("scan.raw")),
        fetched(IMAGE, listed("scan.omni")),
        stored("out.txt", {"size": 4, "sha256": KEYS["out.txt"]}),
    )
    assert names(planned) == [
        ("job_result/9/scan.omni", "input"),
        ("job_result/9/scan.raw", "input"),
        ("job_result/17/out.txt", "output"),
    ]
    assert list(planned.keys.values()) == [KEYS["scan.omni"], KEYS["scan.raw"], KEYS["out.txt"]]
    assert planned.left_out == []


@pytest.mark.parametrize(
    ("parameter", "path"),
    [
        (IMAGE, listed("other.raw")),  # of another name than the image's
        (IMAGE, listed("scan.a/../../b")),  # would lie elsewhere
        (IMAGE, {"$": "path", "name": "scan.omni"}),  # its content was not looked at
        ({"type": "Image"}, listed("scan.omni")),  # names no file
        ({**IMAGE, "filename": "../scan.omni"}, listed("scan.omni")),
        ({**IMAGE, "filenames": [7]}, listed("scan.omni")),
        ("scan.omni", listed("scan.omni")),
    ],
)
def test_a_file_that_no_input_names_safely_is_not_taken_for_one_and_those_behind_it_are(parameter, path):
    planned = plan(fetched(parameter, path, listed("scan.raw")), fetched(IMAGE, listed("scan.raw")))
    assert names(planned) == [("job_result/9/scan.raw", "input")]


@pytest.mark.parametrize("function", ["download_input_file", "get_ipl_image_path", "get_omni_image"])
def test_every_call_that_gives_files_gives_inputs_and_no_other_does(function):
    given = call(function, {"input_parameter": IMAGE}, listed("scan.omni"))
    other = call("describe", {"input_parameter": IMAGE}, listed("scan.raw"))
    assert names(plan(other, given)) == [("job_result/9/scan.omni", "input")]


def test_an_input_that_was_not_captured_is_left_out_and_those_behind_it_are_not():
    large = {**listed("scan.omni"), "file": {"size": 9, "sha256": "e" * 64, "omitted": "larger than 5 MB"}}
    lost = {**listed("scan.idx"), "file": {"size": 9, "sha256": "f" * 64}}
    not_looked_at = {"$": "path", "name": "scan.omni"}
    planned = plan(fetched(IMAGE, not_looked_at, large, lost, listed("scan.raw")))
    assert names(planned) == [("job_result/9/scan.raw", "input")]
    assert planned.left_out == [
        "job_result/9/scan.omni is not in the bundle: larger than 5 MB",
        "job_result/9/scan.idx is not in the bundle: its content was not captured",
    ]


def test_what_a_call_that_failed_was_to_give_is_not_an_input():
    assert names(plan(fetched(IMAGE, listed("scan.omni"), raised={"class": "FileError"}))) == []


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ({"size": 9, "sha256": "e" * 64, "omitted": "larger than 5 MB"}, "larger than 5 MB"),
        ({"size": 9, "sha256": "d" * 64}, "blanked by the lab"),
        ({"size": 9}, "its content was not captured"),
        (None, "it was not there when it was stored"),
        ({"size": 9, "sha256": "/etc/passwd"}, "its content was not captured"),
        ({"size": 9, "sha256": ["x"]}, "its content was not captured"),
    ],
)
def test_a_file_whose_content_the_capture_does_not_hold_is_left_out_and_the_reason_said(file, reason):
    captured = manifest()
    captured = evolve(
        captured,
        files={
            **captured.files,
            "d" * 64: CapturedFile(size=9, entry=None, omitted="blanked by the lab", is_blanked=True),
        },
    )

    planned = plan(stored("out.txt", file), captured=captured)

    assert (names(planned), planned.keys) == ([], {})
    assert planned.left_out == [f"job_result/17/out.txt is not in the bundle: {reason}"]


def test_files_of_user_data_are_not_outputs_of_the_job():
    file = {"$": "path", "name": "a.txt", "file": {"size": 4, "sha256": KEYS["out.txt"]}}
    assert names(plan(call("upload_xf_userdata_file", {"local_path": file, "virtualpath": "scans/a.txt"}))) == []


def test_sequences_that_were_read_go_in_with_their_values_in_order():
    asked = {"type": "Sequence", "task_serial": 4, "key": "volume"}
    planned = plan(
        call("get_xf_parameter_float_sequence", {"sequence": asked}, [3.0, 1.0]),
        call("get_xf_parameter_sequence", {"sequence": {"key": "volume"}}, [1]),
        call("get_xf_parameter_sequence", {"sequence": asked}, None),
        call("get_xf_parameter_sequence", {"sequence": {**asked, "key": "name"}}, ["a"]),
    )
    sequence, other = planned.manifest.sequences
    assert (other.key, other.values) == ("name", (BundledValue(job_serial=1, run_serial=1, value="a"),))
    assert (sequence.task_serial, sequence.key) == (4, "volume")
    assert sequence.values == (
        BundledValue(job_serial=1, run_serial=1, value=3.0),
        BundledValue(job_serial=2, run_serial=2, value=1.0),
    )
