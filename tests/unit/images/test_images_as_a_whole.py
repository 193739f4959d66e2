"""Statistics, thresholds, slices, converting and what IPL gets."""

from fractions import Fraction

import numpy as np
import pytest

from xfworker.api.facade import omni
from xfworker.domain.errors import ImageError, UnsupportedImage, UsageError
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.deidentify import Deidentified, deidentified_log, deidentify
from xfworker.domain.image.pixel_type import PixelType
from xfworker.services.images import pictures, slices
from xfworker.services.images import statistics as statistics_module
from xfworker.services.images.conversion import convert
from xfworker.services.images.statistics import statistics
from xfworker.services.images.thresholding import threshold
from xfworker.services.script.ipl_image import IplImages

DENSITY = Calibration(unit_type="Density", slope=0.5, intercept=-100)


def thresholded(formats, source, target, **options):
    with formats.reader(source) as reader:
        return threshold(formats, reader, target, **options)


@pytest.mark.parametrize("code", ["i1", "u1", "i2", "u2", "i4", "f4", "f8"])
def test_statistics_are_numpys(tmp_path, write_array, formats, code):
    array = np.random.default_rng(5).normal(60, 20, (7, 30, 40)).astype(code)
    path = write_array(tmp_path / "a.omni", array)
    with formats.reader(path) as reader:
        found = statistics(reader)
    assert (found.count, found.minimum, found.maximum) == (array.size, array.min(), array.max())
    assert found.mean == pytest.approx(array.mean(dtype=np.float64))
    assert found.standard_deviation == pytest.approx(array.std(dtype=np.float64))
    assert found.nonzero == np.count_nonzero(array)
    step = 0 if code in ("i1", "u1", "i2", "u2") else (found.maximum - found.minimum) / 65535
    for percent in (1, 50, 99):
        expected = np.percentile(array, percent, method="inverted_cdf")
        assert found.percentile(percent) == pytest.approx(expected, abs=step + 1e-9)


def test_values_that_are_no_numbers_are_left_out_and_counted(tmp_path, write_array, formats):
    array = np.array([[[1, np.nan, 3, np.inf]]], np.float32)
    with formats.reader(write_array(tmp_path / "a.omni", array)) as reader:
        found = statistics(reader)
    assert (found.count, found.not_numbers, found.mean) == (2, 2, 2.0)
    with formats.reader(write_array(tmp_path / "b.omni", array[..., 1:2])) as reader, pytest.raises(ImageError):
        statistics(reader)


def test_the_largest_numbers_have_statistics_too(tmp_path, write_array, formats):
    array = np.array([[[1.7e308, -1.7e308, 0]]])
    with formats.reader(write_array(tmp_path / "a.omni", array)) as reader:
        found = statistics(reader)
    assert (found.minimum, found.maximum, found.mean) == (-1.7e308, 1.7e308, 0)
    assert abs(found.percentile(50)) < 1.7e308 / 30000
    assert found.percentile(100) == 1.7e308


def test_a_threshold_in_density_makes_segments(tmp_path, write_array, read_array, formats, bone):
    scan = write_array(tmp_path / "scan.AIM", bone, calibrations=(DENSITY,))
    density = formats.describe(scan).calibration("Density")
    thresholded(formats, scan, tmp_path / "s.omni", lower=500, unit_type="density", label="bone")
    expected = bone >= density.calibrated_to_raw(500)
    np.testing.assert_array_equal(read_array(tmp_path / "s.omni"), expected)
    thresholded(formats, scan, tmp_path / "s.AIM", lower=500, upper=900, unit_type="Density")
    info = formats.describe(tmp_path / "s.AIM")
    assert (info.encoding, info.pixel_type) == ("binCmp", PixelType.INT8)
    expected &= bone <= density.calibrated_to_raw(900)
    np.testing.assert_array_equal(read_array(tmp_path / "s.AIM"), expected * np.int8(127))
    with pytest.raises(ImageError, match="no calibration to HU; it has Density"):
        thresholded(formats, scan, tmp_path / "t.omni", lower=1, unit_type="HU")
    with pytest.raises(UsageError):
        thresholded(formats, scan, tmp_path / "t.omni")


