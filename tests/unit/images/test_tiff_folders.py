"""Folders with one TIFF per slice: their order, gaps, strays, and how far apart slices are."""

import numpy as np
import pytest
import tifffile

from xfworker.api.cli.main import main
from xfworker.api.facade import omni
from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage, UsageError
from xfworker.services.images.conversion import convert

VOLUME = np.random.default_rng(8).integers(0, 60_000, (12, 5, 6), np.uint16)
CM = {"resolution": (1000, 1000), "resolutionunit": "CENTIMETER"}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "slices"
    made.mkdir()
    return made


def export(folder, names, volume=VOLUME, **options):
    for name, plane in zip(names, volume, strict=True):
        tifffile.imwrite(folder / name, plane, **{**CM, **options})
    return folder


@pytest.mark.parametrize(
    "names",
    [
        [f"scan_{number:04}.tif" for number in range(12)],
        [f"Slice {number}.TIFF" for number in range(5, 17)],
        [f"10um_{number}_rec2.tif" for number in range(98, 110)],
        [f"{number}.tif" for number in range(1, 13)],
    ],
)
def test_slices_follow_their_numbers_whatever_digits_names_have(folder, formats, read_array, names):
    export(folder, names)
    info = formats.describe(folder)
    assert (info.format, info.size, info.pixel_type.value) == ("TIFF folder", (6, 5, 12), "uint16")
    np.testing.assert_array_equal(read_array(folder), VOLUME)
    with formats.reader(folder) as reader:
        np.testing.assert_array_equal(reader.read(7, 9), VOLUME[7:9])


def test_a_missing_slice_is_named(folder, formats):
    export(folder, [f"a{number}.tif" for number in (1, 2, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15)])
    with pytest.raises(ImageFormatError, match="number 3, 6, 7"):
        formats.describe(folder)


def test_a_stray_number_is_a_gap_however_large(folder, formats):
    export(folder, ["a1.tif", "a2.tif", f"a{10**18}.tif"], VOLUME[:3])
    with pytest.raises(ImageFormatError, match=r"number 3, 4, 5, 6, 7, \.\.\."):
        formats.describe(folder)


def test_a_slice_that_is_there_twice_is_named(folder, formats):
    export(folder, [*[f"a{number}.tif" for number in range(11)], "a05.tif"])
    with pytest.raises(ImageFormatError, match="slice 5 is there twice"):
        formats.describe(folder)


def test_two_series_are_refused_and_a_lone_picture_is_left_out(folder, formats, read_array):
    export(folder, [f"a{number}.tif" for number in range(12)])
    tifffile.imwrite(folder / "a_spr.tif", VOLUME[0])
    (folder / "a.log").write_text("text")
    (folder / "._a3.tif").write_bytes(b"of another system")
    assert any("a_spr.tif" in one for one in formats.describe(folder).assumptions)
    np.testing.assert_array_equal(read_array(folder), VOLUME)
    export(folder, [f"b{number}.tif" for number in range(3)], VOLUME[:3])
    with pytest.raises(UnsupportedImage, match="several series"):
        formats.describe(folder)


def test_names_that_differ_in_two_numbers_are_refused(folder, formats):
    export(folder, [f"s{number // 6}_{number % 6}.tif" for number in range(12)])
    with pytest.raises(UnsupportedImage, match="2 numbers"):
        formats.describe(folder)


def test_numbers_in_steps_are_named(folder, formats):
    export(folder, [f"a{number * 5:03}.tif" for number in range(12)])
    assert any("steps of 5" in one for one in formats.describe(folder).assumptions)


@pytest.mark.parametrize("at", [3, 11])
def test_a_slice_of_another_size_or_type_is_named(folder, formats, read_array, at):
    export(folder, [f"a{number}.tif" for number in range(12)])
    tifffile.imwrite(folder / f"a{at}.tif", VOLUME[at][:, :4])
    with pytest.raises(ImageFormatError, match=rf"a{at}\.tif"):
        read_array(folder)


def test_a_file_of_several_slices_is_not_one_slice(folder, formats):
    for number in range(3):
        tifffile.imwrite(folder / f"a{number}.tif", VOLUME[:4], photometric="minisblack")
    with pytest.raises(UnsupportedImage, match="4 slices"):
        formats.describe(folder)


