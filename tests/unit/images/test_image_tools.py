"""Thresholding, cutting, masking, measuring and shrinking, against numpy on the whole array."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image as Picture

from xfworker.api.cli.main import main
from xfworker.api.facade import omni
from xfworker.domain.errors import ImageError, UsageError
from xfworker.domain.image.calibration import Calibration
from xfworker.services.images import blocks as blocks_module
from xfworker.services.images.downsampling import shrunk
from xfworker.services.images.statistics import NothingToCount

DENSITY = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.2, intercept=-390.0)
FALLING = Calibration(unit_type="Depth", unit_name="mm", slope=-0.5, intercept=100.0)
SPACING, ORIGIN = (0.05, 0.1, 0.2), (1.0, -2.0, 3.0)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Let a small volume have many blocks."""
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 3000)


@pytest.fixture
def scan(tmp_path, write_array, bone):
    path = write_array(
        tmp_path / "scan.omni", bone, spacing_mm=SPACING, origin_mm=ORIGIN, calibrations=(DENSITY, FALLING)
    )
    return omni.open_image(path)


@pytest.fixture
def part(tmp_path, write_array, bone):
    """A mask of a part of the scan, at its place: slices 2 to 9, rows 3 to 16, columns 5 to 25."""
    inside = (bone[2:9, 3:16, 5:25] > 1000).astype(np.uint8) + (bone[2:9, 3:16, 5:25] > 2500)
    origin = (1.0 + 5 * 0.05, -2.0 + 3 * 0.1, 3.0 + 2 * 0.2)
    path = write_array(tmp_path / "part.omni", inside, spacing_mm=SPACING, origin_mm=origin, kind="segments")
    whole = np.zeros(bone.shape, np.uint8)
    whole[2:9, 3:16, 5:25] = inside
    return omni.open_image(path), whole


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"lower": 1500}, lambda raw: raw >= 1500),
        ({"upper": 1499.5}, lambda raw: raw <= 1499.5),
        ({"lower": 500, "upper": 900}, lambda raw: (raw >= 500) & (raw <= 900)),
        ({"lower": -90, "unit": "density"}, lambda raw: raw >= 1500),
        ({"lower": -600, "upper": -150, "unit": "Depth"}, lambda raw: (raw >= 500) & (raw <= 1400)),
        ({"lower": 40_000}, lambda raw: raw > 40_000),
        ({"upper": 40_000}, lambda raw: raw <= 40_000),
        ({"lower": 0.2, "upper": 0.8}, lambda raw: (raw >= 0.2) & (raw <= 0.8)),
    ],
)
def test_a_threshold_takes_what_lies_between_both_limits_included(scan, tmp_path, bone, limits, expected):
    made = scan.threshold(tmp_path / "s.omni", label="bone", **limits)
    np.testing.assert_array_equal(made.pixels, expected(bone).astype(np.uint8))
    assert (made.kind, made.labels, made.pixel_calibrations) == ("segments", [{"value": 1, "name": "bone"}], [])
    assert (made.spacing_mm, made.origin_mm) == (SPACING, ORIGIN)


def test_a_mask_is_one_of_ipl(scan, tmp_path, bone):
    for name in ("m.omni", "m.AIM"):
        made = scan.threshold(tmp_path / name, lower=1500, to="mask")
        np.testing.assert_array_equal(np.asarray(made.pixels), np.where(bone >= 1500, 127, 0).astype(np.int8))
        assert made.kind == "segments"


def test_what_is_not_a_number_belongs_to_nothing(tmp_path, write_array):
    values = np.array([[[np.nan, np.inf, -np.inf, 1, 2]]], np.float32)
    image = omni.open_image(write_array(tmp_path / "a.omni", values))
    assert image.threshold(tmp_path / "s.omni", upper=1.5).pixels[:].tolist() == [[[0, 0, 1, 1, 0]]]
    assert image.threshold(tmp_path / "t.omni", lower=1.5).pixels[:].tolist() == [[[0, 1, 0, 0, 1]]]


@pytest.mark.parametrize("limits", [{}, {"lower": 2, "upper": 1}, {"lower": float("nan")}, {"lower": 1, "to": "x"}])
def test_limits_that_make_no_sense_are_refused(scan, tmp_path, limits):
    with pytest.raises(UsageError):
        scan.threshold(tmp_path / "s.omni", **limits)
    assert not (tmp_path / "s.omni").exists()