@pytest.mark.parametrize("suffix", [".AIM", ".omni"])
def test_slices_are_the_arrays_own(tmp_path, write_array, formats, bone, suffix):
    with formats.reader(write_array(tmp_path / f"a{suffix}", bone)) as reader:
        np.testing.assert_array_equal(slices.plane(reader, "z", 3), bone[3])
        np.testing.assert_array_equal(slices.plane(reader, "y", -1), bone[:, -1])
        np.testing.assert_array_equal(slices.plane(reader, "x"), bone[:, :, 15])
        with pytest.raises(UsageError, match="0 to 12"):
            slices.plane(reader, "z", 13)
        together = pictures.side_by_side(pictures.montage_views(reader))
        assert together.pixels.shape == (21, 30 + 30 + 21 + 8, 3)
    levels = pictures.grey(np.array([[0, 50, 100, 200]]), pictures.Window(0, 100))
    assert levels.tolist() == [[0, 128, 255, 255]]


def test_types_are_converted_only_when_every_value_fits(tmp_path, write_array, read_array, formats):
    fractions = write_array(tmp_path / "f.omni", np.array([[[0.4, 1.6, -2.5]]], np.float64))
    convert(formats, fractions, tmp_path / "i.omni", pixel_type=PixelType.INT8)
    assert read_array(tmp_path / "i.omni").tolist() == [[[0, 2, -2]]]
    with pytest.raises(UnsupportedImage, match="do not fit uint8"):
        convert(formats, fractions, tmp_path / "u.omni", pixel_type=PixelType.UINT8)
    large = write_array(tmp_path / "l.omni", np.array([[[2**24 + 1]]], np.int32))
    with pytest.raises(UnsupportedImage, match="exact"):
        convert(formats, large, tmp_path / "x.omni", pixel_type=PixelType.FLOAT32)
    with pytest.raises(UnsupportedImage, match="float64"):
        convert(formats, fractions, tmp_path / "x.AIM")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".omni", ".omni", ".omni", ".raw", ".raw", ".raw"]


def test_a_conversion_tells_what_the_file_came_to_say(tmp_path, write_array, formats, bone):
    source = write_array(tmp_path / "a.omni", bone, spacing_mm=(0.5, 0.5, 0.5), origin_mm=(0.6, 0, 0))
    done = convert(formats, source, tmp_path / "a.AIM")
    assert (done.target.origin_mm, done.target.header["pos"]) == ((0.5, 0, 0), [1, 0, 0])
    assert done.target == formats.describe(tmp_path / "a.AIM")


def test_a_file_is_never_converted_to_itself(tmp_path, write_array, formats, bone):
    path = write_array(tmp_path / "a.AIM", bone)
    with pytest.raises(UsageError, match="itself"):
        convert(formats, path, path)
    header = write_array(tmp_path / "b.mhd", bone)
    with pytest.raises(UsageError, match=r"b\.raw"):
        convert(formats, header, tmp_path / "b.omni")


@pytest.mark.parametrize(("first", "second"), [("s.omni", "s.mhd"), ("s.mhd", "s.omni"), ("s.vgi", "s.VGI")])
def test_no_file_of_the_source_is_replaced(tmp_path, write_array, read_array, formats, bone, first, second):
    source = write_array(tmp_path / first, bone)
    if (tmp_path / second).exists():  # on a disk that takes both for one name
        with pytest.raises(UsageError, match="itself"):
            convert(formats, source, tmp_path / second, pixel_type=PixelType.FLOAT32)
        np.testing.assert_array_equal(read_array(source), bone)
        return
    if second.lower() == first:
        (tmp_path / "s.VGI").write_text("{volume1}")
    with pytest.raises(UsageError, match="would be replaced"):
        convert(formats, source, tmp_path / second, pixel_type=PixelType.FLOAT32)
    np.testing.assert_array_equal(read_array(source), bone)
    if second.endswith("omni"):
        with pytest.raises(UsageError, match="would be replaced"):
            thresholded(formats, source, tmp_path / second, lower=0)
        np.testing.assert_array_equal(read_array(source), bone)


