"""TIFF: stacks as ImageJ, OME and tifffile write them are read in mm and units, or refused; ours are read by ImageJ."""

import struct

import numpy as np
import pytest
import tifffile

from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image.calibration import Calibration
from xfworker.services.images.conversion import convert

LINE = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.2, intercept=-390.5)


@pytest.fixture
def levels(bone):
    return bone[:5, :7, :9].view(np.uint16)


def imagej(path, levels, resolution=(10, 10), **metadata):
    """Write a stack as ImageJ does, by tifffile."""
    tifffile.imwrite(path, levels, imagej=True, resolution=resolution, metadata={"axes": "ZYX", **metadata})
    return path


def genuine(path, levels, description, *, big=False):
    """Write a stack as ImageJ itself does: one page without a Compression tag, and the slices behind it."""
    order = ">" if big else "<"
    text = description.encode() + b"\0"
    entries = [
        (254, 4, 1, 0),
        (256, 4, 1, levels.shape[2]),
        (257, 4, 1, levels.shape[1]),
        (258, 3, 1, levels.itemsize * 8),
        (262, 3, 1, 1),
        (270, 2, len(text), None),
        (273, 4, 1, None),
        (277, 3, 1, 1),
        (278, 3, 1, levels.shape[1]),
        (279, 4, 1, levels[0].nbytes),
    ]
    begin = 8 + 2 + 12 * len(entries) + 4
    values = {270: begin, 273: begin + len(text)}
    data = (b"MM\0*" if big else b"II*\0") + struct.pack(order + "IH", 8, len(entries))
    for tag, kind, count, value in entries:
        number = values.get(tag, value)
        data += struct.pack(order + ("HHIHxx" if kind == 3 else "HHII"), tag, kind, count, number)
    data += bytes(4) + text
    path.write_bytes(data + levels.astype(levels.dtype.newbyteorder(order)).tobytes())
    return path


@pytest.mark.parametrize("big", [False, True])
def test_a_stack_of_imagej_itself_is_read(tmp_path, formats, levels, read_array, big):
    path = genuine(tmp_path / "a.tif", levels, "ImageJ=1.51h\nimages=5\nslices=5\nunit=micron\nspacing=80\n", big=big)
    np.testing.assert_array_equal(read_array(path), levels)
    info = formats.describe(path)
    assert (info.size, info.spacing_mm) == ((9, 7, 5), (0.001, 0.001, 0.08))
    assert info.pixels_offset is not None
    one = genuine(tmp_path / "b.tif", levels[:1], "ImageJ=1.51h\n")
    np.testing.assert_array_equal(read_array(one), levels[:1])


def test_a_stack_of_imagej_that_was_cut_short_is_refused(tmp_path, formats, levels):
    path = genuine(tmp_path / "a.tif", levels, "ImageJ=1.51h\nimages=5\nslices=5\n")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ImageFormatError, match="cut short"):
        formats.describe(path)


def test_a_stack_that_lost_its_last_pages_is_refused(tmp_path, formats, levels):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for plane in levels:
            file.write(plane, contiguous=False, metadata=None)
    with tifffile.TiffFile(path) as file:
        end = file.pages[3].offset
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(ImageFormatError, match="the page after 3 is to be at byte"):
        formats.describe(path)


@pytest.mark.parametrize(
    "unit", ["micron", "microns", "um", "\\u00B5m", "micrometer", "micrometers", "Micrometre", "\u00b5m"]
)
def test_every_spelling_of_a_unit_is_that_unit(tmp_path, formats, levels, unit):
    path = genuine(tmp_path / "a.tif", levels, f"ImageJ=1.53t\nimages=5\nslices=5\nunit={unit}\nspacing=82\n")
    assert formats.describe(path).spacing_mm == (0.001, 0.001, 0.082)


@pytest.mark.parametrize(
    ("unit", "mm"), [("mm", 1), ("millimeters", 1), ("cm", 10), ("inch", 25.4), ("nm", 1e-6), ("m", 1000)]
)
def test_other_units_are_mm(tmp_path, formats, levels, unit, mm):
    info = formats.describe(imagej(tmp_path / "a.tif", levels, unit=unit, spacing=3))
    assert info.spacing_mm == pytest.approx((0.1 * mm, 0.1 * mm, 3 * mm))
    assert info.assumptions == ()


def test_an_unknown_unit_is_named(tmp_path, formats, levels):
    with pytest.raises(ImageFormatError, match="'furlong' is not a unit of length"):
        formats.describe(imagej(tmp_path / "a.tif", levels, unit="furlong"))