@pytest.mark.parametrize(
    "box",
    [
        {"pos": (5, 3, 2), "size": (20, 13, 7)},
        {"pos_mm": (1.25, -1.7, 3.4), "size_mm": (1.0, 1.3, 1.4)},
        {"pos_mm": (1.26, -1.72, 3.45), "size": (20, 13, 7)},
    ],
)
def test_a_box_keeps_its_place(scan, tmp_path, bone, box):
    made = scan.crop(tmp_path / "voi.omni", **box)
    np.testing.assert_array_equal(made.pixels, bone[2:9, 3:16, 5:25])
    assert made.origin_mm == pytest.approx((1.25, -1.7, 3.4))
    assert made.pixel_calibrations == [DENSITY, FALLING]


def test_a_box_of_turned_axes_keeps_its_place(tmp_path, write_array, bone):
    turned = (0, -1, 0, 1, 0, 0, 0, 0, 1)  # x points back, y to the right
    path = write_array(tmp_path / "t.omni", bone, spacing_mm=SPACING, origin_mm=ORIGIN, direction=turned)
    made = omni.open_image(path).crop(tmp_path / "voi.omni", pos=(5, 3, 2), size=(4, 4, 4))
    matrix = np.array(turned).reshape(3, 3)
    expected = np.array(ORIGIN) + matrix @ (np.array([5, 3, 2]) * SPACING)
    assert made.origin_mm == pytest.approx(tuple(expected))
    again = omni.open_image(path).crop(tmp_path / "mm.omni", pos_mm=expected, size=(4, 4, 4))
    np.testing.assert_array_equal(again.pixels, bone[2:6, 3:7, 5:9])


def test_a_box_of_an_aim_keeps_the_position_in_its_header(tmp_path, write_array, bone, formats):
    path = write_array(tmp_path / "a.AIM", bone, spacing_mm=(0.5, 0.5, 0.5), origin_mm=(5.0, 10.0, 15.0))
    made = omni.open_image(path).crop(tmp_path / "voi.AIM", pos=(5, 3, 2), size=(4, 5, 6))
    assert formats.describe(tmp_path / "voi.AIM").header["pos"] == [15, 23, 32]
    np.testing.assert_array_equal(made.pixels, bone[2:8, 3:8, 5:9])


@pytest.mark.parametrize(
    "box",
    [{}, {"pos": (-1, 0, 0)}, {"size": (31, 1, 1)}, {"pos": (1, 1, 1), "pos_mm": (1, 1, 1)}, {"size": (0, 1, 1)},
     {"pos": (1, 2)}, {"pos_mm": (0, 0, 0)}, {"pos": (0.5, 1, 1)}],
)  # fmt: skip
def test_boxes_that_are_not_inside_are_refused(scan, tmp_path, box):
    with pytest.raises(UsageError):
        scan.crop(tmp_path / "voi.omni", **box)


def test_a_mask_of_a_part_is_applied_at_its_place(scan, part, tmp_path, bone):
    mask, whole = part
    made = scan.mask(tmp_path / "a.omni", mask)
    np.testing.assert_array_equal(made.pixels, np.where(whole, bone, 0))
    made = scan.mask(tmp_path / "b.omni", mask, label=2, outside=-390.2, unit="Density")
    np.testing.assert_array_equal(made.pixels, np.where(whole == 2, bone, -1))
    assert made.pixel_calibrations == [DENSITY, FALLING]


def test_a_mask_that_reaches_beyond_the_image_is_cut(scan, tmp_path, write_array, bone):
    ones = np.ones((30, 30, 4), np.uint8)
    origin = (1.0 - 2 * 0.05, -2.0 - 4 * 0.1, 3.0 - 6 * 0.2)
    mask = omni.open_image(write_array(tmp_path / "m.omni", ones, spacing_mm=SPACING, origin_mm=origin))
    expected = np.zeros_like(bone)
    expected[:, :, :2] = bone[:, :, :2]
    np.testing.assert_array_equal(scan.mask(tmp_path / "a.omni", mask).pixels, expected)