def test_a_document_never_makes_its_own_scan_vanish(tmp_path, write_array, read_array, formats, bone):
    omni.open_image(write_array(tmp_path / "scan.aim", bone)).save()
    with pytest.raises(UsageError, match=r"scan\.aim would be replaced"):
        convert(formats, tmp_path / "scan.omni", tmp_path / "scan.aim", pixel_type=PixelType.FLOAT32)
    np.testing.assert_array_equal(read_array(tmp_path / "scan.omni"), bone)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.aim", "scan.omni"]


def test_the_person_leaves_the_log_and_nothing_else_moves(tmp_path, formats, write_array, bone):
    log = (
        "Original file                 DK0:[MICROCT.DATA.00000062.00001080]C0001021.ISQ\n"
        "Patient Name                  Jürg Müßig                                        \n"
        "Index Patient                                    2567\n"
        "Index Measurement                               12778\n"
        "Scanner ID                                       3401\n\0"
    )
    blank, removed = deidentified_log(log)
    assert len(blank) == len(log)
    assert removed == [
        f"processing log: {key}" for key in ("Original file", "Patient Name", "Index Patient", "Index Measurement")
    ]
    for secret in ("62", "1080", "Jürg", "2567", "12778"):
        assert secret not in blank
    assert "3401" in blank
    image = omni.create_image(tmp_path / "a.omni", size=(30, 21, 13), pixel_type="int16")
    image.metadata["source"] = {"processing_log": log}
    image.pixels = bone
    image.save()
    done = convert(formats, tmp_path / "a.omni", tmp_path / "b.AIM", without_person=True)
    assert len(done.removed) == 4
    assert b"2567" not in (tmp_path / "b.AIM").read_bytes()
    convert(formats, tmp_path / "a.omni", tmp_path / "c.AIM")
    assert b"2567" in (tmp_path / "c.AIM").read_bytes()


def test_the_person_leaves_what_a_scanner_stated_and_only_what_was_there_is_named(describe_array, bone):
    scan = [["Patient Name", "Jürg"], ["Index Patient", 2567], ["Index Measurement", 0], ["Original file"], "odd", []]
    info = describe_array(
        bone,
        header={"name": "Jürg", "patient_index": 2567, "index_measurement": 0, "site": 4},
        source={"scan": scan, "original_filename": "C0001021.ISQ"},
    )
    done = deidentify(info)
    assert done.info.header == {"name": "", "patient_index": 0, "index_measurement": 0, "site": 4}
    emptied = [["Patient Name", ""], ["Index Patient", 0], *scan[2:]]
    assert done.info.source == {"scan": emptied, "deidentified": True}
    assert done.removed == (
        "scan parameters: Patient Name", "scan parameters: Index Patient", "array header: name",
        "array header: patient_index", "original file name",
    )  # fmt: skip
    again = deidentify(done.info)
    assert (again.info, again.removed) == (done.info, ())


def test_an_image_without_a_person_stays_as_it_is(describe_array, bone):
    for known in ({}, {"source": {}}):
        info = describe_array(bone, **known)
        assert deidentify(info) == Deidentified(info, ())
    assert deidentified_log("Patient Name\nIndex Patient    \0\n") == ("Patient Name\nIndex Patient    \0\n", [])


@pytest.fixture
def give_ipl(tmp_path, formats):
    images = IplImages(formats)

    def give(path, **options):
        return images.readable_file(path) or images.convert(path, lambda: tmp_path / "for_ipl.AIM", **options)

    return give


def test_ipl_gets_its_own_files_as_they_are(tmp_path, write_array, give_ipl, bone):
    for name in ("a.AIM", "a.isq"):
        path = write_array(tmp_path / name, bone)
        assert give_ipl(path) == path


def test_ipl_gets_the_file_that_an_omni_points_into(tmp_path, write_array, give_ipl, read_array, bone):
    aim = write_array(tmp_path / "a.AIM", bone)
    mask = write_array(tmp_path / "m.AIM", (bone > 0).astype(np.int8), encoding="binCmp")
    for path in (aim, mask):
        image = omni.open_image(path)
        image.save()
        assert give_ipl(image.metadata_path) == path
    image.spacing_mm = (0.5, 0.5, 0.5)
    image.save()
    other = give_ipl(image.metadata_path)
    assert other != mask
    np.testing.assert_array_equal(read_array(other), bone > 0)


