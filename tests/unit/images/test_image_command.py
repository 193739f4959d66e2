import json

import numpy as np
import pytest
from PIL import Image

from xfworker.api.cli.main import main


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


def test_convert_prints_the_files_and_what_it_removed(scan, tmp_path, capsys, read_array, bone):
    assert main(["image", "convert", str(scan), str(tmp_path / "a.omni"), "--type", "float32", "--deidentify"]) == 0
    streams = capsys.readouterr()
    assert streams.out.replace("\n", "").endswith("a.raw")
    assert "removed" in streams.err
    np.testing.assert_array_equal(read_array(tmp_path / "a.omni"), bone)


def test_a_slice_is_the_picture_of_the_values(scan, tmp_path, bone):
    target = tmp_path / "s.png"
    assert main(["image", "slice", str(scan), str(target), "--axis", "y", "--index", "4", "--window", "0:3000"]) == 0
    expected = np.rint(np.clip(bone[:, 4] * (255 / 3000), 0, 255))
    np.testing.assert_array_equal(np.asarray(Image.open(target)), expected)
    assert main(["image", "slice", str(scan), str(target), "--axis", "all", "--json"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
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
def test_faults_are_one_sentence_and_an_exit_code(scan, tmp_path, monkeypatch, capsys, words, code, told):
    monkeypatch.chdir(tmp_path)
    assert main(["image", *(word.format(scan=scan) for word in words)]) == code
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.AIM"]
