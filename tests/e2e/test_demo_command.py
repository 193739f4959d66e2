import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from xfworker.api.demo.phantom import SIZE, bone_mask, write_phantom
from xfworker.api.demo.pictures import show_in_terminal


@pytest.mark.parametrize("as_json", [True, False])
def test_the_demo_finds_the_known_answer(tmp_path, as_json):
    command = [sys.executable, "-m", "xfworker", "demo", *(["--json"] if as_json else [])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "OFF" not in done.stdout
    if as_json:
        document = json.loads(done.stdout)
        assert document["agrees"]
        assert {item["key"] for item in document["comparison"]} == {"volume_fraction", "bone_volume", "mean_density"}
        png = Path(document["jobs"]["snapshot"]["files"]["snapshot"][0])
        assert png.read_bytes().startswith(b"\x89PNG")
        assert len(document["jobs"]["threshold"]["files"]["segments"]) == 2
        pictures = [tmp_path / path for path in document["pictures"].values()]
        assert [path.name for path in pictures] == ["phantom.aim", "phantom_planes.png", "phantom_bone.png"]
        planes, bone = (read_image(path.read_bytes()) for path in pictures[1:])
        assert planes.size == bone.size
        coloured = sum(red > green + 50 for red, green, _ in bone.get_flattened_data())
        assert 0.01 < coloured / (bone.width * bone.height) < 0.5
    else:
        assert "phantom_bone.png" in done.stdout
        assert "\x1b" not in done.stdout


def read_image(content):
    return Image.open(io.BytesIO(content)).convert("RGB")


def test_a_terminal_with_colours_shows_the_picture(tmp_path):
    Image.new("RGB", (300, 100), (200, 30, 30)).save(tmp_path / "a.png")
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=60)
    show_in_terminal(tmp_path / "a.png", console.width, console.print)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 10
    assert all("38;2;200;30;30" in line or "48;2;200;30;30" in line for line in lines)


def test_the_phantom_holds_what_is_known_of_it(tmp_path):
    import numpy as np

    from xfworker.api.facade.omni import open_image

    known = write_phantom(tmp_path / "p.aim")
    image = open_image(tmp_path / "p.aim")
    values = np.asarray(image.pixels[:])
    bone = values > 4000
    assert bone.shape == SIZE[::-1]
    assert np.array_equal(bone, bone_mask())
    density = image.pixel_calibrations_of_unit_type("Density")[0]
    assert known.volume_fraction == pytest.approx(bone.mean())
    assert known.mean_density == pytest.approx(density.raw_to_calibrated(values[bone].mean(dtype=np.float64)))


def test_the_demo_fails_when_an_answer_is_off():
    from xfworker.api.cli.demo import Comparison

    assert Comparison("x", 1.0000001, 1.0).agrees
    assert not Comparison("x", 1.001, 1.0).agrees
    assert not Comparison("x", None, 1.0).agrees


def test_a_demo_that_fails_is_one_json_document_all_the_same(tmp_path, monkeypatch, capsys):
    import shutil

    from xfworker.api.cli import demo

    shutil.copytree(demo.PACKAGES, tmp_path / "packages")
    (tmp_path / "packages" / "statistics" / "main.py").write_text("raise ValueError('no figures')")
    monkeypatch.setattr(demo, "PACKAGES", tmp_path / "packages")
    assert demo.demo(out=tmp_path / "out", json=True) == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["agrees"]
    assert {name: job["state"] for name, job in document["jobs"].items()} == {
        "threshold": "Done",
        "statistics": "Failed",
    }