@pytest.mark.parametrize(("outside", "unit"), [(0.5, None), (40_000, None), (1e9, "Density"), (float("inf"), None)])
def test_a_value_that_pixels_do_not_hold_is_refused(scan, part, tmp_path, outside, unit):
    with pytest.raises(UsageError):
        scan.mask(tmp_path / "a.omni", part[0], outside=outside, unit=unit)


def test_a_mask_of_another_grid_is_refused(scan, tmp_path, write_array, bone):
    shifted = omni.open_image(
        write_array(tmp_path / "m.omni", (bone > 0).astype(np.uint8), spacing_mm=SPACING, origin_mm=(1.02, -2, 3))
    )
    with pytest.raises(UsageError, match="between voxels"):
        scan.mask(tmp_path / "a.omni", shifted)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32])
def test_statistics_inside_a_mask_are_numpys(tmp_path, write_array, part, bone, dtype):
    mask, whole = part
    values = bone.astype(dtype)
    path = write_array(
        tmp_path / "a.omni", values, spacing_mm=SPACING, origin_mm=ORIGIN, calibrations=(DENSITY, FALLING)
    )
    image = omni.open_image(path)
    for label, inside in ((None, whole > 0), (2, whole == 2)):
        found = image.statistics(mask=mask, label=label)
        assert found.count == inside.sum()
        assert found.mean == pytest.approx(values[inside].mean(dtype=float))
        assert found.standard_deviation == pytest.approx(values[inside].std(dtype=float))
        depth = image.statistics(mask=mask, label=label, unit="Depth")
        expected = values[inside] * -0.5 + 100
        assert (depth.minimum, depth.maximum) == pytest.approx((expected.min(), expected.max()))
        assert depth.mean == pytest.approx(expected.mean())
        assert depth.percentile(10) == pytest.approx(np.percentile(expected, 10, method="inverted_cdf"), abs=0.6)
    with pytest.raises(NothingToCount, match=r"part\.omni"):
        image.statistics(mask=mask, label=9)
    with pytest.raises(UsageError):
        image.statistics(label=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
@pytest.mark.parametrize("options", [{}, {"bins": 7}, {"bins": 13, "lower": 20, "upper": 200.5}])
def test_a_histogram_is_numpys(tmp_path, write_array, bone, dtype, options):
    values = (bone % 251).astype(dtype)
    found = omni.open_image(write_array(tmp_path / "a.omni", values)).histogram(**options)
    ends = (options.get("lower", values.min()), options.get("upper", values.max()))
    counts, edges = np.histogram(values.astype(float), options.get("bins", 256), ends)
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_allclose(found.edges, edges)
    assert found.beyond == values.size - counts.sum()


def test_a_histogram_in_a_unit_inside_a_mask(scan, part, bone):
    mask, whole = part
    found = scan.histogram(bins=20, unit="Depth", mask=mask)
    counts, edges = np.histogram(bone[whole > 0] * -0.5 + 100, 20)
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_allclose(found.edges, edges)
    assert found.unit == "Depth [mm]"
    lines = list(csv.reader(io.StringIO(found.to_csv())))
    assert lines[0] == ["from Depth [mm]", "to Depth [mm]", "count"]
    assert [int(line[2]) for line in lines[1:]] == counts.tolist()
    assert found.to_picture().shape[2] == 3
    for wrong in ({"bins": 0}, {"lower": 3, "upper": 1}, {"bins": 10**6}):
        with pytest.raises(UsageError):
            scan.histogram(**wrong)


@pytest.mark.parametrize("factors", [2, (3, 2, 4), (1, 1, 13)])
def test_downsampling_takes_means_of_whole_blocks(scan, tmp_path, bone, factors):
    made = scan.downsample(tmp_path / "small.omni", factors)
    x, y, z = (factors,) * 3 if isinstance(factors, int) else factors
    depth, rows, columns = bone.shape[0] // z, bone.shape[1] // y, bone.shape[2] // x
    cells = bone[: depth * z, : rows * y, : columns * x].reshape(depth, z, rows, y, columns, x)
    np.testing.assert_array_equal(made.pixels, np.rint(cells.mean(axis=(1, 3, 5))))
    assert made.spacing_mm == pytest.approx((0.05 * x, 0.1 * y, 0.2 * z))
    middle = (1 + 0.05 * (x - 1) / 2, -2 + 0.1 * (y - 1) / 2, 3 + 0.2 * (z - 1) / 2)
    assert made.origin_mm == pytest.approx(middle)
    assert (made.pixel_type, made.pixel_calibrations) == ("int16", [DENSITY, FALLING])


def test_of_labels_the_commonest_stays():
    labels = np.array([[[1, 1, 0, 7], [1, 7, 7, 7]], [[1, 0, 0, 0], [7, 7, 0, 0]]], np.uint8)
    assert shrunk(labels, (2, 2, 2), is_labels=True).tolist() == [[[1, 0]]]
    assert shrunk(labels, (2, 2, 1), is_labels=True).tolist() == [[[1, 7]], [[7, 0]]]
    assert shrunk(labels[1:, :, :2], (2, 2, 1), is_labels=True).tolist() == [[[7]]]
    assert shrunk(labels[:, :, 1:3], (2, 2, 1), is_labels=True).tolist() == [[[7]], [[0]]]
    assert shrunk(np.array([[[9, 3, 3, 9]]]), (4, 1, 1), is_labels=True).tolist() == [[[3]]]


@pytest.mark.parametrize("factors", [(2, 3, 2), (4, 1, 5), (1, 2, 1)])
def test_labels_are_made_fewer_block_after_block(tmp_path, write_array, factors):
    labels = np.random.default_rng(2).integers(0, 3, (13, 21, 30), np.uint8)  # 630 bytes a slice: 4 in a block
    path = write_array(tmp_path / "l.omni", labels, kind="segments")
    x, y, z = factors
    depth, rows, columns = 13 // z, 21 // y, 30 // x
    cells = labels[: depth * z, : rows * y, : columns * x].reshape(depth, z, rows, y, columns, x)
    counts = [(cells == label).sum(axis=(1, 3, 5)) for label in range(3)]
    made = omni.open_image(path).downsample(tmp_path / "small.omni", factors)
    np.testing.assert_array_equal(made.pixels, np.argmax(counts, axis=0))


def test_means_of_fractions_are_not_rounded(tmp_path, write_array):
    image = omni.open_image(write_array(tmp_path / "f.omni", np.array([[[0.5, 0.25]], [[1, 2]]], np.float32)))
    assert image.downsample(tmp_path / "small.omni", (2, 1, 2)).pixels[:].tolist() == [[[0.9375]]]
    assert shrunk(np.array([[[0.5, 0.25]]]), (2, 1, 1), is_labels=False).tolist() == [[[0.375]]]


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="no wider float is to be had there")
@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_means_of_integers_of_64_bits_are_exact(dtype):
    large = 2**62 + np.array([[[1, 3]]], dtype)
    assert shrunk(large, (2, 1, 1), is_labels=False).tolist() == [[[2**62 + 2]]]