def test_axes_have_units_of_their_own(tmp_path, formats, levels):
    path = imagej(tmp_path / "a.tif", levels, (100, 10), unit="mm", yunit="cm", zunit="um", spacing=82)
    assert formats.describe(path).spacing_mm == pytest.approx((0.01, 1, 0.082))


@pytest.mark.parametrize("unit", [None, "pixel", " "])
def test_a_stack_without_a_unit_has_no_spacing_and_says_so(tmp_path, formats, levels, unit):
    metadata = {} if unit is None else {"unit": unit}
    info = formats.describe(imagej(tmp_path / "a.tif", levels, (3, 4), spacing=5, **metadata))
    assert (info.spacing_mm, info.assumptions) == ((1, 1, 1), ("states no spacing (resolution); 1 mm is taken",))


def test_a_spacing_of_one_is_left_out_by_imagej(tmp_path, formats, levels):
    info = formats.describe(imagej(tmp_path / "a.tif", levels, unit="mm"))
    assert info.spacing_mm == (0.1, 0.1, 1)
    assert ["1 mm is taken, which ImageJ leaves out" in said for said in info.assumptions] == [True]


def test_a_spacing_of_imagej_that_counts_backwards_is_a_length(tmp_path, formats, levels):
    # ImageJ takes a negative spacing as the same distance, in the order of the slices.
    info = formats.describe(imagej(tmp_path / "a.tif", levels, unit="mm", spacing=-0.5))
    assert info.spacing_mm == pytest.approx((0.1, 0.1, 0.5))


def test_origins_of_imagej_count_voxels(tmp_path, formats, levels):
    path = imagej(tmp_path / "a.tif", levels, unit="mm", spacing=0.5, xorigin=-2, zorigin=4)
    assert formats.describe(path).origin_mm == pytest.approx((0.2, 0, -2))


@pytest.mark.parametrize(("axes", "named"), [("ZCYX", "2 channels"), ("TZYX", "2 points of time"), ("CYX", "channels")])
def test_hyperstacks_are_refused(tmp_path, formats, levels, axes, named):
    stack = levels[:4].reshape(2, 2, 7, 9) if len(axes) == 4 else levels[:2]
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": axes})
    with pytest.raises(UnsupportedImage, match=named):
        formats.describe(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["ome", "shaped"])
@pytest.mark.parametrize("axes", ["CZYX", "TZYX", "TYX", "CYX"])
def test_axes_of_ome_and_tifffile_that_are_not_slices_are_refused(tmp_path, formats, levels, axes, kind):
    stack = levels[:4].reshape(2, 2, 7, 9) if len(axes) == 4 else levels
    tifffile.imwrite(tmp_path / "a.tif", stack, ome=kind == "ome", metadata={"axes": axes}, photometric="minisblack")
    with pytest.raises(UnsupportedImage, match=f"axes that are not slices .{axes[0]} "):
        formats.describe(tmp_path / "a.tif")


def test_axes_of_one_are_left_out(tmp_path, formats, levels, read_array):
    tifffile.imwrite(tmp_path / "a.ome.tif", levels[None, :, None], ome=True, metadata={"axes": "TZCYX"})
    np.testing.assert_array_equal(read_array(tmp_path / "a.ome.tif"), levels)


def test_planes_that_were_written_one_by_one_are_slices_and_that_is_named(tmp_path, formats, levels, read_array):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for plane in levels:
            file.write(plane)
    info = formats.describe(tmp_path / "a.tif")
    assert f"holds {len(levels)} images of equal size, which are taken as slices in their order" in info.assumptions
    np.testing.assert_array_equal(read_array(tmp_path / "a.tif"), levels)


def test_planes_of_several_sizes_are_refused(tmp_path, formats, levels):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(levels[0])
        file.write(levels[1, 1:])
    with pytest.raises(UnsupportedImage, match="holds 2 images"):
        formats.describe(tmp_path / "a.tif")


