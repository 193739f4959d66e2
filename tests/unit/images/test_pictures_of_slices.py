"""What slices show: the right values, in true proportions, labels in colours, sides and lengths named."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from xfworker.api.cli.main import main
from xfworker.domain.errors import UsageError
from xfworker.services.images import annotations, pictures, slices

RNG = np.random.default_rng(5)


@pytest.fixture
def volume():
    return RNG.integers(-3000, 3000, (6, 7, 8), np.int16)


@pytest.mark.parametrize("name", ["a.omni", "a.AIM", "a.nii", "a.nii.gz", "a.tif", "a.zarr"])
@pytest.mark.parametrize("step", [1, 3])
def test_a_plane_along_every_axis_has_the_volumes_values(tmp_path, formats, write_array, volume, name, step):
    seen = []
    with formats.reader(write_array(tmp_path / name, volume)) as reader:
        for axis, index, expected in (("z", 4, volume[4]), ("y", -2, volume[:, 5]), ("x", None, volume[:, :, 4])):
            found = slices.plane(reader, axis, index, step=step, progress=lambda *done: seen.append(done))
            np.testing.assert_array_equal(found, expected[::step, ::step])
            assert found.dtype.isnative
    assert all(0 < done <= total for done, total in seen)


@pytest.mark.parametrize("columns", [9, 40_000])
def test_planes_and_boxes_of_big_endian_pixels_in_short_and_long_rows(tmp_path, formats, columns):
    volume = RNG.integers(-3000, 3000, (3, 4, columns), np.int16)
    volume.astype(">i2").tofile(tmp_path / "a.raw")
    document = {"size": [columns, 4, 3], "pixel_type": "int16", "byte_order": "big", "pixels": {"filename": "a.raw"}}
    (tmp_path / "a.omni").write_text(json.dumps(document))
    with formats.reader(tmp_path / "a.omni") as reader:
        np.testing.assert_array_equal(slices.plane(reader, "x", 5), volume[:, :, 5])
        np.testing.assert_array_equal(slices.plane(reader, "y", 1), volume[:, 1])
        np.testing.assert_array_equal(reader.read_box(range(1, 3), range(0, 4, 2), range(2, 7)), volume[1:, ::2, 2:7])


def test_what_was_never_written_is_zero_and_what_was_is_found(tmp_path, formats, write_array):
    with (tmp_path / "a.raw").open("wb") as file:
        file.truncate(3 << 26)
        file.seek((1 << 26) + 2 * 7)
        file.write(np.int16(99).tobytes())
    document = {"size": [1024, 1024, 96], "pixel_type": "int16", "pixels": {"filename": "a.raw"}}
    (tmp_path / "a.omni").write_text(json.dumps(document))
    with formats.reader(tmp_path / "a.omni") as reader:
        plane = slices.plane(reader, "x", 7)
    assert np.argwhere(plane).tolist() == [[32, 0]]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the process says how much it read in /proc")
@pytest.mark.parametrize("axis", ["y", "z"])
def test_only_the_shown_rows_are_read(tmp_path, write_array, axis):
    path = write_array(tmp_path / "a.omni", np.ones((64, 512, 512), np.int16))
    code = (
        "import sys, pathlib, numpy; from xfworker.adapters.images.registry import image_formats;"
        "from xfworker.services.images.slices import plane\n"
        "def read():\n"
        "    return int(next(l.split()[1] for l in open('/proc/self/io') if l.startswith('rchar')))\n"
        f"with image_formats().reader(pathlib.Path({str(path)!r})) as reader:\n"
        "    plane(reader, 'z', 0)\n"
        "    before = read()\n"
        f"    plane(reader, {axis!r})\n"
        "    print(read() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 600_000


@pytest.mark.parametrize(("axis", "shape"), [("z", (7, 16)), ("y", (12, 8)), ("x", (24, 7))])
def test_slices_have_true_proportions(tmp_path, formats, write_array, volume, axis, shape):
    path = write_array(tmp_path / "a.omni", volume, spacing_mm=(0.2, 0.1, 0.4))
    with formats.reader(path) as reader:
        view = pictures.slice_view(reader, axis)
    assert (view.pixels.shape, view.pixel_mm) == (shape, pytest.approx(0.2 if axis == "y" else 0.1))


def test_a_very_flat_volume_keeps_its_proportions_within_the_largest_picture(tmp_path, formats, write_array, volume):
    path = write_array(tmp_path / "a.omni", volume, spacing_mm=(1e-4, 100, 1))
    with formats.reader(path) as reader:
        view = pictures.slice_view(reader, "z")
    assert view.pixels.shape == (16384, 1)
    assert view.pixel_mm * 16384 == pytest.approx(700)
    path = write_array(tmp_path / "b.omni", volume, spacing_mm=(100, 1e-4, 1))
    with formats.reader(path) as reader:
        assert pictures.slice_view(reader, "z").pixels.shape == (1, 16384)


def test_a_montage_of_a_wide_volume_stays_within_the_largest_picture(tmp_path, formats, write_array):
    path = write_array(tmp_path / "a.omni", np.zeros((2, 3, 9000), np.uint8))
    with formats.reader(path) as reader:
        view = pictures.side_by_side(pictures.montage_views(reader))
    assert 16000 < view.pixels.shape[1] <= 16384 + 16
    assert view.pixel_mm == pytest.approx((9000 + 9000 + 3) / 16384)


def test_every_third_pixel_keeps_the_true_proportions(tmp_path, formats, write_array, volume):
    path = write_array(tmp_path / "a.omni", volume, spacing_mm=(0.5, 0.25, 1.0))
    with formats.reader(path) as reader:
        views = pictures.montage_views(reader, step=3, choose=lambda values: pictures.Window(-3000, 3000))
        known = [
            (volume[3, ::3, ::3], (1, 2)),
            (volume[::3, 3, ::3], (4, 2)),
            (volume[::3, ::3, 4], (4, 1)),
        ]
        for view, (values, times) in zip(views, known, strict=True):
            expected = np.rint((values.astype(float) + 3000) * 255 / 6000)
            np.testing.assert_array_equal(view.pixels, np.kron(expected, np.ones(times)))
            assert view.pixel_mm == 0.75
        seen = []
        pictures.montage_views(reader, choose=lambda values: seen.extend(values.flat) or pictures.Window(0, 1))
    assert sorted(seen) == sorted([*volume[3].flat, *volume[:, 3].flat, *volume[:, :, 4].flat])


@pytest.mark.parametrize(
    ("row_mm", "step", "shape", "pixel_mm"),
    [(1, 1, (2, 20_000), 1), (1.4, 1, (3, 20_000), 1), (1, 2, (1, 10_000), 2), (1.5, 1, (2, 16_384), 20_000 / 16_384)],
)
def test_a_long_picture_is_made_smaller_only_where_it_is_stretched(
    tmp_path, formats, write_array, row_mm, step, shape, pixel_mm
):
    path = write_array(tmp_path / "a.omni", np.zeros((1, 2, 20_000), np.uint8), spacing_mm=(1, row_mm, 1))
    with formats.reader(path) as reader:
        view = pictures.slice_view(reader, "z", step=step)
    assert (view.pixels.shape, view.pixel_mm) == (shape, pixel_mm)


def test_levels_windows_and_sizes_of_pictures_of_a_few_pixels():
    values = np.array([[np.nan, 0, 3, 5]], np.float32)
    assert pictures.window_of(values, 0, 100) == pictures.Window(0, 5)
    assert pictures.grey(values, pictures.Window(0, 5)).tolist() == [[0, 0, 153, 255]]
    opacities = np.array([[[1, 2, 3, 4]]], np.uint8)
    view = pictures.View(opacities, 0.5, None)
    assert [(found.pixels.shape, found.pixel_mm) for found in pictures.enlarged([view], 2)] == [((2, 2, 4), 0.25)]
    assert pictures.in_colours(opacities).tolist() == [[[1, 2, 3]]]
    grey, colours = np.array([[9]], np.uint8), np.array([[[5, 6, 7]]], np.uint8)
    together = pictures.side_by_side([pictures.View(pixels, 0.5, None) for pixels in (opacities, colours, grey)])
    assert together.pixels[0, ::5].tolist() == [[1, 2, 3, 4], [5, 6, 7, 255], [9, 9, 9, 255]]


def test_labels_have_fixed_colours_and_zero_is_transparent():
    found = pictures.coloured(np.array([[0, 1, 2, 127, -1, 13]], np.int8))
    assert found[0, 0].tolist() == [0, 0, 0, 0]
    table = pictures.LABEL_COLOURS
    assert [tuple(pixel[:3]) for pixel in found[0, 1:]] == [table[0], table[1], table[6], table[10], table[0]]
    assert (found[0, 1:, 3] == 255).all()
    assert pictures.GAP_COLOUR not in table


def test_segments_lie_over_an_image_where_their_origin_says(tmp_path, formats, write_array):
    scan = write_array(tmp_path / "a.omni", np.zeros((4, 5, 6), np.int16), origin_mm=(1, 2, 3))
    labels = np.ones((2, 2, 2), np.uint8)
    above = write_array(tmp_path / "s.omni", labels, origin_mm=(3, 5, 5), kind="segments")
    with formats.reader(scan) as reader, formats.reader(above) as overlay:
        for axis, index, at in (("z", 2, (slice(3, 5), slice(2, 4))), ("y", 3, (slice(2, 4), slice(2, 4)))):
            view = pictures.slice_view(reader, axis, index, overlay=overlay)
            there = view.pixels.any(axis=2)
            expected = np.zeros_like(there)
            expected[at] = True
            np.testing.assert_array_equal(there, expected)
        assert not pictures.slice_view(reader, "z", 1, overlay=overlay).pixels.any()


def test_segments_that_reach_beyond_an_image_are_cut_at_its_sides(tmp_path, formats, write_array):
    labels = np.arange(1, 13, dtype=np.uint8).reshape(1, 3, 4)
    colours = np.rint(50 + np.array(pictures.LABEL_COLOURS).reshape(3, 4, 3) / 2)
    with formats.reader(write_array(tmp_path / "a.omni", np.full((1, 5, 6), 100, np.uint8))) as reader:
        for right, down in ((0, 0), (-1, -2), (4, 3), (1, 3), (-5, 0), (8, 0), (0, -5), (0, 7)):
            name = f"{right} {down}.omni"
            above = write_array(tmp_path / name, labels, origin_mm=(right, down, 0), kind="segments")
            with formats.reader(above) as overlay:
                found = pictures.slice_view(
                    reader, "z", choose=lambda values: pictures.Window(0, 255), overlay=overlay, step=2
                ).pixels
            # The image lies in the middle of a plane that has room for all of the segments.
            wide = np.full((20, 20, 3), 100.0)
            wide[7 + down : 10 + down, 7 + right : 11 + right] = colours
            np.testing.assert_array_equal(found, wide[7:12:2, 7:13:2], name)


@pytest.mark.parametrize(
    ("known", "message"),
    [({"spacing_mm": (1, 1, 2)}, "along z"), ({"origin_mm": (0.4, 0, 0)}, "between voxels"),
     ({"direction": (-1, 0, 0, 0, 1, 0, 0, 0, 1)}, "point elsewhere")],
)  # fmt: skip
def test_segments_of_another_grid_are_not_laid_over_an_image(tmp_path, formats, write_array, volume, known, message):
    scan = write_array(tmp_path / "a.omni", volume)
    above = write_array(tmp_path / "s.omni", volume, kind="segments", **known)
    with (
        formats.reader(scan) as reader,
        formats.reader(above) as overlay,
        pytest.raises(UsageError, match=message),
    ):
        pictures.slice_view(reader, "z", overlay=overlay)


def test_gaps_of_a_montage_have_a_colour_of_their_own(tmp_path, formats, write_array, volume):
    with formats.reader(write_array(tmp_path / "a.omni", volume)) as reader:
        view = pictures.side_by_side(pictures.montage_views(reader))
    gaps = (view.pixels == pictures.GAP_COLOUR).all(axis=2)
    greys = (view.pixels == view.pixels[..., :1]).all(axis=2)
    np.testing.assert_array_equal(gaps, ~greys)
    assert gaps.sum() == 7 * (8 + 8 + 7 + 8) - (7 * 8 + 6 * 8 + 6 * 7)


def sides(info):
    seen = []
    original = annotations.string_dots
    annotations.string_dots = lambda text, size: seen.append(text) or original(text, size)
    try:
        view = pictures.View(np.zeros((300, 400), np.uint8), 0.01, pictures.Window(0, 1), "z")
        annotations.annotated([view], info)
    finally:
        annotations.string_dots = original
    return seen


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, ["+y", "-y", "+x", "-x", "1 mm"]),
        *(({"format": name}, ["P", "A", "L", "R", "1 mm"]) for name in ("DICOM", "NIfTI", "NRRD", "MetaImage")),
        ({"direction": (-1, 0, 0, 0, 0, 1, 0, 1, 0)}, ["S", "I", "R", "L", "1 mm"]),
    ],
)
def test_sides_are_named_as_the_file_says_and_the_bar_is_round(describe_array, volume, known, expected):
    import attrs

    assert sides(attrs.evolve(describe_array(volume), **known)) == expected


def test_the_scale_bar_is_as_long_as_it_says(describe_array, volume):
    view = pictures.View(np.zeros((300, 400), np.uint8), 0.01, pictures.Window(0, 1), "z")
    below = annotations.with_scale_bar([view]).pixels[300:]
    ink = (below == annotations.INK).all(axis=2)
    longest = max(len(run) for row in ink for run in "".join("#" if dot else " " for dot in row).split())
    assert longest == 100


def test_annotations_cover_no_pixel(describe_array, volume):
    grey = RNG.integers(0, 255, (250, 260), np.uint8)
    view = annotations.annotated([pictures.View(grey, 0.01, pictures.Window(0, 1), "z")], describe_array(volume))
    windows = np.lib.stride_tricks.sliding_window_view(view.pixels[..., 0], (1, 260))
    begins = np.argwhere((windows[:, :, 0] == grey[0]).all(axis=2))
    assert len(begins) == 1
    row, column = begins[0]
    for channel in range(3):
        np.testing.assert_array_equal(view.pixels[row : row + 250, column : column + 260, channel], grey)


def test_a_flat_image_gives_a_picture(tmp_path, write_array, capsys):
    flat = write_array(tmp_path / "flat.omni", RNG.integers(0, 100, (5, 6), np.uint8), axes="XY")
    assert main(["image", "slice", str(flat), str(tmp_path / "a.png")]) == 0
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (6, 5)
    assert main(["image", "slice", str(flat), str(tmp_path / "all.png"), "--axis", "all"]) == 0
    assert main(["image", "slice", str(flat), str(tmp_path / "x.png"), "--axis", "x"]) == 2
    assert "flat" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.tif"])
def test_a_picture_is_what_its_name_says_or_is_refused(tmp_path, write_array, volume, capsys, name):
    path = write_array(tmp_path / "a.omni", volume)
    assert main(["image", "slice", str(path), str(tmp_path / name)]) == 2
    assert "PNG" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_pictures_in_colours_are_what_pillow_reads(tmp_path, write_array):
    from xfworker.adapters.images.png import write_png

    for depth in (3, 4):
        picture = RNG.integers(0, 255, (9, 11, depth), np.uint8)
        write_png(tmp_path / "a.png", picture, pixel_mm=0.01)
        read = Image.open(tmp_path / "a.png")
        np.testing.assert_array_equal(np.asarray(read), picture)
        assert read.info["dpi"][0] == pytest.approx(2540)


def test_a_window_is_stated_in_a_unit_that_falls(tmp_path, write_array, volume, capsys):
    from xfworker.domain.image.calibration import Calibration

    line = Calibration(unit_type="Depth", slope=-2.0, intercept=10.0)
    path = write_array(tmp_path / "a.omni", volume, calibrations=(line,))
    assert main(["image", "slice", str(path), str(tmp_path / "a.png"), "--window", "0:20", "--unit", "Depth"]) == 0
    shown = np.asarray(Image.open(tmp_path / "a.png"))
    expected = np.rint(np.clip((volume[3] * -2.0 + 10) / 20 * 255, 0, 255))
    np.testing.assert_array_equal(shown, expected)


def test_info_of_an_image_without_numbers_says_so(tmp_path, write_array, capsys):
    path = write_array(tmp_path / "a.omni", np.full((2, 3, 4), np.nan, np.float32))
    assert main(["image", "info", str(path)]) == 0
    assert "none of the 24 pixels is a number" in capsys.readouterr().out
    assert main(["image", "info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["statistics"] == {"pixels": 0, "not_numbers": 24}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_info_of_a_pipe_refuses_at_once(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.AIM")
    assert main(["image", "info", str(tmp_path / "pipe.AIM")]) == 1
    assert "pipe or a device" in capsys.readouterr().err


def test_info_shows_where_the_axes_point(tmp_path, write_array, volume, capsys):
    direction = (-1, 0, 0, 0, -1, 0, 0, 0, 1)
    path = write_array(tmp_path / "a.omni", volume, direction=direction)
    assert main(["image", "info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["direction"] == list(direction)
    assert main(["image", "info", str(path)]) == 0
    assert "direction" in capsys.readouterr().out


def test_values_in_a_unit_that_falls_keep_their_order(tmp_path, write_array, volume, capsys):
    from xfworker.domain.image.calibration import Calibration

    path = write_array(
        tmp_path / "a.omni", volume, calibrations=(Calibration(unit_type="Depth", slope=-2.0, intercept=10.0),)
    )
    assert main(["image", "info", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["statistics"]["calibrated"]["Depth"]
    depth = volume * -2.0 + 10
    assert (found["minimum"], found["maximum"]) == (depth.min(), depth.max())
    assert found["percentile_1"] <= found["percentile_50"] <= found["percentile_99"]