@pytest.mark.parametrize("factors", [0, 1, (1, 1), (2, 2, 50), (1.5, 2, 2), True])
def test_factors_that_make_no_sense_are_refused(scan, tmp_path, factors):
    with pytest.raises(UsageError):
        scan.downsample(tmp_path / "small.omni", factors)


def test_tools_never_write_over_what_they_read(scan, part):
    before = scan.pixels_paths()[0].read_bytes()
    with pytest.raises(UsageError, match="would be replaced"):
        scan.threshold(scan.metadata_path, lower=1)
    with pytest.raises(UsageError, match="would be replaced"):
        scan.mask(part[0].metadata_path, part[0])
    assert scan.pixels_paths()[0].read_bytes() == before


@pytest.mark.parametrize("encoding", ["binCmp", "charCmp", "bit8", "int8"])
def test_a_mask_of_ipl_opens_as_segments_and_goes_back_unchanged(tmp_path, write_array, formats, bone, encoding):
    from xfworker.services.images.conversion import convert

    scan = write_array(tmp_path / "scan.AIM", bone, calibrations=(DENSITY,))
    mask = np.where(bone > 1500, 127, 0).astype(np.int8)
    with formats.reader(scan) as reader:
        source = reader.info.source
    path = write_array(tmp_path / "mask.AIM", mask, encoding=encoding, source=source, calibrations=(DENSITY,))
    image = omni.open_image(path)
    assert (image.kind, image.pixel_calibrations) == ("segments", [])
    convert(formats, path, tmp_path / "mask.omni")
    convert(formats, tmp_path / "mask.omni", tmp_path / "again.AIM")
    assert (tmp_path / "again.AIM").read_bytes() == path.read_bytes()