def test_several_images_in_one_file_are_refused(tmp_path, formats, levels):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        file.write(levels, metadata={"axes": "ZYX"})
        file.write(levels[:2], metadata={"axes": "ZYX"})
    with pytest.raises(UnsupportedImage, match="holds 2 images"):
        formats.describe(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(("unit", "mm"), [("\u00b5m", 0.001), ("nm", 1e-6), ("mm", 1), ("inch", 25.4), (None, 0.001)])
def test_sizes_of_ome_are_in_their_units(tmp_path, formats, levels, unit, mm):
    sizes = {f"PhysicalSize{axis}": 2.0 for axis in "XYZ"}
    units = {} if unit is None else {f"PhysicalSize{axis}Unit": unit for axis in "XYZ"}
    tifffile.imwrite(tmp_path / "a.ome.tif", levels, ome=True, metadata={"axes": "ZYX", **sizes, **units})
    info = formats.describe(tmp_path / "a.ome.tif")
    assert info.spacing_mm == pytest.approx((2 * mm,) * 3)
    assert info.assumptions == ()


def test_what_ome_does_not_state_is_named_and_a_strange_unit_refused(tmp_path, formats, levels):
    tifffile.imwrite(tmp_path / "a.ome.tif", levels, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 2.0})
    assert formats.describe(tmp_path / "a.ome.tif").assumptions == (
        "states no spacing along y, z (PhysicalSize); 1 mm is taken",
    )
    sizes = {"PhysicalSizeX": 2.0, "PhysicalSizeXUnit": "parsec"}
    tifffile.imwrite(tmp_path / "a.ome.tif", levels, ome=True, metadata={"axes": "ZYX", **sizes})
    with pytest.raises(ImageFormatError, match="'parsec' is not a unit of length"):
        formats.describe(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    ("unit", "resolution", "spacing"),
    [("CENTIMETER", (100, 200), (0.1, 0.05)), ("INCH", (254, 127), (0.1, 0.2)), ("INCH", (72, 72), None)],
)
def test_a_plain_stack_has_the_resolution_of_its_tags(tmp_path, formats, levels, unit, resolution, spacing):
    tifffile.imwrite(
        tmp_path / "a.tif", levels, resolution=resolution, resolutionunit=unit, metadata=None, photometric="minisblack"
    )
    info = formats.describe(tmp_path / "a.tif")
    assert info.spacing_mm == pytest.approx((1, 1, 1) if spacing is None else (*spacing, spacing[0]))
    assert len(info.assumptions) == 1


@pytest.mark.parametrize(
    ("vunit", "unit_type"), [("HU", "HU"), ("mg HA/ccm", "Density"), ("1/cm", "LinearAttenuation"), ("x", "Scaled")]
)
def test_the_values_of_imagej_have_their_unit(tmp_path, formats, levels, vunit, unit_type):
    path = imagej(tmp_path / "a.tif", levels, unit="mm", spacing=1, cf=0, c0=-1000.5, c1=0.5, vunit=vunit)
    info = formats.describe(path)
    (line,) = info.calibrations
    assert (line.unit_type, line.unit_name, *line.line()) == (unit_type, vunit, 0.5, -1000.5)
    assert info.default_unit_type == unit_type


def test_signed_values_of_imagej_count_from_the_least(tmp_path, formats, levels, read_array):
    signed = levels.view(np.int16)
    stored = (signed.astype(np.int32) + 32768).astype(np.uint16)
    path = imagej(tmp_path / "a.tif", stored, cf=0, c0=-32768.0, c1=1.0, vunit="Gray Value")
    values = formats.describe(path).calibration("Scaled").raw_to_calibrated(read_array(path).astype(float))
    np.testing.assert_array_equal(values, signed)


def test_a_function_that_is_not_a_line_is_named(tmp_path, formats, levels):
    path = imagej(tmp_path / "a.tif", levels, unit="mm", spacing=1, cf=3, c0=1.0, c1=2.0, c2=3.0, vunit="OD")
    info = formats.describe(path)
    assert info.calibrations == ()
    assert ["not a straight line (cf=3)" in said for said in info.assumptions] == [True]


def in_imagej(path):
    """Give what ImageJ makes of a file: mm between pixels, pixels, and values."""
    with tifffile.TiffFile(path) as file:
        metadata, page = file.imagej_metadata, file.pages[0]
        x, y = (tag.value[1] / tag.value[0] for tag in (page.tags["XResolution"], page.tags["YResolution"]))
        assert int(page.tags["ResolutionUnit"].value) == 1
        assert metadata["unit"] == "mm"
        depth = metadata.get("images", 1)
        if depth > 1:
            # ImageJ leaves further pages alone then, and reads on behind the first one's pixels.
            raw = np.fromfile(path, page.dtype, depth * page.size, offset=page.dataoffsets[0])
            pixels = raw.reshape(depth, *page.shape)
        else:
            pixels = file.asarray()
        inside = pixels + 32768.0 if page.dtype == np.int16 else pixels.astype(float)
        values = metadata["c0"] + metadata["c1"] * inside if metadata.get("cf") == 0 else pixels
        return (x, y, metadata.get("spacing", 1.0)), pixels, values


