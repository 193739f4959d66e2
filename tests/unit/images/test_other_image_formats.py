"""Formats that are read with the ``images`` extra: what is written is read by their own libraries, and comes back."""

import gzip

import nibabel
import nrrd
import numpy as np
import pydicom
import pytest
import tifffile
import zarr
from pydicom.uid import generate_uid

from tests.contract.suites.dicom_slice import dicom_slice
from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.pixel_type import PixelType
from xfworker.services.images.conversion import convert

LINE = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.2, intercept=-390.5)
PLACE = {"spacing_mm": (0.0607, 0.0608, 0.082), "origin_mm": (1.5, -2.25, 3.0)}
SUFFIXES = [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".tif", ".vgi", ".zarr"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_volume_comes_back_with_place_and_calibration(tmp_path, formats, write_array, read_array, bone, suffix):
    path = write_array(
        tmp_path / f"a{suffix}", bone, slab=5, calibrations=(LINE,), default_unit_type="Density", **PLACE
    )
    np.testing.assert_array_equal(read_array(path), bone)
    info = formats.describe(path)
    tolerance = 1e-6 if suffix.startswith(".nii") else 1e-12
    assert info.spacing_mm == pytest.approx(PLACE["spacing_mm"], rel=tolerance)
    assert info.origin_mm == pytest.approx(PLACE["origin_mm"], rel=tolerance)
    if suffix != ".vgi":
        assert (info.calibrations, info.default_unit_type) == ((LINE,), "Density")
    with formats.reader(path) as reader:
        np.testing.assert_array_equal(reader.read(9, 11), bone[9:11])
        np.testing.assert_array_equal(reader.read(2, 4), bone[2:4])


@pytest.mark.parametrize("pixel_type", list(PixelType))
@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha", ".tif", ".zarr", ".omni"])
def test_every_pixel_type_comes_back(tmp_path, write_array, read_array, suffix, pixel_type):
    array = np.arange(24).reshape(2, 3, 4).astype(pixel_type.code)
    path = write_array(tmp_path / f"a{suffix}", array)
    found = read_array(path)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_nifti_is_what_nibabel_reads(tmp_path, write_array, bone):
    for name in ("a.nii", "a.nii.gz"):
        image = nibabel.load(write_array(tmp_path / name, bone, **PLACE))
        np.testing.assert_array_equal(np.asanyarray(image.dataobj).T, bone)
        assert np.allclose(np.diag(image.affine), [-0.0607, -0.0608, 0.082, 1])
        assert np.allclose(image.affine[:3, 3], [-1.5, 2.25, 3.0])


def test_nifti_of_nibabel_is_read_with_its_scale(tmp_path, formats, read_array, bone):
    image = nibabel.Nifti1Image(bone.T, np.diag([0.1, 0.2, 0.3, 1]))
    image.header.set_slope_inter(2.0, -1000.0)
    nibabel.save(image, tmp_path / "a.nii")
    info = formats.describe(tmp_path / "a.nii")
    assert info.spacing_mm == pytest.approx((0.1, 0.2, 0.3))
    np.testing.assert_allclose(
        info.calibration("Scaled").raw_to_calibrated(read_array(tmp_path / "a.nii")),
        np.asanyarray(nibabel.load(tmp_path / "a.nii").dataobj).T,
    )


def test_nrrd_is_what_pynrrd_reads_and_writes(tmp_path, formats, write_array, read_array, bone):
    array, header = nrrd.read(str(write_array(tmp_path / "a.nrrd", bone, **PLACE)), index_order="C")
    np.testing.assert_array_equal(array, bone)
    assert np.allclose(header["space origin"], PLACE["origin_mm"])
    for encoding in ("raw", "gzip"):
        path = tmp_path / f"{encoding}.nrrd"
        nrrd.write(str(path), bone, {"encoding": encoding, "spacings": [0.1, 0.2, 0.3]}, index_order="C")
        np.testing.assert_array_equal(read_array(path), bone)
        assert formats.describe(path).spacing_mm == pytest.approx((0.1, 0.2, 0.3))


def test_nrrd_skips_bytes_of_what_was_packed(tmp_path, read_array, bone):
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 30 21 13\nendian: little\nencoding: gzip\nbyte skip: 7\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + gzip.compress(b"\xaa" * 7 + bone.tobytes()))
    np.testing.assert_array_equal(read_array(tmp_path / "a.nrrd"), bone)