def test_a_contour_file_opens_as_segments(tmp_path, write_array, bone):
    mask = np.where(bone > 1500, 127, 0).astype(np.int8)
    assert omni.open_image(write_array(tmp_path / "m.gobj", mask)).kind == "segments"


def test_a_notebook_shows_planes_and_facts(scan, tmp_path):
    (tmp_path / "n.png").write_bytes(scan._repr_png_())
    with Picture.open(tmp_path / "n.png") as picture:
        assert picture.mode == "RGB"
    html = scan._repr_html_()
    assert "30 x 21 x 13 int16" in html
    assert "mg HA/ccm" in html
    assert "data:image/png;base64," in html
    other = omni.create_image(tmp_path / "c.omni", size=(3, 4, 5, 6), pixel_type="uint8", axes="CXYT")
    other.pixels[:] = 1
    assert other._repr_png_() is None
    assert "3 x 4 x 5 x 6" in other._repr_html_()


def test_a_script_writes_slices(scan, part, tmp_path, bone):
    scan.slice(tmp_path / "z.png", index=3, window=(0, 3000))
    with Picture.open(tmp_path / "z.png") as picture:
        assert picture.size == (30, 42)
    scan.slice(tmp_path / "all.png", axis="all", overlay=part[0])
    for wrong in ({"axis": "w"}, {"axis": "all", "index": 1}, {"window": (2, 1)}):
        with pytest.raises(UsageError):
            scan.slice(tmp_path / "w.png", **wrong)
    with pytest.raises(UsageError, match="PNG"):
        scan.slice(tmp_path / "w.jpg")


def test_the_commands_do_the_same(scan, part, tmp_path, bone, read_array, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, whole = part

    def run(*words):
        assert main(["image", *words]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    assert run("threshold", "scan.omni", "s.omni", "--lower", "-90", "--unit", "Density").split() == ["s.omni", "s.raw"]
    np.testing.assert_array_equal(read_array(tmp_path / "s.omni"), bone >= 1500)
    run("crop", "scan.omni", "c.omni", "--pos", "5", "3", "2", "--size", "20", "13", "7")
    run("crop", "scan.omni", "d.omni", "--pos-mm", "1.25", "-1.7", "3.4", "--size-mm", "1", "1.3", "1.4")
    for name in ("c.omni", "d.omni"):
        np.testing.assert_array_equal(read_array(tmp_path / name), bone[2:9, 3:16, 5:25])
    run("mask", "scan.omni", "part.omni", "m.omni", "--outside", "-5")
    np.testing.assert_array_equal(read_array(tmp_path / "m.omni"), np.where(whole, bone, -5))
    assert json.loads(run("downsample", "scan.omni", "h.omni", "2", "--json"))["image"]["size"] == [15, 10, 6]
    run("downsample", "scan.omni", "i.omni", "3", "2", "1")
    found = json.loads(run("statistics", "scan.omni", "--mask", "part.omni", "--unit", "Density", "--json"))
    expected = bone[whole > 0] * 0.2 - 390
    assert found["calibrated"]["Density"]["mean"] == pytest.approx(expected.mean())
    assert found["volume_mm3"] == pytest.approx(expected.size * 0.05 * 0.1 * 0.2)
    assert "mg HA/ccm" in run("statistics", "scan.omni")
    assert run("histogram", "scan.omni", "--bins", "5").splitlines()[0] == "from raw,to raw,count"
    assert run("histogram", "scan.omni", "h.csv", "h.png", "--unit", "Density").split() == ["h.csv", "h.png"]
    assert len(json.loads(run("histogram", "scan.omni", "--bins", "5", "--json"))["counts"]) == 5
    run("slice", "scan.omni", "o.png", "--overlay", "part.omni", "--axis", "all")


def test_what_a_format_does_not_hold_is_named(scan, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["image", "downsample", "scan.omni", "small.AIM", "2", "--json"]) == 0
    streams = capsys.readouterr()
    (lost,) = [line for line in json.loads(streams.out)["losses"] if "origin" in line]
    assert f"not in small.AIM: {lost}" in streams.err
    assert main(["image", "threshold", "scan.omni", "m.AIM", "--lower", "1"]) == 0
    assert "label" not in capsys.readouterr().err
    assert main(["image", "threshold", "scan.omni", "n.AIM", "--lower", "1", "--label", "bone"]) == 0
    assert "label" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["threshold", "scan.omni", "x.omni"], 2, "limit"),
        (["threshold", "scan.omni", "x.omni", "--lower", "1", "--unit", "HU"], 1, "no calibration to HU"),
        (["crop", "scan.omni", "x.omni"], 2, "position or a size"),
        (["crop", "scan.omni", "x.omni", "--pos", "100", "0", "0"], 2, "not inside"),
        (["mask", "scan.omni", "absent.omni", "x.omni"], 1, "absent.omni"),
        (["downsample", "scan.omni", "x.omni"], 2, "Factors"),
        (["statistics", "scan.omni", "--label", "3"], 2, "--mask"),
        (["histogram", "scan.omni", "x.jpg"], 2, ".png"),
        (["histogram", "scan.omni", "scan.raw"], 2, "scan.raw"),
        (["downsample", "scan.omni", "scan.omni", "2"], 2, "would be replaced"),
    ],
)
def test_wrong_arguments_end_in_a_sentence(scan, tmp_path, monkeypatch, capsys, words, code, message):
    monkeypatch.chdir(tmp_path)
    assert main(["image", *words]) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.omni", "scan.raw"]


