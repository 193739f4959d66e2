import json

import numpy as np
import pytest
from PIL import Image

from xfworker.api.cli.main import main
from xfworker.domain.image.calibration import Calibration


@pytest.fixture
def scan(tmp_path, write_array, bone):
    return write_array(tmp_path / "scan.AIM", bone, spacing_mm=(0.0607, 0.0607, 0.0607))


def test_info_as_json_is_one_document(scan, bone, capsys):
    assert main(["image", "info", "--json", str(scan)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["format"], document["size"], document["encoding"]) == ("AIM", [30, 21, 13], "int16")
    assert document["statistics"]["raw"]["mean"] == pytest.approx(bone.mean())


def test_info_as_text_names_the_header(scan, capsys):
    assert main(["image", "info", str(scan), "--log"]) == 0
    out = capsys.readouterr().out
    assert "D1Tshort" in out
    assert "Processing Log" in out


def test_info_in_a_pipe_has_one_whole_line_per_fact(scan, capsys):
    assert main(["image", "info", str(scan)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (values,) = (line for line in lines if line.startswith("values raw"))
    assert "median" in values
    assert lines[0].split() == ["path", str(scan)]
    assert not any(line.endswith(" ") for line in lines)


def test_convert_prints_the_files_and_what_it_removed(scan, tmp_path, capsys, read_array, bone):
    assert main(["image", "convert", str(scan), str(tmp_path / "a.omni"), "--type", "float32", "--deidentify"]) == 0
    streams = capsys.readouterr()
    assert streams.out.splitlines() == [str(tmp_path / "a.omni"), str(tmp_path / "a.raw")]
    assert "removed" in streams.err
    np.testing.assert_array_equal(read_array(tmp_path / "a.omni"), bone)


def test_convert_names_what_the_target_does_not_hold_on_stderr_and_in_json(tmp_path, write_array, bone, capsys):
    line = Calibration(unit_type="HU", unit_name="HU", slope=1, intercept=-1024)
    source = write_array(tmp_path / "a.omni", bone, calibrations=(line,), origin_mm=(0.4, 0, 0))
    lost = ["the origin 0.4 x 0 x 0 mm becomes 0 x 0 x 0 mm", "the calibration HU = 1 * raw - 1024 HU is not kept"]
    assert main(["image", "convert", str(source), str(tmp_path / "b.AIM")]) == 0
    assert capsys.readouterr().err.splitlines() == [f"not in b.AIM: {loss}" for loss in lost]
    assert main(["image", "convert", str(source), str(tmp_path / "b.AIM"), "--json"]) == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out)["losses"] == lost
    assert streams.err.splitlines() == [f"not in b.AIM: {loss}" for loss in lost]


def test_a_long_path_stays_on_one_line(scan, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ("d" * 100)
    folder.mkdir()
    assert main(["image", "convert", str(scan), str(folder / "[red]a.omni")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder / f"[red]a.{suffix}") for suffix in ("omni", "raw")]


def test_what_is_beyond_numbers_is_null_in_json(tmp_path, write_array, capsys):
    line = Calibration(unit_type="Huge", slope=1e300, intercept=0)
    path = write_array(tmp_path / "a.omni", np.array([[[1e300, 0]]]), calibrations=(line,))
    assert main(["image", "info", "--json", str(path)]) == 0
    document = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert document["statistics"]["calibrated"]["Huge"]["maximum"] is None


def test_a_picture_never_replaces_the_pixels(tmp_path, write_array, read_array, bone, capsys):
    path = write_array(tmp_path / "a.omni", bone)
    assert main(["image", "slice", str(path), str(tmp_path / "a.raw")]) == 2
    assert "would be replaced" in capsys.readouterr().err
    np.testing.assert_array_equal(read_array(path), bone)


def test_a_slice_is_the_picture_of_the_values(scan, tmp_path, bone):
    target = tmp_path / "s.png"
    assert main(["image", "slice", str(scan), str(target), "--axis", "y", "--index", "4", "--window", "0:3000"]) == 0
    expected = np.rint(np.clip(bone[:, 4] * (255 / 3000), 0, 255))
    np.testing.assert_array_equal(np.asarray(Image.open(target)), expected)
    assert main(["image", "slice", str(scan), str(target), "--axis", "all", "--json"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["info", "absent.AIM"], 1, "absent.AIM"),
        (["convert", "{scan}", "a.xyz"], 1, "a.xyz"),
        (["convert", "{scan}", "a.AIM", "--type", "int7"], 2, "int7"),
        (["convert", "{scan}", "a.AIM", "--encoding", "zip"], 1, "zip"),
        (["slice", "{scan}", "a.png", "--window", "9:1"], 2, "9:1"),
        (["slice", "{scan}", "a.png", "--window", "1%:3"], 2, "percentiles"),
        (["slice", "{scan}", "a.png", "--unit", "HU", "--window", "0:1"], 1, "no calibration to HU"),
        (["slice", "{scan}", "a.png", "--axis", "all", "--index", "1"], 2, "--index"),
    ],
)
def test_errors_are_one_sentence_and_an_exit_code(scan, tmp_path, monkeypatch, capsys, words, code, message):
    monkeypatch.chdir(tmp_path)
    assert main(["image", *(word.format(scan=scan) for word in words)]) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.AIM"]
