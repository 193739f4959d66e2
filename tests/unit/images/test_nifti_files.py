"""NIfTI: what it says of place and scale is what nibabel and ITK read, and what is not stated is named."""

import struct
import zlib

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from xfworker.domain.errors import ImageError
from xfworker.domain.image.calibration import Calibration
from xfworker.services.images.conversion import convert

HU = Calibration(unit_type="HU", unit_name="HU", slope=2, intercept=-1024)
DENSITY = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.2, intercept=-390.5)
NOTED = "other programs read {}; the calibrations to {} are in a note that this package reads"


@pytest.fixture
def small(bone):
    return bone[:4, :5, :6]


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("unit", ["HU", None])
def test_the_only_calibration_is_the_scale_that_others_read(tmp_path, write_array, small, formats, name, unit):
    path = write_array(tmp_path / name, small, calibrations=(HU,), default_unit_type=unit)
    np.testing.assert_allclose(nibabel.load(path).get_fdata().T, small * 2.0 - 1024)
    np.testing.assert_allclose(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))), small * 2.0 - 1024)
    assert formats.describe(path).calibrations == (HU,)


@pytest.mark.parametrize(
    ("unit", "scale", "noted"),
    [
        ("Density", DENSITY, NOTED.format("values in mg HA/ccm", "HU")),
        ("HU", HU, NOTED.format("values in HU", "Density")),
        (None, None, NOTED.format("raw values", "HU, Density")),
    ],
)
def test_of_several_the_default_is_and_the_others_are_named(tmp_path, write_array, small, formats, unit, scale, noted):
    source = write_array(tmp_path / "a.omni", small, calibrations=(HU, DENSITY), default_unit_type=unit)
    done = convert(formats, source, tmp_path / "a.nii")
    assert done.losses == (noted,)
    expected = small if scale is None else scale.raw_to_calibrated(small.astype(float))
    np.testing.assert_allclose(nibabel.load(tmp_path / "a.nii").get_fdata().T, expected, rtol=1e-6)
    assert (done.target.calibrations, done.target.default_unit_type) == ((HU, DENSITY), unit)


def test_labels_are_not_scaled(tmp_path, write_array, small):
    path = write_array(tmp_path / "a.nii", small, calibrations=(HU,), kind="segments", labels=({"value": 1},))
    np.testing.assert_array_equal(np.asarray(nibabel.load(path).dataobj).T, small)


def test_the_scale_of_a_foreign_file_goes_on_to_the_next(tmp_path, formats, small):
    image = nibabel.Nifti1Image(small.T, np.diag([-0.1, -0.2, 0.3, 1]))
    image.header.set_slope_inter(2.0, -1000.0)
    nibabel.save(image, tmp_path / "a.nii")
    assert formats.describe(tmp_path / "a.nii").default_unit_type == "Scaled"
    for source, target in (("a.nii", "b.omni"), ("b.omni", "c.nii.gz")):
        assert convert(formats, tmp_path / source, tmp_path / target).losses == ()
    np.testing.assert_array_equal(
        nibabel.load(tmp_path / "c.nii.gz").get_fdata(), nibabel.load(tmp_path / "a.nii").get_fdata()
    )


def test_a_note_does_not_outlive_the_scale_that_it_was_written_with(tmp_path, formats, write_array, small):
    own = nibabel.load(write_array(tmp_path / "a.nii", small, calibrations=(HU,)))
    changed = nibabel.Nifti1Image(own.get_fdata() / 7, own.affine, own.header)
    changed.to_filename(tmp_path / "b.nii")
    info = formats.describe(tmp_path / "b.nii")
    with formats.reader(tmp_path / "b.nii") as reader:
        values = info.calibration("Scaled").raw_to_calibrated(reader.read(0, 4).astype(float))
    np.testing.assert_allclose(values, nibabel.load(tmp_path / "b.nii").get_fdata().T)
    assert [line.unit_type for line in info.calibrations] == ["Scaled"]


def test_a_line_beyond_32_bits_stays_in_the_note(tmp_path, formats, write_array, small):
    line = Calibration(unit_type="Tiny", slope=1e-60, intercept=0)
    path = write_array(tmp_path / "a.nii", small, calibrations=(line,))
    np.testing.assert_array_equal(nibabel.load(path).get_fdata().T, small)
    assert formats.describe(path).calibrations == (line,)


@pytest.mark.parametrize(("unit", "mm"), [("micron", 0.001), ("mm", 1.0), ("meter", 1000.0)])
def test_every_unit_that_the_header_knows_is_taken(tmp_path, formats, small, unit, mm):
    image = nibabel.Nifti1Image(small.T, np.diag([-2, -3, 4, 1]))
    image.header.set_xyzt_units(unit)
    image.to_filename(tmp_path / "a.nii")
    info = formats.describe(tmp_path / "a.nii")
    assert info.spacing_mm == pytest.approx((2 * mm, 3 * mm, 4 * mm))
    assert info.assumptions == ()


def test_what_the_header_does_not_state_is_named(tmp_path, formats, small):
    image = nibabel.Nifti1Image(small.T, None)
    image.to_filename(tmp_path / "a.nii")
    assert [said.split(";")[0] for said in formats.describe(tmp_path / "a.nii").assumptions] == [
        "states no unit of length",
        "states no place (sform, qform)",
    ]


def bgzf(data, block):
    """Pack data as bgzip does: members of one block each, and an empty one at the end."""
    packed = b""
    for begin in [*range(0, len(data), block), len(data)]:
        piece = data[begin : begin + block]
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(piece) + packer.flush()
        packed += b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(body) + 25) + body
        packed += struct.pack("<II", zlib.crc32(piece), len(piece))
    return packed