def test_an_image_without_the_unit_says_which_it_has(scan, tmp_path):
    for call in (scan.statistics, scan.histogram):
        with pytest.raises(ImageError, match="it has Density, Depth"):
            call(unit="HU")


@pytest.mark.parametrize("size_mm", [(float("nan"), 1, 1), (1, float("inf"), 1)])
def test_edges_of_a_box_are_finite(scan, tmp_path, size_mm):
    with pytest.raises(UsageError, match="three finite numbers of mm"):
        scan.crop(tmp_path / "a.omni", size_mm=size_mm)


@pytest.mark.parametrize(
    "words",
    [
        ["crop", "scan.omni", "a.omni", "--pos", "1.5", "1", "1"],
        ["downsample", "scan.omni", "a.omni", "1.5"],
        ["slice", "scan.omni", "a.png", "--index", "1.5"],
        ["histogram", "scan.omni", "--bins", "9.5"],
        ["mask", "scan.omni", "scan.omni", "a.omni", "--label", "0.6"],
    ],
)
def test_fractions_are_not_rounded_to_integers_silently(scan, tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    assert main(["image", *words]) == 2
    assert "int" in capsys.readouterr().err
    assert not list(tmp_path.glob("a.*"))


def test_places_in_mm_hold_where_axes_are_not_at_right_angles(tmp_path, write_array, bone):
    skewed = (1, 0.6, 0, 0, 0.8, 0, 0, 0, 1)
    image = omni.open_image(write_array(tmp_path / "a.omni", bone, spacing_mm=SPACING, direction=skewed))
    box = image.crop(tmp_path / "box.omni", pos=(2, 3, 4), size=(5, 6, 7))
    again = image.crop(tmp_path / "again.omni", pos_mm=box.info.origin_mm, size=(5, 6, 7))
    np.testing.assert_array_equal(again.pixels, bone[4:11, 3:9, 2:7])
    inside = image.mask(tmp_path / "inside.omni", box.threshold(tmp_path / "all.omni", lower=-40000), outside=-1)
    expected = np.full_like(bone, -1)
    expected[4:11, 3:9, 2:7] = bone[4:11, 3:9, 2:7]
    np.testing.assert_array_equal(inside.pixels, expected)


def test_axes_in_one_plane_cannot_be_right(tmp_path, write_array, bone):
    with pytest.raises(ImageError, match="cannot be right"):
        write_array(tmp_path / "a.omni", bone, direction=(1, 1, 0, 0, 0, 0, 0, 0, 1))
