"""A captured job is run with another script or other inputs, and what changes is said."""

import json

import pytest

from xfworker.api.cli.main import main
from xfworker.services.capture.reading import OpenCapture


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    """Captures by script, each made once."""
    from tests.unit.capture.stand_in_platform import StandInPlatform

    made = {}

    def capture(name, shape="plain", **inputs):
        if (name, shape) not in made:
            made[name, shape] = StandInPlatform(tmp_path_factory.mktemp(name), shape).run(f"{name}.py", **inputs)
        return made[name, shape]

    return capture


@pytest.fixture
def edited(tmp_path):
    from tests.unit.capture.stand_in_platform import HERE

    def edit(name, *pairs):
        text = (HERE / "scripts" / f"{name}.py").read_text()
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "edited.py"
        path.write_text(text)
        return path

    return edit


def run(capsys, tmp_path, capture, *words):
    code = main(["run", "--capture", str(capture), "--out", str(tmp_path / "out"), "--json", *map(str, words)])
    return code, json.loads(capsys.readouterr().out)


def test_an_input_is_replaced_and_the_calibration_goes_on_to_work(captured, tmp_path, capsys):
    code, document = run(capsys, tmp_path, captured("threshold"), "--set", "threshold=30", "--compare")

    assert code == 1
    assert document["outputs"]["voxels"] == 4
    comparison = document["comparison"]
    assert {d["path"] for d in comparison["differences"]} == {"outputs.voxels", "files['scan_seg.raw']"}
    assert comparison["calls"]["new"] == ["Calibration.calibrated_to_raw(x=30.0)"]
    assert comparison["calls"]["left_out"] == ["Calibration.calibrated_to_raw(x=20.0)"]
    assert (tmp_path / "out/scan_seg.raw").read_bytes().count(1) == 4


@pytest.mark.parametrize("name", ["pixels", "in_memory"])
def test_images_are_compared_voxel_by_voxel_where_their_layout_is_told(captured, edited, tmp_path, capsys, name):
    script = edited(name, ("image.pixels >= raw", "image.pixels >= raw + 1"))
    code, document = run(capsys, tmp_path, captured(name, "slotted"), script, "--compare")

    (voxels,) = [d for d in document["comparison"]["differences"] if d["path"].startswith("files")]
    assert code == 1
    assert voxels["message"].startswith("1 of 24 voxels differ")
    assert document["outputs"]["voxels"] == 8


def test_where_nothing_tells_the_layout_that_is_said(captured, tmp_path, capsys):
    _, document = run(capsys, tmp_path, captured("threshold"), "--set", "threshold=30", "--compare")

    assert document["comparison"]["notes"] == [
        "nothing tells the layout of the pixels of scan_seg.raw, so it was compared byte by byte"
    ]


def test_numbers_within_the_tolerance_are_the_same(captured, edited, tmp_path, capsys):
    script = edited("report", ('"mean": statistics.mean(volumes),', '"mean": statistics.mean(volumes) + 1e-6,'))
    loose = run(capsys, tmp_path, captured("report"), script, "--compare", "--absolute", "1e-3")
    strict = run(capsys, tmp_path, captured("report"), script, "--compare")

    assert (loose[0], strict[0]) == (0, 1)
    assert [d["path"] for d in strict[1]["comparison"]["differences"]] == ["outputs.mean"]


def test_a_call_that_was_never_recorded_is_one_sentence_with_the_nearest_ones(captured, edited, tmp_path, capfd):
    script = edited(
        "search", ('find_xf_task_type(connection, "Lab.Scan")', 'find_xf_task_type(connection, "Lab.Other")')
    )

    assert main(["run", "--capture", str(captured("search")), str(script), "--out", str(tmp_path / "out")]) == 1

    lines = [line for line in capfd.readouterr().err.splitlines() if "Lab.Other" in line]
    assert lines == [
        "edited.py, line 25: XFWorkerJob.find_xf_task_type(connection=<object Connection>, name='Lab.Other') was never "
        "asked when the job was captured; the nearest recorded calls: "
        "XFWorkerJob.find_xf_task_type(connection=<object Connection>, name='Lab.Scan')"
    ]


def test_asking_twice_gives_the_same_again_and_local_work_really_happens(captured, edited, tmp_path, capsys):
    script = edited(
        "min_max",
        (
            'path = worker.create_temp_path("minmax.json")',
            'again = worker.get_omni_image(inputs["image"])\n'
            "assert again.size_3d_tuple == image.size_3d_tuple == (4, 3, 2)\n"
            'other = worker.create_temp_path("more.txt")\n'
            'other.write_text("more")\n'
            "worker.upload_output_file(other)\n"
            'path = worker.create_temp_path("minmax.json")\n'
            "assert path.parent == other.parent == worker.working_dir.path and path != other",
        ),
        (
            '"report": worker.create_output_foreign_file(path.name)',
            '"report": worker.create_output_foreign_file(path.name),'
            ' "more": worker.create_output_foreign_file(other.name)',
        ),
    )
    code, document = run(capsys, tmp_path, captured("min_max"), script, "--compare")

    assert document["outputs"]["more"] == {"T": "ForeignFile", "src": "job", "file": "more.txt", "owner": 17}
    assert code == 1
    assert {d["path"] for d in document["comparison"]["differences"]} == {"outputs.more", "files['more.txt']"}
    assert (tmp_path / "out/more.txt").read_text() == "more"