@pytest.mark.parametrize("encoding", ["raw", "zlib"])
@pytest.mark.parametrize("code", ["u1", "i2", "u2", "f4"])
def test_what_is_written_is_right_in_imagej(tmp_path, formats, write_array, levels, code, encoding):
    array = (levels % 200).astype(code)
    spacing = (0.0607, 0.082, 0.123)
    source = write_array(tmp_path / "s.omni", array, calibrations=(LINE,), spacing_mm=spacing, origin_mm=(1, 2, 3))
    done = convert(formats, source, tmp_path / "a.tif", encoding=encoding)
    lengths, pixels, values = in_imagej(tmp_path / "a.tif")
    assert lengths == pytest.approx(spacing, rel=1e-12)
    np.testing.assert_array_equal(pixels, array)
    if code == "f4":
        assert done.losses == (
            "other programs read raw values; the calibrations to Density are in a note that this package reads",
        )
    else:
        assert done.losses == ()
        np.testing.assert_allclose(values, LINE.raw_to_calibrated(array.astype(float)), atol=1e-9)


def test_without_the_note_a_file_says_the_same(tmp_path, formats, write_array, levels):
    path = write_array(
        tmp_path / "a.tif", levels.view(np.int16), calibrations=(LINE,), spacing_mm=(0.5, 0.25, 2), origin_mm=(1, 2, 4)
    )
    path.write_bytes(path.read_bytes().replace(b"xfworker=", b"somebody="))
    info = formats.describe(path)
    assert (info.spacing_mm, info.origin_mm) == ((0.5, 0.25, 2), (1, 2, 4))
    (line,) = info.calibrations
    assert (line.unit_type, line.unit_name) == ("Density", "mg HA/ccm")
    assert line.line() == pytest.approx(LINE.line())


@pytest.mark.parametrize("encoding", ["raw", "zlib"])
def test_a_page_that_comes_in_rows_is_one_page(tmp_path, formats, levels, read_array, encoding, describe_array):
    plane = levels[0]
    with formats.writer(tmp_path / "a.tif", describe_array(plane, axes="XY"), encoding=encoding) as writer:
        for begin in range(0, 7, 2):
            writer.write(plane[begin : begin + 2])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), plane)
    np.testing.assert_array_equal(read_array(tmp_path / "a.tif")[0], plane)


def test_lzw_is_read_or_names_what_reads_it(tmp_path, formats, levels, read_array):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, levels, compression="zlib", metadata=None, photometric="minisblack")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for page in file.pages:
            at = page.tags["Compression"].valueoffset
            data[at : at + 2] = (5).to_bytes(2, "little")
    path.write_bytes(data)
    try:
        import imagecodecs  # noqa: F401 - whether it is there
    except ImportError:
        with pytest.raises(UnsupportedImage, match="pip install imagecodecs"):
            read_array(path)
    else:
        with pytest.raises(ImageError):
            read_array(path)
    assert formats.describe(path).encoding == "lzw"


def test_pages_that_are_shown_otherwise_are_named(tmp_path, formats, read_array):
    pixels = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    for name, shown in (("miniswhite", {}), ("palette", {"colormap": np.zeros((3, 256), np.uint16)})):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, pixels, photometric=name, **shown)
        np.testing.assert_array_equal(read_array(path), pixels)
        (said,) = [one for one in formats.describe(path).assumptions if name.upper() in one]
        assert said.endswith("values are taken as they are stored")


def test_pages_that_are_to_be_turned_are_named(tmp_path, formats, read_array):
    pixels = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    for orientation, count in ((1, 0), (3, 1), (6, 1)):
        path = tmp_path / f"{orientation}.tif"
        tifffile.imwrite(path, pixels, photometric="minisblack", extratags=[(274, "H", 1, orientation, True)])
        np.testing.assert_array_equal(read_array(path), pixels)
        said = [one for one in formats.describe(path).assumptions if f"Orientation {orientation}" in one]
        assert len(said) == count


TAGS = {"ImageWidth": 256, "ImageLength": 257, "StripOffsets": 273}


@pytest.mark.parametrize("kind", [8, 9, 11], ids=["SSHORT", "SLONG", "FLOAT"])
@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("slices", [1, 3])
def test_a_size_or_place_that_is_negative_or_has_a_fraction_is_refused(tmp_path, read_array, tag, kind, slices):
    path = tmp_path / "damaged.tif"
    tifffile.imwrite(path, np.zeros((slices, 6, 7), np.int16), photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].tags[TAGS[tag]].offset
    value = struct.pack("<f", 8.5) if kind == 11 else struct.pack("<i", -5)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(struct.pack("<HHI", TAGS[tag], kind, 1) + value)
    with pytest.raises(ImageError, match=r"damaged\.tif"):
        read_array(path)