def test_tiff_is_what_tifffile_reads_and_imagej_stacks_are_read(tmp_path, formats, write_array, read_array, bone):
    np.testing.assert_array_equal(tifffile.imread(write_array(tmp_path / "a.tif", bone, encoding="zlib")), bone)
    levels = bone.astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "ij.tif",
        levels,
        imagej=True,
        resolution=(10, 20),
        metadata={"spacing": 0.3, "unit": "mm", "axes": "ZYX"},
    )
    np.testing.assert_array_equal(read_array(tmp_path / "ij.tif"), levels)
    assert formats.describe(tmp_path / "ij.tif").spacing_mm == pytest.approx((0.1, 0.05, 0.3))


def test_zarr_is_what_zarr_reads_and_version_2_is_read(tmp_path, write_array, read_array, bone):
    np.testing.assert_array_equal(zarr.open(str(write_array(tmp_path / "a.zarr", bone, slab=3)), mode="r")[:], bone)
    old = zarr.create_array(str(tmp_path / "old.zarr"), shape=bone.shape, dtype="i2", chunks=(4, 4, 4), zarr_format=2)
    old[:] = bone
    np.testing.assert_array_equal(read_array(tmp_path / "old.zarr"), bone)
    with pytest.raises(ImageError, match="exists"):
        write_array(tmp_path / "a.zarr", bone)


def test_a_dicom_series_is_sorted_by_place(tmp_path, formats, read_array, bone):
    series = generate_uid()
    for index in (2, 0, 1):
        dicom_slice(tmp_path / f"{9 - index}.dcm", bone[index], index * 0.5 - 3, series)
    info = formats.describe(tmp_path)
    assert (info.size, info.spacing_mm, info.origin_mm) == ((30, 21, 3), (0.1, 0.2, 0.5), (5.0, 6.0, -3.0))
    assert info.calibration("HU").raw_to_calibrated(512) == 0
    np.testing.assert_array_equal(read_array(tmp_path), bone[:3])
    dicom_slice(tmp_path / "other.dcm", bone[0], 7, generate_uid())
    with pytest.raises(UnsupportedImage, match="2 series"):
        formats.describe(tmp_path)


TURNED = np.array([[0, -0.6, 0.8], [1, 0, 0], [0, 0.8, 0.6]])
"""Columns: the axes x, y and z of a volume that lies oblique, and mirrored, in space (left, back, up)."""


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".tif", ".zarr", ".omni"])
def test_where_axes_point_to_comes_back(tmp_path, formats, write_array, bone, suffix):
    path = write_array(tmp_path / f"a{suffix}", bone, direction=tuple(TURNED.ravel()), **PLACE)
    info = formats.describe(path)
    assert info.direction == pytest.approx(TURNED.ravel(), abs=1e-7)
    assert info.spacing_mm == pytest.approx(PLACE["spacing_mm"], rel=1e-6)


def test_a_nifti_whose_axes_point_right_and_front_is_not_mirrored(tmp_path, formats, bone):
    affine = np.array([[0.5, 0, 0, 10], [0, 0.6, 0, 20], [0, 0, 0.7, 30], [0, 0, 0, 1]])
    nibabel.Nifti1Image(bone.T, affine).to_filename(tmp_path / "a.nii")
    assert formats.describe(tmp_path / "a.nii").spacing_mm == (0.5, 0.6, 0.7)
    for source, target in (("a.nii", "b.omni"), ("b.omni", "c.nrrd"), ("c.nrrd", "d.mha"), ("d.mha", "e.nii")):
        convert(formats, tmp_path / source, tmp_path / target)
        assert formats.describe(tmp_path / target).direction == (-1, 0, 0, 0, -1, 0, 0, 0, 1)
    again = nibabel.load(tmp_path / "e.nii")
    np.testing.assert_allclose(again.affine, affine, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(again.dataobj), bone.T)
    header = nrrd.read_header(str(tmp_path / "c.nrrd"))
    np.testing.assert_allclose(header["space directions"], np.diag([-0.5, -0.6, 0.7]))
    np.testing.assert_allclose(header["space origin"], (-10, -20, 30))


