"""MetaImage, NRRD and VGI as their libraries read them, in every encoding and unit; what is not stated is named."""

import bz2
import gzip
import itertools
import zlib

import nrrd
import numpy as np
import pytest
import SimpleITK

from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.length_units import is_not_a_unit, known_length_unit
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.image.scanco_calibration import ScancoCalibration
from xfworker.services.images.conversion import convert

SCANCO = ScancoCalibration(8192.0, 1603.51904, -391.209015, "mg HA/ccm", 0.2409).calibrations()
SPACING, ORIGIN = (0.0607, 0.082, 0.123), (1.5, -2.25, 3.0)


@pytest.fixture
def small(bone):
    return bone[:3, :4, :5]


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd"])
def test_calibrated_images_are_read_by_itk(tmp_path, formats, write_array, small, suffix):
    labels = tuple({"value": n, "name": f"Knöchelchen = {n}"} for n in range(60))
    known = {"calibrations": SCANCO, "labels": labels, "default_unit_type": "Density"}
    source = write_array(tmp_path / "a.omni", small, spacing_mm=SPACING, origin_mm=ORIGIN, **known)
    done = convert(formats, source, tmp_path / f"b{suffix}")
    judge = SimpleITK.ReadImage(str(tmp_path / f"b{suffix}"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(judge), small)
    assert judge.GetSpacing() == pytest.approx(SPACING)
    assert judge.GetOrigin() == pytest.approx(ORIGIN)
    assert done.target.calibrations == SCANCO
    assert done.target.labels == labels
    assert ["other programs read raw values; the calibrations to Density, HU" in said for said in done.losses] == [True]


def test_notes_of_older_metaimages_are_read(tmp_path, formats, write_array, small):
    line = Calibration(unit_type="Density", slope=0.5, intercept=-1)
    path = write_array(tmp_path / "a.mha", small, calibrations=(line,))
    path.write_bytes(path.read_bytes().replace(b"xfworker = ", b"Comment = "))
    assert formats.describe(path).calibrations == (line,)


def test_the_function_of_a_metaimage_is_its_scale(tmp_path, formats):
    header = "ObjectType = Image\nNDims = 1\nDimSize = 2\nElementToIntensityFunctionSlope = 2\n"
    header += "ElementToIntensityFunctionOffset = -1000\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(header.encode() + bytes(4))
    info = formats.describe(tmp_path / "a.mha")
    assert info.calibration("Scaled").line() == (2, -1000)
    assert info.assumptions == ("states no spacing (ElementSpacing); 1 mm is taken",)


METAIMAGE = """ObjectType = Image
NDims = 3
{lines}ElementSpacing = 0.0607 0.082 0.123
DimSize = 5 4 3
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""


@pytest.mark.parametrize(
    ("lines", "pack"),
    [
        ("BinaryData = False\n", lambda a: " ".join(map(str, a.ravel())).encode() + b" "),
        ("BinaryData = False\n", lambda a: "\n".join(map(str, a.ravel())).encode() + b"\n"),
        ("BinaryData = True\nBinaryDataByteOrderMSB = True\n", lambda a: a.astype(">i2").tobytes()),
        ("BinaryData = True\nElementByteOrderMSB = True\n", lambda a: a.astype(">i2").tobytes()),
        (
            "BinaryData = True\nCompressedData = True\nCompressedDataSize = {size}\n",
            lambda a: zlib.compress(a.tobytes()),
        ),
    ],
)
def test_every_way_of_storing_a_metaimage_is_read_as_itk_does(tmp_path, formats, read_array, small, lines, pack):
    path = tmp_path / "a.mha"
    data = pack(small)
    path.write_bytes(METAIMAGE.format(lines=lines.format(size=len(data))).encode() + data)
    np.testing.assert_array_equal(read_array(path), small)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))), small)
    with formats.reader(path) as reader:
        np.testing.assert_array_equal(reader.read(2, 3), small[2:3])
        np.testing.assert_array_equal(reader.read(0, 1), small[:1])
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ImageError, match=r"a\.mha"):
        read_array(path)


@pytest.mark.parametrize(("header_size", "before"), [(0, 0), (11, 11), (-1, 11)])
def test_what_lies_before_the_pixels_of_a_metaimage_is_skipped_as_in_itk(
    tmp_path, read_array, small, header_size, before
):
    path = tmp_path / "a.mhd"
    path.write_text(METAIMAGE.format(lines=f"HeaderSize = {header_size}\n").replace("LOCAL", "a.raw"))
    (tmp_path / "a.raw").write_bytes(b"\xaa" * before + small.tobytes())
    np.testing.assert_array_equal(read_array(path), small)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))), small)


@pytest.mark.parametrize("pixel_type", list(PixelType))
def test_numbers_in_text_are_of_their_type(tmp_path, formats, read_array, pixel_type):
    bounds = pixel_type.bounds or (-1.5e-30, 1.25e30)
    array = np.array([[[0, 1, bounds[0], bounds[1]]]], pixel_type.code)
    word = formats.codec_named("MetaImage").writer.__globals__["_TYPES"]
    name = next(key for key, kind in word.items() if kind is pixel_type)
    header = METAIMAGE.format(lines="BinaryData = False\n").replace("5 4 3", "4 1 1").replace("MET_SHORT", name)
    (tmp_path / "a.mha").write_text(header + " ".join(str(value) for value in array.ravel()) + "\n")
    np.testing.assert_array_equal(read_array(tmp_path / "a.mha"), array)


@pytest.mark.parametrize("numbers", ["1 2 x 4 " * 15, "40000 " * 60, "1 " * 59, "9" * 5000])
def test_a_text_that_does_not_hold_the_numbers_is_refused(tmp_path, read_array, numbers):
    (tmp_path / "a.mha").write_text(METAIMAGE.format(lines="BinaryData = False\n") + numbers)
    with pytest.raises(ImageFormatError, match=r"a\.mha"):
        read_array(tmp_path / "a.mha")


@pytest.mark.parametrize("name", ["LIST", "LIST 2", "slice%03d.raw 1 3 1"])
def test_pixels_in_several_files_are_refused_as_such(tmp_path, formats, name):
    (tmp_path / "a.mhd").write_text(METAIMAGE.format(lines="").replace("LOCAL", name))
    with pytest.raises(UnsupportedImage, match="several files"):
        formats.describe(tmp_path / "a.mhd")


@pytest.mark.parametrize("lines", ["BinaryData = False\n", "CompressedData = True\n", "HeaderSize = -1\n"])
@pytest.mark.parametrize("name", ["absent.raw", "n" * 400])
def test_pixels_that_are_not_there_are_an_image_error(tmp_path, formats, lines, name):
    (tmp_path / "a.mhd").write_text(METAIMAGE.format(lines=lines).replace("LOCAL", name))
    with pytest.raises(ImageError, match="cannot be read"):
        formats.reader(tmp_path / "a.mhd")


def test_distances_of_a_metaimage_are_in_its_units(tmp_path, formats):
    text = METAIMAGE.format(lines="DistanceUnits = um\nOffset = 1000 0 0\n").encode() + bytes(120)
    (tmp_path / "a.mha").write_bytes(text)
    info = formats.describe(tmp_path / "a.mha")
    assert info.spacing_mm == pytest.approx((0.0000607, 0.000082, 0.000123))
    assert info.origin_mm == (1, 0, 0)


NRRD = "NRRD0005\ntype: short\ndimension: 3\nsizes: 5 4 3\nspacings: 0.0607 0.082 0.123\nendian: little\n"


@pytest.mark.parametrize("line_skip", [0, 2])
@pytest.mark.parametrize("byte_skip", [0, 7, -1])
@pytest.mark.parametrize("encoding", ["raw", "gzip", "gz", "bzip2", "bz2", "ascii", "text", "txt"])
@pytest.mark.parametrize("detached", [False, True])
def test_a_nrrd_is_read_in_every_encoding_as_pynrrd_does(
    tmp_path, read_array, small, encoding, byte_skip, line_skip, detached
):
    if encoding in ("ascii", "text", "txt") and byte_skip:
        pytest.skip("bytes are skipped in packed and raw pixels")
    skipped = b"\xaa" * (byte_skip if byte_skip >= 0 else 11)
    data = skipped + small.tobytes()
    packed = {"r": lambda: data, "g": lambda: gzip.compress(data), "b": lambda: bz2.compress(data)}.get(
        encoding[0], lambda: " ".join(map(str, small.ravel())).encode()
    )()
    lines = b"a line\nanother\n" if line_skip else b""
    header = NRRD + f"encoding: {encoding}\nbyte skip: {byte_skip}\nline skip: {line_skip}\n"
    path = tmp_path / "a.nhdr"
    if detached:
        path.write_bytes(header.encode() + b"data file: a.bin\n")
        (tmp_path / "a.bin").write_bytes(lines + packed)
    else:
        path.write_bytes(header.encode() + b"\n" + lines + packed)
    np.testing.assert_array_equal(read_array(path), small)
    # pynrrd skips bytes of packed pixels twice, once before they are unpacked.
    if encoding[0] not in "gb" or byte_skip == 0:
        np.testing.assert_array_equal(nrrd.read(str(path), index_order="C")[0].reshape(small.shape), small)


def test_lines_to_skip_that_are_not_there_are_an_error(tmp_path, formats, small):
    (tmp_path / "a.nrrd").write_bytes(NRRD.encode() + b"encoding: raw\nline skip: 900\n\n" + small.tobytes())
    with pytest.raises(ImageFormatError, match="ends within the 900 lines"):
        formats.describe(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    ("unit", "mm"),
    [("mm", 1), ("micrometers", 1e-3), ("um", 1e-3), ("\u00b5m", 1e-3), ("nm", 1e-6), ("inch", 25.4), ("", 1)],
)
def test_units_of_a_nrrd_are_taken(tmp_path, formats, small, unit, mm):
    header = NRRD.replace("0.0607 0.082 0.123", "2 3 4") + f'units: "{unit}" "{unit}" "{unit}"\nencoding: raw\n\n'
    (tmp_path / "a.nrrd").write_bytes(header.encode() + small.tobytes())
    space = (
        "NRRD0005\ntype: short\ndimension: 3\nsizes: 5 4 3\nspace: left-posterior-superior\n"
        f"space directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (10,20,30)\nendian: little\n"
        f'space units: "{unit}" "{unit}" "{unit}"\nencoding: raw\n\n'
    )
    (tmp_path / "b.nrrd").write_bytes(space.encode() + small.tobytes())
    for name in ("a.nrrd", "b.nrrd"):
        if unit == "\u00b5m":
            with pytest.raises(ImageError):
                formats.describe(tmp_path / name)
            continue
        assert formats.describe(tmp_path / name).spacing_mm == pytest.approx((2 * mm, 3 * mm, 4 * mm))
    if unit != "\u00b5m":
        assert formats.describe(tmp_path / "b.nrrd").origin_mm == pytest.approx((10 * mm, 20 * mm, 30 * mm))


def test_an_unknown_unit_of_a_nrrd_is_named_and_a_missing_spacing_too(tmp_path, formats, small):
    (tmp_path / "a.nrrd").write_bytes((NRRD + "units: mm mm furlong\nencoding: raw\n\n").encode() + small.tobytes())
    with pytest.raises(ImageFormatError, match="'furlong' is not a unit"):
        formats.describe(tmp_path / "a.nrrd")
    without = NRRD.replace("spacings: 0.0607 0.082 0.123\n", "") + "encoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(without.encode() + small.tobytes())
    assert formats.describe(tmp_path / "a.nrrd").assumptions == (
        "states no spacing (space directions, spacings); 1 mm is taken",
    )


@pytest.mark.parametrize("kinds", ["RGB-color domain domain", "domain domain vector", "space space list"])
def test_axes_that_are_not_of_space_are_refused(tmp_path, formats, small, kinds):
    (tmp_path / "a.nrrd").write_bytes((NRRD + f"kinds: {kinds}\nencoding: raw\n\n").encode() + small.tobytes())
    with pytest.raises(UnsupportedImage, match="not one of space"):
        formats.describe(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    "lines",
    [
        "spacings: 0.5 0.25 2\n",
        "spacings: 0.5 0.25 2\naxis mins: 1 2 3\ncenterings: node node node\n",
        "spacings: 0.5 0.25 2\naxis mins: 1 2 3\ncenterings: cell cell cell\n",
        "space: left-posterior-superior\nspace directions: (0,0.5,0) (-0.25,0,0) (0,0,2)\nspace origin: (1,2,3)\n",
        "space: right-anterior-superior\nspace directions: (0.5,0,0) (0,0.25,0) (0,0,2)\nspace origin: (1,2,3)\n",
        "space: left-anterior-superior\nspace directions: (0.3,0.4,0) (-0.2,0.15,0) (0,0,2)\nspace origin: (1,2,3)\n",
        "space: RAS\nspace directions: (0.5,0,0) (0,0.25,0) (0,0,2)\nspace origin: (1,2,3)\n",
        "space: LAS\nspace directions: (0.5,0,0) (0,0.25,0) (0,0,2)\nspace origin: (1,2,3)\n",
        "space: LPS\nspace directions: (0.5,0,0) (0,0.25,0) (0,0,2)\nspace origin: (1,2,3)\n",
    ],
)
def test_the_place_of_a_nrrd_is_what_itk_makes_of_it(tmp_path, formats, small, lines):
    header = "NRRD0005\ntype: short\ndimension: 3\nsizes: 5 4 3\nendian: little\nencoding: raw\n" + lines
    (tmp_path / "a.nrrd").write_bytes(header.encode() + b"\n" + small.tobytes())
    info, judge = formats.describe(tmp_path / "a.nrrd"), SimpleITK.ReadImage(str(tmp_path / "a.nrrd"))
    assert info.spacing_mm == pytest.approx(judge.GetSpacing())
    assert info.origin_mm == pytest.approx(judge.GetOrigin())
    assert info.direction == pytest.approx(judge.GetDirection())


def test_each_direction_in_space_of_a_nrrd_has_the_unit_of_that_direction_whatever_the_axis(tmp_path, formats, small):
    header = "NRRD0005\ntype: short\ndimension: 3\nsizes: 5 4 3\nendian: little\nencoding: raw\n"
    header += 'space: LPS\nspace directions: (0,3000,0) (2,0,0) (0,0,4)\nspace units: "mm" "um" "mm"\n\n'
    (tmp_path / "a.nrrd").write_bytes(header.encode() + small.tobytes())
    info = formats.describe(tmp_path / "a.nrrd")
    assert info.spacing_mm == pytest.approx((3, 2, 4))
    assert info.direction == (0, 1, 0, 1, 0, 0, 0, 0, 1)


VGI = (
    "{{volume1}}\n[representation]\nsize = 5 4 3\ndatatype = integer\nbitsperelement = 16\n[file1]\nName = a.vol\n"
    "[geometry]\nposition = 10 20 30\nresolution = 2 3 4\n{unit}"
)


@pytest.mark.parametrize(
    ("unit", "mm"),
    [("um", 1e-3), ("\u00b5m", 1e-3), ("nm", 1e-6), ("inch", 25.4), ("cm", 10), ("mm", 1), ("Millimeters", 1)],
)
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_units_of_a_vgi_are_taken_in_latin_1_too(tmp_path, formats, small, unit, mm, encoding):
    (tmp_path / "a.vgi").write_bytes(VGI.format(unit=f"unit = {unit}\n").encode(encoding))
    (tmp_path / "a.vol").write_bytes(small.tobytes())
    info = formats.describe(tmp_path / "a.vgi")
    assert info.spacing_mm == pytest.approx((2 * mm, 3 * mm, 4 * mm))
    assert info.origin_mm == pytest.approx((10 * mm, 20 * mm, 30 * mm))
    assert info.assumptions == ()


def test_a_vgi_that_states_no_unit_or_a_strange_one(tmp_path, formats, small):
    (tmp_path / "a.vol").write_bytes(small.tobytes())
    (tmp_path / "a.vgi").write_text(VGI.format(unit=""))
    assert formats.describe(tmp_path / "a.vgi").assumptions == ("states no unit of length; mm are taken",)
    (tmp_path / "a.vgi").write_text(VGI.format(unit="unit = furlong\n"))
    with pytest.raises(ImageFormatError, match="'furlong' is not a unit"):
        formats.describe(tmp_path / "a.vgi")


def test_a_vgi_names_that_it_holds_no_calibration(tmp_path, formats, write_array, small):
    done = convert(formats, write_array(tmp_path / "a.omni", small, calibrations=SCANCO[:1]), tmp_path / "b.vgi")
    assert ["calibration Density" in said and "is not kept" in said for said in done.losses] == [True]


def test_one_table_knows_the_units_of_length():
    prefixes = {"": 1e3, "centi": 10, "milli": 1, "micro": 1e-3, "nano": 1e-6, "pico": 1e-9, "kilo": 1e6}
    for (prefix, mm), stem, plural in itertools.product(prefixes.items(), ("meter", "metre"), ("", "s")):
        for word in (prefix + stem + plural, (prefix + stem + plural).capitalize(), f'"{prefix}{stem}{plural}"'):
            unit = known_length_unit(word)
            assert unit is not None, word
            assert unit.mm(1) == pytest.approx(mm), word
    for word in ("", "pixel", "voxels", "us", "Mm", "furlong", "s", "mmm", "kg"):
        assert known_length_unit(word) is None, word
    assert is_not_a_unit(" Pixels ")
    assert not is_not_a_unit("furlong")
    # As a decimal, not as the nearest product.
    assert known_length_unit("um").mm(60.7) == 0.0607


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_a_plane_keeps_how_it_is_turned_in_itself(tmp_path, formats, suffix):
    turned = SimpleITK.GetImageFromArray(np.arange(30, dtype=np.int16).reshape(5, 6))
    turned.SetDirection((0, -1, 1, 0))
    SimpleITK.WriteImage(turned, str(tmp_path / f"a{suffix}"))
    for target in ("b.mha", "b.nrrd", "b.omni"):
        done = convert(formats, tmp_path / f"a{suffix}", tmp_path / target)
        assert (done.losses, done.target.direction) == ((), (0, -1, 0, 1, 0, 0, 0, 0, 1))
        if target != "b.omni":
            assert SimpleITK.ReadImage(str(tmp_path / target)).GetDirection() == (0, -1, 1, 0)


@pytest.mark.parametrize("target", ["b.mha", "b.nrrd"])
def test_a_plane_that_is_turned_out_of_itself_is_named(tmp_path, formats, write_array, target):
    source = write_array(
        tmp_path / "a.omni", np.zeros((5, 6), np.int16), axes="XY", direction=(0, 0, 1, 1, 0, 0, 0, 1, 0)
    )
    (loss,) = convert(formats, source, tmp_path / target).losses
    assert loss == "where the axes point to in space, 0 0 1 1 0 0 0 1 0, becomes 1 0 0 0 1 0 0 0 1"


def test_a_nrrd_plane_in_space_says_that_its_directions_are_not_kept(tmp_path, formats):
    header = {"space": "LPS", "space directions": [[0, 0.1, 0], [0, 0, 0.2]], "space origin": [1, 2, 3]}
    nrrd.write(str(tmp_path / "a.nrrd"), np.zeros((6, 5), np.int16), header)
    info = formats.describe(tmp_path / "a.nrrd")
    assert info.spacing_mm[:2] == (0.1, 0.2)
    assert info.assumptions == ("states where its axes point in space, which is not kept of fewer than three",)


def test_a_negative_spacing_of_a_metaimage_turns_the_axis_as_in_itk(tmp_path, formats):
    path = tmp_path / "a.mha"
    header = "ObjectType = Image\nNDims = 3\nDimSize = 6 5 4\nElementSpacing = 1 -2 -3\nElementType = MET_SHORT\n"
    path.write_bytes((header + "ElementDataFile = LOCAL\n").encode() + bytes(240))
    info, others = formats.describe(path), SimpleITK.ReadImage(str(path))
    assert (info.spacing_mm, info.direction) == (others.GetSpacing(), others.GetDirection())
    assert info.direction == (1, 0, 0, 0, -1, 0, 0, 0, -1)