def test_ipl_gets_an_aim_of_anything_else(tmp_path, write_array, give_ipl, formats, bone):
    labels = write_array(tmp_path / "s.omni", (bone > 0).astype(np.uint8), kind="segments")
    assert formats.describe(give_ipl(labels)).pixel_type is PixelType.INT8
    levels = write_array(tmp_path / "u.omni", np.full((2, 3, 4), 40_000, np.uint16))
    assert formats.describe(give_ipl(levels)).pixel_type is PixelType.INT32
    fractions = write_array(tmp_path / "f.nii", np.full((2, 3, 4), 0.5, np.float64))
    assert formats.describe(give_ipl(fractions)).pixel_type is PixelType.FLOAT32
    (tmp_path / "t.txt").write_text("no image")
    with pytest.raises(UnsupportedImage, match="no image of a known format"):
        give_ipl(tmp_path / "t.txt")


def test_vms_versions_in_names_do_not_matter(tmp_path, write_array, formats, bone):
    path = write_array(tmp_path / "A.AIM;1", bone)
    assert formats.describe(path).format == "AIM"
    assert omni.open_image(path).metadata_path.name == "A.omni"
    with pytest.raises(UnsupportedImage, match="known by this suffix"):
        convert(formats, path, tmp_path / "A.xyz")


@pytest.mark.parametrize("name", ["a.mha", "a.nii", "a.omni", "a.AIM", "a.ome.zarr"])
def test_a_stated_spacing_is_never_overridden_silently(tmp_path, formats, write_array, bone, name):
    source = write_array(tmp_path / name, bone, spacing_mm=(0.5, 0.5, 0.5))
    done = convert(formats, source, tmp_path / "b.AIM", spacing_mm=(0.25, 0.25, 0.5))
    assert done.target.spacing_mm == (0.25, 0.25, 0.5)
    assert done.source.assumptions == (
        "states a spacing of 0.5 x 0.5 x 0.5 mm; 0.25 x 0.25 x 0.5 mm is taken, as it was asked for",
    )
    assert convert(formats, source, tmp_path / "c.AIM", spacing_mm=(0.5, 0.5, 0.5)).source.assumptions == ()


@pytest.mark.parametrize(
    ("value", "fits"), [(2**53, True), (2**53 + 1, False), (-(2**63), True), (1 - 2**63, False), (2**62 + 2**9, False)]
)
def test_an_integer_beyond_the_digits_of_a_float_is_refused_and_not_rounded(
    tmp_path, write_array, formats, value, fits
):
    source = write_array(tmp_path / "a.omni", np.array([[[value, 0]]], np.int64))
    target = tmp_path / "b.omni"
    if fits:
        convert(formats, source, target, pixel_type=PixelType.FLOAT64)
        assert int(omni.open_image(target).pixels[0, 0, 0]) == value
    else:
        with pytest.raises(UnsupportedImage, match="not every int64"):
            convert(formats, source, target, pixel_type=PixelType.FLOAT64)


def test_the_deviation_of_values_whose_squares_are_beyond_float64_is_found_on_every_system(
    tmp_path, write_array, formats, monkeypatch
):
    pieces = [np.array([[[1.0, 3.0]]]), np.array([[[-1e300, 0.0]]]), np.array([[[1e300, 1e299]]])]
    path = write_array(tmp_path / "a.omni", np.concatenate(pieces))
    monkeypatch.setattr(statistics_module, "counted_pieces", lambda *_: iter(pieces))
    with formats.reader(path) as reader:
        found = statistics(reader)
    values = [Fraction(value) for piece in pieces for value in piece.ravel().tolist()]
    mean = sum(values) / len(values)
    scaled = sum((value / 10**300 - mean / 10**300) ** 2 for value in values) / len(values)
    assert found.mean == pytest.approx(float(mean), rel=1e-12)
    assert found.standard_deviation == pytest.approx(float(scaled) ** 0.5 * 1e300, rel=1e-12)