def test_the_distance_between_slices_is_stated_or_named(folder, tmp_path, formats):
    export(folder, [f"a{number}.tif" for number in range(12)])
    info = formats.describe(folder)
    assert info.spacing_mm == pytest.approx((0.01, 0.01, 0.01))
    assert any("distance between slices" in one for one in info.assumptions)
    other = tmp_path / "imagej"
    other.mkdir()
    for number, plane in enumerate(VOLUME):
        tifffile.imwrite(
            other / f"a{number}.tif",
            plane,
            imagej=True,
            resolution=(100, 100),
            metadata={"unit": "mm", "spacing": 0.05},
        )
    info = formats.describe(other)
    assert (info.spacing_mm, info.assumptions) == (pytest.approx((0.01, 0.01, 0.05)), ())


def test_a_conversion_takes_a_stated_spacing(folder, tmp_path, formats, read_array, capsys):
    export(folder, [f"a{number}.tif" for number in range(12)], resolution=None, resolutionunit=None)
    words = ["image", "convert", str(folder), str(tmp_path / "a.omni"), "--spacing", "0.02", "0.03", "0.04"]
    assert main(words) == 0
    assert capsys.readouterr().err == ""
    assert formats.describe(tmp_path / "a.omni").spacing_mm == (0.02, 0.03, 0.04)
    np.testing.assert_array_equal(read_array(tmp_path / "a.omni"), VOLUME)
    assert main([*words[:-1], "0"]) == 2
    assert "positive" in capsys.readouterr().err
    assert main(words[:4]) == 0
    assert "states no spacing" in capsys.readouterr().err


def test_of_a_spacing_that_is_stated_in_part_only_that_part_is_named(folder, tmp_path, formats):
    export(folder, ["a1.tif", "a2.tif"], VOLUME[:2], resolution=(100, 100), resolutionunit="CENTIMETER")
    done = convert(formats, folder, tmp_path / "a.omni", spacing_mm=(0.1, 0.1, 0.2))
    assert done.source.assumptions == ()
    done = convert(formats, folder, tmp_path / "a.omni", spacing_mm=(0.1, 0.3, 0.2))
    assert done.source.assumptions == ("states a spacing of 0.1 x 0.1 mm; 0.1 x 0.3 mm is taken, as it was asked for",)


def test_what_is_read_is_not_written_over(folder, tmp_path, formats, write_array, capsys):
    export(folder, [f"a{number}.tif" for number in range(12)])
    assert main(["image", "convert", str(folder), str(folder / "a3.tif")]) == 2
    assert "would be replaced" in capsys.readouterr().err
    with pytest.raises(UnsupportedImage, match="convert it"):
        omni.open_image(folder)


def test_info_names_the_first_files_only(folder, capsys):
    export(folder, [f"a{number}.tif" for number in range(30)], np.zeros((30, 2, 2), np.uint8))
    assert main(["image", "info", str(folder)]) == 0
    assert "and 11 more" in capsys.readouterr().out


def test_a_folder_without_tiff_files_is_not_one(folder, formats):
    (folder / "a.txt").write_text("a")
    with pytest.raises(ImageError, match="known format"):
        formats.describe(folder)


def test_spacing_is_three_numbers(formats, folder, tmp_path):

    export(folder, [f"a{number}.tif" for number in range(12)])
    with pytest.raises(UsageError, match="three positive"):
        convert(formats, folder, tmp_path / "a.omni", spacing_mm=(1, 2))


def test_a_series_is_opened_by_one_of_its_slices_beside_other_series(folder, formats):
    export(folder, [f"a{number}.tif" for number in range(12)])
    export(folder, [f"b_{number}.tif" for number in range(3)], VOLUME[5:8])
    (folder / "table.csv").write_text("1;2")
    with formats.series_reader(folder / "a10.tif") as reader:
        assert (reader.info.size, reader.info.path.name) == ((6, 5, 12), "a10.tif")
        np.testing.assert_array_equal(reader.read(0, 12), VOLUME)
    with formats.series_reader(folder / "b_0.tif") as reader:
        np.testing.assert_array_equal(reader.read(0, 3), VOLUME[5:8])
    with pytest.raises(UnsupportedImage, match=r"table\.csv is not a slice of a series"):
        formats.series_reader(folder / "table.csv")
    (folder / "a4.tif").unlink()
    with pytest.raises(ImageFormatError, match="number 4"):
        formats.series_reader(folder / "a10.tif")
