"""DICOM: geometry and scale are exact, or refused, or what is not stated is named."""

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from xfworker.adapters.images.dicom_frames import frames_of
from xfworker.adapters.images.dicom_geometry import volume_of
from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.services.images.conversion import convert

ACROSS = [1, 0, 0, 0, 1, 0]
SPACING = [0.082, 0.0607]
"""mm between rows and between columns: y before x."""


@pytest.fixture
def levels():
    return np.random.default_rng(3).integers(-900, 900, (6, 7, 9), np.int16)


def file_of(path, pixels, **stated):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=stated.pop("preamble", b"\0" * 128))
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID, data.Modality = "1.2.3", "CT"
    data.Rows, data.Columns = pixels.shape[-2:]
    data.BitsAllocated = data.BitsStored = pixels.itemsize * 8
    data.HighBit, data.SamplesPerPixel = data.BitsStored - 1, 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PhotometricInterpretation = "MONOCHROME2"
    for name, value in stated.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)


def series(folder, levels, places, **stated):
    """Write a slice per place; a stated callable gets the number of the slice."""
    folder.mkdir(exist_ok=True)
    for index, place in enumerate(places):
        own = {name: value(index) if callable(value) else value for name, value in stated.items()}
        known = {
            "InstanceNumber": index + 1,
            "PixelSpacing": SPACING,
            "ImageOrientationPatient": ACROSS,
            "ImagePositionPatient": place,
            "RescaleSlope": 2,
            "RescaleIntercept": -1000,
            **own,
        }
        file_of(
            folder / f"IM{index:03}",
            levels[index % len(levels)],
            **{name: value for name, value in known.items() if value is not None},
        )
    return folder


def along(*places):
    return [[1, 2, place] for place in places]


REGULAR = along(3, 3.05, 3.1, 3.15, 3.2, 3.25)


def groups(**stated):
    """Give functional groups from attributes by the name of their sequence."""
    item = Dataset()
    for name, attributes in stated.items():
        inner = Dataset()
        for attribute, value in attributes.items():
            setattr(inner, attribute, value)
        setattr(item, name, pydicom.Sequence([inner]))
    return item


def enhanced(path, levels, frames, **shared):
    """Write an enhanced file; frames are what its per-frame groups state."""
    known = {
        "PixelMeasuresSequence": {"PixelSpacing": SPACING, "SliceThickness": 0.05},
        "PlaneOrientationSequence": {"ImageOrientationPatient": ACROSS},
        "PixelValueTransformationSequence": {"RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU"},
        **shared,
    }
    file_of(
        path,
        levels,
        SOPClassUID=EnhancedCTImageStorage,
        NumberOfFrames=len(frames),
        SharedFunctionalGroupsSequence=[groups(**known)],
        PerFrameFunctionalGroupsSequence=[groups(**frame) for frame in frames],
    )
    return path


def at(place):
    return {"PlanePositionSequence": {"ImagePositionPatient": place}}


def test_an_enhanced_file_is_sorted_and_scaled_by_its_groups(tmp_path, formats, levels, read_array):
    path = enhanced(tmp_path / "a.dcm", levels, [at(place) for place in reversed(REGULAR)])
    info = formats.describe(path)
    assert (info.spacing_mm, info.origin_mm, info.size) == ((0.0607, 0.082, 0.05), (1, 2, 3), (9, 7, 6))
    assert info.calibration("HU").line() == (1, -1024)
    np.testing.assert_array_equal(read_array(path), levels[::-1])
    with formats.reader(path) as reader:
        np.testing.assert_array_equal(reader.read(2, 4), levels[::-1][2:4])


def test_an_enhanced_file_is_what_simpleitk_reads(tmp_path, formats, levels):
    path = enhanced(tmp_path / "a.dcm", levels, [at(place) for place in REGULAR])
    judge = SimpleITK.ReadImage(str(path))
    info = formats.describe(path)
    assert info.spacing_mm == pytest.approx(judge.GetSpacing())
    assert info.origin_mm == pytest.approx(judge.GetOrigin())


def test_groups_that_are_not_those_of_the_frames_are_refused(tmp_path, formats, levels):
    path = enhanced(tmp_path / "a.dcm", levels, [at(place) for place in REGULAR])
    data = pydicom.dcmread(path)
    del data.PerFrameFunctionalGroupsSequence[-1]
    data.save_as(path)
    with pytest.raises(ImageFormatError, match="states 6 frames, and functional groups of 5"):
        formats.describe(path)