def test_a_nifti_without_place_has_none(tmp_path, formats, bone):
    image = nibabel.Nifti1Image(bone.T, None)
    image.header.set_zooms((0.5, 0.6, 0.7))
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / "a.nii")
    info = formats.describe(tmp_path / "a.nii")
    assert (info.spacing_mm, info.origin_mm) == ((0.5, 0.6, 0.7), (0, 0, 0))
    assert info.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)


def test_lengths_are_taken_in_the_units_that_a_file_states(tmp_path, formats, bone):
    image = nibabel.Nifti1Image(bone.T, np.diag([-60.7, -60.7, 82, 1]))
    image.header.set_xyzt_units("micron")
    image.to_filename(tmp_path / "a.nii")
    units = {"space dimension": 3, "space units": ["um"] * 3, "space directions": np.diag([60.7, 60.7, 82])}
    nrrd.write(str(tmp_path / "a.nrrd"), bone.T, units)
    sizes = {f"PhysicalSize{axis}": 60.7 if axis != "Z" else 82.0 for axis in "XYZ"}
    tifffile.imwrite(tmp_path / "a.ome.tif", bone.view(np.uint16), metadata={"axes": "ZYX", **sizes}, ome=True)
    for name in ("a.nii", "a.nrrd", "a.ome.tif"):
        assert formats.describe(tmp_path / name).spacing_mm == pytest.approx((0.0607, 0.0607, 0.082)), name


def test_an_oblique_series_keeps_its_planes(tmp_path, formats, bone):
    series = generate_uid()
    for index in range(2):
        path = tmp_path / f"{index}.dcm"
        dicom_slice(path, bone[index], 0, series)
        data = pydicom.dcmread(path)
        data.ImageOrientationPatient = [0, 1, 0, -0.6, 0, 0.8]
        data.ImagePositionPatient = [0.8 * index, 0, 0.6 * index]
        data.save_as(path)
    info = formats.describe(tmp_path)
    assert info.direction == pytest.approx(TURNED.ravel())
    assert info.spacing_mm[2] == pytest.approx(1)


def test_a_damaged_page_of_a_tiff_is_an_image_error(tmp_path, formats, write_array, bone):
    whole = write_array(tmp_path / "a.tif", bone[:3, :6, :7]).read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        second = file.pages[1].offset
    errors = []
    for offset in range(second, second + 120, 2):
        (tmp_path / "b.tif").write_bytes(whole[:offset] + b"\xff\xff" + whole[offset + 2 :])
        try:
            with formats.reader(tmp_path / "b.tif") as reader:
                reader.read(0, reader.info.size[2])
        except ImageError as error:  # many damages are harmless
            errors.append(str(error))
    assert errors
    assert all("b.tif" in error for error in errors)


def test_big_endian_pixels_are_read(tmp_path, read_array, bone):
    header = "ObjectType = Image\nNDims = 3\nDimSize = 30 21 13\nElementType = MET_SHORT\n"
    header += "BinaryDataByteOrderMSB = True\nElementDataFile = LOCAL\n"
    (tmp_path / "big.mha").write_bytes(header.encode() + bone.astype(">i2").tobytes())
    np.testing.assert_array_equal(read_array(tmp_path / "big.mha"), bone)