@pytest.mark.parametrize("block", [65280, 1000, 13])
@pytest.mark.parametrize("behind", [b"", b"\0" * 512, b"junk"])
def test_a_gzip_file_of_several_members_is_read(tmp_path, formats, read_array, bone, block, behind):
    nibabel.save(nibabel.Nifti1Image(bone.T, np.eye(4)), tmp_path / "a.nii")
    path = tmp_path / "a.nii.gz"
    path.write_bytes(bgzf((tmp_path / "a.nii").read_bytes(), block) + behind)
    np.testing.assert_array_equal(read_array(path), bone)
    with formats.reader(path) as reader:
        np.testing.assert_array_equal(reader.read(9, 11), bone[9:11])
        np.testing.assert_array_equal(reader.read(2, 4), bone[2:4])
    path.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(ImageError, match=r"a\.nii\.gz"):
        read_array(path)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(1e-4, 1e4),
    st.floats(-1e5, 1e5),
    st.tuples(*[st.floats(1e-3, 10)] * 3),
    st.tuples(*[st.floats(-1e3, 1e3)] * 3),
)
def test_values_and_places_are_those_of_the_judges(tmp_path_factory, slope, intercept, spacing, origin):
    from xfworker.adapters.images.registry import image_formats
    from xfworker.domain.image.description import ImageInfo
    from xfworker.domain.image.pixel_type import PixelType

    path = tmp_path_factory.mktemp("n") / "a.nii"
    pixels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    line = Calibration(unit_type="Density", slope=slope, intercept=intercept)
    image = ImageInfo(
        path=path,
        format="array",
        size=(4, 3, 2),
        pixel_type=PixelType.INT16,
        pixels_path=path,
        spacing_mm=spacing,
        origin_mm=origin,
        calibrations=(line,),
    )
    with image_formats().writer(path, image) as writer:
        writer.write(pixels)
    info = image_formats().describe(path)
    judge, itk = nibabel.load(path), SimpleITK.ReadImage(str(path))
    assert info.calibrations == (line,)
    np.testing.assert_allclose(
        judge.get_fdata().T, line.raw_to_calibrated(pixels * 1.0), rtol=1e-5, atol=1e-6 * abs(intercept) + 1e-6 * slope
    )
    assert info.spacing_mm == pytest.approx(spacing, rel=1e-6)
    assert itk.GetSpacing() == pytest.approx(spacing, rel=1e-5)
    assert itk.GetOrigin() == pytest.approx(info.origin_mm, rel=1e-6, abs=1e-4)
    assert judge.affine @ [1, 1, 1, 1] == pytest.approx(
        [-(origin[0] + spacing[0]), -(origin[1] + spacing[1]), origin[2] + spacing[2], 1], rel=1e-6, abs=1e-4
    )


@pytest.mark.parametrize("suffix", [".img", ".img.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
def test_a_pair_is_read_by_either_of_its_names(tmp_path, formats, read_array, small, kind, suffix):
    pair = kind(small.T, np.diag([-0.1, -0.2, 0.3, 1]))
    pair.header.set_slope_inter(2.0, -1000.0)
    pair.to_filename(tmp_path / f"a{suffix}")
    header = tmp_path / f"a{suffix.replace('img', 'hdr')}"
    for path in (header, tmp_path / f"a{suffix}"):
        info = formats.describe(path)
        assert (info.path, info.files) == (header, (header, tmp_path / f"a{suffix}"))
        assert info.spacing_mm == pytest.approx((0.1, 0.2, 0.3))
        assert info.calibration("Scaled").line() == (2, -1000)
        np.testing.assert_array_equal(read_array(path), small)


def test_half_a_pair_names_the_other_half(tmp_path, formats, small):
    nibabel.Nifti1Pair(small.T, np.eye(4)).to_filename(tmp_path / "a.hdr")
    (tmp_path / "a.img").unlink()
    with pytest.raises(ImageError, match=r"its other half a\.img is not beside it"):
        formats.describe(tmp_path / "a.hdr")


def test_the_time_between_volumes_is_named_as_not_kept(tmp_path, formats, small):
    image = nibabel.Nifti1Image(np.stack([small, small]).T, np.eye(4))
    nibabel.save(image, tmp_path / "unstated.nii")
    assert not any("time" in one for one in formats.describe(tmp_path / "unstated.nii").assumptions)
    image.header.set_zooms((1, 1, 1, 2.5))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / "a.nii")
    assert formats.describe(tmp_path / "a.nii").assumptions == (
        "states 2.5 sec between points of time, which is not kept",
    )


def test_skewed_axes_are_never_shown_as_others(tmp_path, formats, small):
    affine = np.eye(4)
    affine[0, 1] = 0.3
    nibabel.save(nibabel.Nifti1Image(small.T, affine), tmp_path / "a.nii")
    done = convert(formats, tmp_path / "a.nii", tmp_path / "b.nii")
    assert done.losses == ("programs that read the qform alone see no place: the axes are not at right angles",)
    np.testing.assert_allclose(nibabel.load(tmp_path / "b.nii").affine, affine, atol=1e-7)
    with pytest.raises(RuntimeError, match="orthonormal"):
        SimpleITK.ReadImage(str(tmp_path / "b.nii"))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_values_are_the_same_in_either_byte_order(tmp_path, formats, read_array, order, name):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(np.int16)
    image = nibabel.Nifti1Image(array.T, np.eye(4), header)
    image.to_filename(tmp_path / name)
    assert nibabel.load(tmp_path / name).header.endianness == order
    assert formats.describe(tmp_path / name).byte_order == {"<": "little", ">": "big"}[order]
    np.testing.assert_array_equal(read_array(tmp_path / name), array)