def test_frames_of_different_scales_are_refused(tmp_path, formats, levels):
    scales = [
        {**at(place), "PixelValueTransformationSequence": {"RescaleSlope": 1 + n % 2, "RescaleIntercept": 0}}
        for n, place in enumerate(REGULAR)
    ]
    with pytest.raises(UnsupportedImage, match="2 scales"):
        formats.describe(enhanced(tmp_path / "a.dcm", levels, scales))
    with pytest.raises(UnsupportedImage, match="6 scales"):
        formats.describe(series(tmp_path / "s", levels, REGULAR, RescaleSlope=lambda index: index + 1))


def test_frames_without_positions_go_by_what_is_named(tmp_path, formats, levels):
    path = enhanced(tmp_path / "a.dcm", levels, [{} for _ in REGULAR])
    info = formats.describe(path)
    assert info.spacing_mm == (0.0607, 0.082, 0.05)
    assert ["as they stand in the file and 0.05 mm apart by SliceThickness" in said for said in info.assumptions] == [1]


def test_a_stack_of_frames_at_given_offsets_is_read(tmp_path, formats, levels):
    offsets = [0, 0.05, 0.1, 0.15, 0.2, 0.25]
    file_of(
        tmp_path / "dose.dcm",
        levels,
        NumberOfFrames=6,
        GridFrameOffsetVector=offsets,
        ImagePositionPatient=[1, 2, 3],
        ImageOrientationPatient=ACROSS,
        PixelSpacing=SPACING,
    )
    info = formats.describe(tmp_path / "dose.dcm")
    assert (info.spacing_mm, info.origin_mm, info.assumptions) == ((0.0607, 0.082, 0.05), (1, 2, 3), ())


def test_a_series_is_what_simpleitk_reads(tmp_path, formats, levels, read_array):
    folder = series(tmp_path / "s", levels, list(reversed(REGULAR)))
    files = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    judge = SimpleITK.ReadImage(files)
    info = formats.describe(folder)
    assert info.spacing_mm == pytest.approx(judge.GetSpacing())
    assert info.origin_mm == pytest.approx(judge.GetOrigin())
    values = info.calibration("HU").raw_to_calibrated(read_array(folder).astype(float))
    np.testing.assert_array_equal(values, SimpleITK.GetArrayFromImage(judge))


def test_a_missing_slice_is_refused_with_its_place(tmp_path, formats, levels):
    folder = series(tmp_path / "s", levels, along(3, 3.05, 3.1, 3.2, 3.25))
    with pytest.raises(
        UnsupportedImage, match=r"0\.1 mm from 3\.1 \(IM002\) to 3\.2 \(IM003\); the usual one is 0\.05"
    ):
        formats.describe(folder)


@pytest.mark.parametrize(
    "places",
    [
        (0, 1.25, 2.5, 22, 23.25),
        (0, 1, 3, 4),
        (0, 1, 3),
        (0, 1, 2, 3, 4.5),
        (0, 0.05, 0.1, 0.17, 0.2),
        tuple(1.02**n for n in range(40)),
    ],
)
def test_irregular_distances_are_refused(tmp_path, formats, levels, places):
    with pytest.raises(UnsupportedImage, match="distances between slices are not equal"):
        formats.describe(series(tmp_path / "s", levels, along(*places)))


def test_positions_that_were_rounded_to_their_decimals_are_regular(tmp_path, formats, levels):
    places = [f"{0.0607 * n:.2f}" for n in range(20)]
    info = formats.describe(series(tmp_path / "s", levels, [["1", "2", place] for place in places]))
    assert info.spacing_mm[2] == pytest.approx(0.0607, rel=0.01)


def test_two_images_at_one_position_are_refused(tmp_path, formats, levels):
    with pytest.raises(UnsupportedImage, match=r"IM001 and IM002 are both at 3\.05 mm"):
        formats.describe(series(tmp_path / "s", levels, along(3, 3.05, 3.05, 3.1)))


def test_mixed_orientations_are_refused(tmp_path, formats, levels):
    turn = lambda index: [0, 1, 0, 0, 0, -1] if index == 3 else ACROSS  # noqa: E731 - one expression
    with pytest.raises(UnsupportedImage, match=r"several orientations: IM000 has 1 0 0 0 1 0, IM003 has"):
        formats.describe(series(tmp_path / "s", levels, REGULAR, ImageOrientationPatient=turn))


def test_a_tilted_gantry_is_refused_with_its_shear(tmp_path, formats, levels):
    places = [[1, 2 + 0.79 * n, 1.25 * n] for n in range(6)]
    with pytest.raises(UnsupportedImage, match=r"on average 0\.79 mm a slice\), as with a tilted gantry"):
        formats.describe(series(tmp_path / "s", levels, places))


def test_one_slice_that_is_shifted_is_refused(tmp_path, formats, levels):
    places = [[1 + 0.02 * (n == 2), 2, 0.05 * n] for n in range(6)]
    with pytest.raises(UnsupportedImage, match=r"IM002 by 0\.02 mm from IM000"):
        formats.describe(series(tmp_path / "s", levels, places))