def test_records_that_are_changed_otherwise_are_a_difference(captured, edited, tmp_path, capsys):
    script = edited("spawn", ("    for name in names:\n", "    for name in names[:1]:\n"))
    code, document = run(capsys, tmp_path, captured("spawn"), script, "--compare")

    assert code == 1
    assert "calls.XFWorkerJob.spawn_xf_job_basic" in {d["path"] for d in document["comparison"]["differences"]}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--set", "tresh=3"], "tresh: the captured job has no such input; it has: image="),
        (["--set", "threshold=many"], "threshold: 'many' is not a number, which the captured value 20.0 is"),
        (["--set", "threshold"], "'threshold' does not set an input; write key=value or key:=json"),
        (["--set", "image=other"], "image: the captured value is an object or list; give another one as JSON"),
        (["--data", "folder"], "a capture is run without a server"),
        (["--bundle", "x.xfjob"], "--bundle and --capture are two jobs"),
        (["gone.py"], "there is no gone.py"),
    ],
)
def test_what_is_called_wrongly_is_said_before_anything_runs(captured, capsys, words, sentence):
    assert main(["run", "--capture", str(captured("threshold")), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_inputs_and_outputs_that_are_objects_are_replaced_and_compared_by_their_data(
    captured, edited, tmp_path, capsys
):
    script = edited("opaque", ('str(uuid.uuid4()), file["name"])', 'str(uuid.uuid4()), file["name"] + "!")'))
    capture = captured("opaque", "opaque")
    code, document = run(capsys, tmp_path, capture, script, "--compare", "--set", "threshold=5")

    assert code == 1
    assert document["outputs"]["volume"] == 5.75
    assert document["outputs"]["sample"]["label"] == "b.isq!"
    differing = [d["path"] for d in document["comparison"]["differences"]]
    assert differing == ["outputs.sample.label", "outputs.volume"]


def test_set_needs_a_capture(capsys):
    assert main(["run", "script.py", "--set", "a=1"]) == 2
    assert "--set replaces inputs of a --capture" in capsys.readouterr().err


def test_a_capture_is_looked_into_unpacked_and_verified(captured, tmp_path, capsys):
    path = captured("threshold")
    assert main(["capture", "info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "job 17, finished, 12 calls" in shown
    assert "threshold  20.0" in shown
    assert main(["capture", "info", str(path), "--calls", "--log"]) == 0
    shown = capsys.readouterr().out
    assert "XFWorkerJob.progress(percentage=90) -> None" in shown
    assert "above 15.0 9" in shown
    assert main(["capture", "info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inputs"]["unit"] == "density"
    assert main(["capture", "verify", str(path)]) == 0
    assert main(["capture", "unpack", str(path), str(tmp_path / "unpacked")]) == 0
    assert (tmp_path / "unpacked/files/scan.raw").stat().st_size == 48
    assert (tmp_path / "unpacked/package/main.py").read_text().startswith('"""Segments an image')
    assert main(["capture", "unpack", str(path), str(tmp_path / "unpacked")]) == 2


def test_records_of_another_shape_are_not_a_bundle_and_that_is_said(captured, tmp_path, capsys):
    target = tmp_path / "job.xfjob"
    assert main(["capture", "to-bundle", str(captured("threshold")), "--out", str(target)]) == 2
    message = capsys.readouterr().err
    assert "the captured job does not fit the records of this package" in message
    assert "task_serial: is missing" in message
    assert not target.exists()


def test_the_recorder_is_laid_into_a_package_with_its_settings(tmp_path, capsys):
    package = tmp_path / "package"
    package.mkdir()
    (package / "main.py").write_text("import xfworkerutil\n")
    words = ["--folder", r"\\server\share\captures", "--file-mb", "5", "--blank-names"]
    assert main(["capture", "init", str(package), *words]) == 0
    assert "import xfcapture" in capsys.readouterr().err

    text = (package / "xfcapture.py").read_text()
    found = {}
    exec("\n".join(line for line in text.splitlines() if line.startswith("XFCAPTURE_")), found)
    assert found["XFCAPTURE_FOLDER"] == r"\\server\share\captures"
    assert (found["XFCAPTURE_FILE_MB"], found["XFCAPTURE_BLANK_NAMES"]) == ("5", "1")
    assert main(["capture", "init", str(tmp_path / "none")]) == 2


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"segment.py"}, "segment.py"),
        ({"main.py", "more.py"}, "main.py"),
        ({"a.py", "b.py"}, "the script"),
        ((), "the"),
    ],
)
def test_the_script_that_lacks_the_line_is_named(tmp_path, capsys, files, named):
    for name in files:
        (tmp_path / name).write_text("import xfworkerutil\n")
    assert main(["capture", "init", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert named in said
    assert ("main.py" in said) is ("main.py" in files)


def test_a_script_that_has_the_line_asks_for_nothing(tmp_path, capsys):
    (tmp_path / "segment.py").write_text("import xfcapture\nimport xfworkerutil\n")
    assert main(["capture", "init", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""


def test_packages_and_versions_are_in_the_capture(captured):
    with OpenCapture(captured("threshold")) as capture:
        assert [entry.name for entry in capture.manifest.package] == ["package/main.py", "package/xfcapture.py"]
        assert capture.manifest.modules["xfworkerutil"]["version"] == "9.1"
        assert "numpy" in capture.manifest.environment["packages"]