def test_a_header_cannot_name_a_file_elsewhere(tmp_path, formats):
    header = "ObjectType = Image\nNDims = 1\nDimSize = 3\nElementType = MET_CHAR\nElementDataFile = ../secret\n"
    (tmp_path / "a.mhd").write_text(header)
    with pytest.raises(ImageFormatError, match="not the name of a file beside"):
        formats.describe(tmp_path / "a.mhd")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".tif", ".vgi"])
def test_files_cut_short_are_refused(tmp_path, write_array, read_array, bone, suffix):
    path = write_array(tmp_path / f"a{suffix}", bone)
    pixels = {".mhd": ".raw", ".vgi": ".vol"}.get(suffix)
    target = path.with_suffix(pixels) if pixels else path
    whole = target.read_bytes()
    for share in (0.1, 0.5, 0.9):
        target.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ImageError, match="a\\."):
            read_array(path)


def test_a_compressed_bomb_is_refused(tmp_path, formats):
    header = nibabel.Nifti1Header()
    header.set_data_shape((30_000, 30_000, 30_000))
    header.set_data_dtype(np.int16)
    header["magic"], header["vox_offset"] = b"n+1", 352
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(bytes(header.binaryblock) + bytes(100_000)))
    with pytest.raises(ImageFormatError, match="cannot hold"):
        formats.reader(tmp_path / "bomb.nii.gz")


def test_formats_convert_into_each_other(tmp_path, formats, write_array, read_array, bone):
    before = write_array(tmp_path / "0.AIM", bone, calibrations=(LINE,), spacing_mm=(0.0607, 0.0607, 0.0607))
    for number, suffix in enumerate([".omni", ".nii", ".nrrd", ".mha", ".tif", ".zarr", ".nii.gz", ".isq"], 1):
        after = tmp_path / f"{number}{suffix}"
        convert(formats, before, after)
        np.testing.assert_array_equal(read_array(after), bone)
        line = formats.describe(after).calibration("Density")
        assert (line.slope, line.intercept) == pytest.approx((0.2, -390.5))
        before = after


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("NDims = inf", "NDims"),
        ("DimSize = -inf 2 3", "DimSize"),
        ("DimSize = 2.5 2 3", "DimSize"),
        ("DimSize = 0 2 3", "DimSize"),
        ("HeaderSize = inf", "HeaderSize"),
        ("HeaderSize = -2", "HeaderSize"),
        ("ElementSpacing = inf 1 1", "ElementSpacing"),
        ("ElementSpacing = 1e300 1 1", "spacing_mm"),
        ("Offset = nan 1 1", "Offset"),
    ],
)
def test_numbers_of_a_metaimage_that_cannot_be_right_are_named(tmp_path, formats, line, field):
    lines = {"NDims": "3", "DimSize": "2 2 3", "ElementType": "MET_UCHAR"}
    key, _, value = line.partition(" = ")
    text = "".join(f"{name} = {given}\n" for name, given in {**lines, key: value, "ElementDataFile": "LOCAL"}.items())
    (tmp_path / "a.mha").write_bytes(text.encode() + bytes(12))
    with pytest.raises(ImageFormatError) as caught:
        formats.describe(tmp_path / "a.mha")
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("skipheader = inf", "skipheader"),
        ("skipheader = -5", "skipheader"),
        ("bitsperelement = 1e999", "bitsperelement"),
        ("position = inf 0 0", "position"),
        ("resolution = 0 1 1", "spacing_mm"),
    ],
)
def test_numbers_of_a_vgi_that_cannot_be_right_are_named(tmp_path, formats, line, field):
    (tmp_path / "a.vgi").write_text(f"{{volume1}}\n[representation]\nsize = 2 2 2\nbitsperelement = 8\n{line}\n")
    text = (tmp_path / "a.vgi").read_text().replace("bitsperelement = 8\nbits", "bits")
    (tmp_path / "a.vgi").write_text(text)
    (tmp_path / "a.vol").write_bytes(bytes(8))
    with pytest.raises(ImageFormatError) as caught:
        formats.describe(tmp_path / "a.vgi")
    assert caught.value.field == field