def test_different_pixel_spacings_are_refused(tmp_path, formats, levels):
    spacing = lambda index: [0.1, 0.1 + 0.1 * (index == 4)]  # noqa: E731 - one expression
    with pytest.raises(UnsupportedImage, match="different pixel spacings"):
        formats.describe(series(tmp_path / "s", levels, REGULAR, PixelSpacing=spacing))


def test_slices_of_which_some_have_no_position_are_refused(tmp_path, formats, levels):
    places = [place if index != 2 else None for index, place in enumerate(REGULAR)]
    with pytest.raises(UnsupportedImage, match="1 of 6 slices state no position"):
        formats.describe(series(tmp_path / "s", levels, places))


NOWHERE = [None] * 6


def test_without_positions_slice_locations_are_taken_and_named(tmp_path, formats, levels, read_array):
    folder = series(tmp_path / "s", levels, NOWHERE, SliceLocation=lambda index: 7 - 0.05 * index)
    info = formats.describe(folder)
    assert info.spacing_mm == (0.0607, 0.082, 0.05)
    assert ["by SliceLocation" in said for said in info.assumptions] == [True]
    np.testing.assert_array_equal(read_array(folder), levels[::-1])
    with pytest.raises(UnsupportedImage, match="not equal"):
        formats.describe(series(folder, levels, NOWHERE, SliceLocation=lambda index: 0.05 * index + (index > 3)))


def test_without_any_place_the_order_and_thickness_are_taken_and_named(tmp_path, formats, levels):
    folder = series(tmp_path / "s", levels, NOWHERE, SliceThickness=0.05, InstanceNumber=lambda index: 10 + index)
    info = formats.describe(folder)
    assert info.spacing_mm == (0.0607, 0.082, 0.05)
    assert ["ordered by InstanceNumber and 0.05 mm apart by SliceThickness" in said for said in info.assumptions] == [1]


def test_a_negative_distance_of_slices_is_that_distance(tmp_path, formats, levels):
    stated = {"SpacingBetweenSlices": -0.05, "InstanceNumber": lambda index: 10 + index}
    assert formats.describe(series(tmp_path / "s", levels, NOWHERE, **stated)).spacing_mm[2] == 0.05


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"SliceThickness": 0.05, "InstanceNumber": None},
        {"SliceThickness": 0.05, "InstanceNumber": lambda index: index * 2},
        {"SliceThickness": 0.05, "InstanceNumber": 1},
        {"SliceThickness": lambda index: 1 + index, "InstanceNumber": lambda index: index},
    ],
)
def test_without_anything_that_orders_slices_they_are_refused(tmp_path, formats, levels, stated):
    with pytest.raises(UnsupportedImage, match="their order and distance are not known"):
        formats.describe(series(tmp_path / "s", levels, NOWHERE, **stated))


def test_a_missing_pixel_spacing_is_named(tmp_path, formats, levels):
    info = formats.describe(series(tmp_path / "s", levels, REGULAR, PixelSpacing=None))
    assert info.assumptions == ("states no spacing (PixelSpacing); 1 mm is taken",)


def test_a_dicom_that_begins_as_a_tiff_is_a_dicom(tmp_path, formats, levels):
    preamble = b"II*\0\x08\0\0\0".ljust(128, b"\0")
    folder = series(tmp_path / "s", levels, along(3), preamble=lambda _: preamble)
    assert formats.describe(folder / "IM000").format == "DICOM"


def test_other_files_may_come_first_in_a_folder(tmp_path, formats, levels):
    folder = series(tmp_path / "s", levels, REGULAR)
    for number in range(30):
        (folder / f"._IM{number:03}").write_bytes(b"\0\x05\x16\x07" * 40)
        (folder / f"A{number}.txt").write_text("notes")
    (folder / "A folder").mkdir()
    assert formats.describe(folder).size == (9, 7, 6)


@pytest.mark.parametrize(
    ("stated", "unit_type", "unit_name"),
    [
        ({}, "HU", "HU"),
        ({"RescaleType": "HU"}, "HU", "HU"),
        ({"RescaleType": "mg HA/ccm"}, "Density", "mg HA/ccm"),
        ({"RescaleType": "1/cm"}, "LinearAttenuation", "1/cm"),
        ({"RescaleType": "US"}, "Scaled", None),
        ({"RescaleType": "OD"}, "Scaled", "OD"),
        ({"Modality": "MR"}, "Scaled", None),
    ],
)
def test_the_scale_has_the_unit_that_is_stated(tmp_path, formats, levels, stated, unit_type, unit_name):
    (line,) = formats.describe(series(tmp_path / "s", levels, REGULAR, **stated)).calibrations
    assert (line.unit_type, line.unit_name, *line.line()) == (unit_type, unit_name, 2, -1000)


@pytest.mark.parametrize(("tag", "damage"), [(b"\x28\0\x10\0US", 0x55), (b"\x28\0\x11\0US", 0), (b"\x08\0\x60\0CS", 9)])
def test_a_damaged_value_is_an_image_error(tmp_path, formats, levels, tag, damage):
    path = series(tmp_path / "s", levels, along(3)) / "IM000"
    data = bytearray(path.read_bytes())
    data[data.index(tag) + 5] = damage
    path.write_bytes(data)
    with pytest.raises(ImageError, match="IM000"):
        formats.describe(path)


def test_values_that_are_hounsfield_units_already_are_known_as_such(tmp_path, formats, levels):
    folder = series(tmp_path / "s", levels, REGULAR, RescaleSlope=1, RescaleIntercept=0)
    assert formats.describe(folder).calibration("HU").line() == (1, 0)
    with pytest.raises(ImageFormatError, match="cannot be right"):
        formats.describe(series(folder, levels, REGULAR, RescaleSlope=0))


def test_a_nifti_of_a_series_has_the_values_and_places_of_the_series(tmp_path, formats, levels):
    folder = series(tmp_path / "s", levels, REGULAR, RescaleIntercept=-1024)
    done = convert(formats, folder, tmp_path / "a.nii")
    assert done.losses == ()
    judge = nibabel.load(tmp_path / "a.nii")
    np.testing.assert_allclose(judge.get_fdata().T, levels * 2.0 - 1024)
    np.testing.assert_allclose(judge.affine @ [0, 0, 1, 1], [-1, -2, 3.05, 1], rtol=1e-6)


def unit_vectors():
    angles = st.floats(-3, 3)
    return st.tuples(angles, angles, angles)


@settings(max_examples=100, deadline=None)
@given(unit_vectors(), st.floats(0.001, 10), st.integers(2, 9), st.randoms())
def test_a_regular_series_in_any_orientation_is_read_and_one_that_lacks_a_slice_is_not(angles, gap, count, random):
    turned = np.eye(3)
    for axis, angle in zip(itertools.cycle([(0, 1), (1, 2), (0, 2)]), angles, strict=False):
        turn = np.eye(3)
        turn[np.ix_(axis, axis)] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        turned = turned @ turn
    begin = np.array([10.0, -20.0, 30.0])

    def frames(numbers):
        for number in numbers:
            header = Dataset()
            header.PixelSpacing = [0.5, 0.25]
            header.ImageOrientationPatient = [f"{value:.9g}" for value in turned[:, :2].T.ravel()]
            header.ImagePositionPatient = [f"{value:.9g}" for value in begin + turned[:, 2] * gap * number]
            yield from frames_of(header, Path(f"IM{number}"))

    order = list(range(count))
    random.shuffle(order)
    volume = volume_of(list(frames(order)), Path("s"))
    assert [frame.path for frame in volume.frames] == [Path(f"IM{number}") for number in range(count)]
    assert volume.spacing_mm == pytest.approx((0.25, 0.5, gap), rel=1e-3)
    assert volume.direction == pytest.approx(turned.ravel(), abs=1e-6)
    if count > 3:
        missing = random.randrange(1, count - 1)
        with pytest.raises(UnsupportedImage):
            volume_of(list(frames([number for number in order if number != missing])), Path("s"))


@pytest.mark.parametrize("shown", ["MONOCHROME1", "PALETTE COLOR"])
def test_values_that_are_shown_otherwise_are_named(tmp_path, formats, read_array, levels, shown):
    folder = series(tmp_path / "a", levels, along(0, 1, 2), PhotometricInterpretation=shown)
    (said,) = formats.describe(folder).assumptions
    assert said == f"is shown as {shown} and not from black to white; values are taken as they are stored"
    np.testing.assert_array_equal(read_array(folder), levels[:3])


def test_a_series_is_opened_by_one_of_its_files_beside_other_series(tmp_path, formats, levels):
    series(tmp_path, levels, [[0, 0, place] for place in range(6)])
    for file in tmp_path.iterdir():
        file.rename(file.with_name(f"first-{file.name}"))
    series(tmp_path, levels[::-1], [[0, 0, place] for place in range(6)], SeriesInstanceUID="1.2.4")
    (tmp_path / "notes.txt").write_text("not a slice")
    first, second = sorted(tmp_path.glob("first-*")), sorted(set(tmp_path.glob("*")) - set(tmp_path.glob("first-*")))
    with pytest.raises(UnsupportedImage, match="2 series"):
        formats.describe(tmp_path)
    for member, pixels in ((first[3], levels), (second[0], levels[::-1])):
        with formats.series_reader(member) as reader:
            np.testing.assert_array_equal(reader.read(0, 6), pixels)
