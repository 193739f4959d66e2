"""What a file does not hold of an image is named, and nothing else is."""

from pathlib import Path

import pytest

from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.losses import calibration_losses, geometry_losses, losses
from xfworker.domain.image.pixel_type import PixelType

TURNED = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def image(**more):
    stated = {"axes": "XYZ", "size": (2, 3, 4), "spacing_mm": (0.5, 0.25, 2.0), "origin_mm": (1.0, -2.0, 3.0), **more}
    return ImageInfo(
        path=Path("a.omni"), format="OMNI", pixel_type=PixelType.INT16, pixels_path=Path("a.raw"), **stated
    )


def line(unit_type="Density", slope=2.0, intercept=3.0, unit_name=None, **more):
    return Calibration(unit_type=unit_type, slope=slope, intercept=intercept, unit_name=unit_name, **more)


@pytest.mark.parametrize(
    ("held", "lost"),
    [
        ({}, []),
        ({"spacing_mm": (0.5, 0.25, 2.0000001)}, []),
        ({"spacing_mm": (0.5, 0.25, 2.000001)}, ["the spacing 0.5 x 0.25 x 2 mm becomes 0.5 x 0.25 x 2.000001 mm"]),
        ({"spacing_mm": (0.6, 0.25, 2.0)}, ["the spacing 0.5 x 0.25 x 2 mm becomes 0.6 x 0.25 x 2 mm"]),
        ({"origin_mm": (1.00000005, -2.0, 3.0)}, []),
        ({"origin_mm": (1.0, -2.0, 3.1)}, ["the origin 1 x -2 x 3 mm becomes 1 x -2 x 3.1 mm"]),
        ({"origin_mm": (1.000001, -2.0, 3.0)}, ["the origin 1 x -2 x 3 mm becomes 1.000001 x -2 x 3 mm"]),
        ({"direction": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0000005, 1.0)}, []),
        ({"direction": TURNED}, ["where the axes point to in space, 1 0 0 0 1 0 0 0 1, becomes 0 1 0 -1 0 0 0 0 1"]),
        ({"labels": ({"value": 1},)}, []),
        (
            {"spacing_mm": (1.0, 1.0, 1.0), "origin_mm": (0.0, 0.0, 0.0)},
            ["the spacing 0.5 x 0.25 x 2 mm becomes 1 x 1 x 1 mm", "the origin 1 x -2 x 3 mm becomes 0 x 0 x 0 mm"],
        ),
    ],
)
def test_a_place_that_is_not_kept_is_named(held, lost):
    assert list(losses(image(), image(**held))) == lost


def test_an_origin_at_zero_may_differ_by_a_millionth_of_a_voxel():
    stated = image(origin_mm=(0.0, 0.0, 0.0))
    assert geometry_losses(stated, image(origin_mm=(0.0, 0.0, 1.9e-6))) == ()
    assert geometry_losses(stated, image(origin_mm=(0.0, 0.0, 2.1e-6))) != ()
    assert geometry_losses(stated, image(origin_mm=(0.0, 0.3e-6, 0.0))) != ()


def test_the_spacing_counts_along_axes_of_space_only():
    flat = image(axes="XY", size=(2, 3))
    assert geometry_losses(flat, image(axes="XY", size=(2, 3), spacing_mm=(0.5, 0.25, 1.0))) == ()
    assert geometry_losses(flat, image(axes="XY", size=(2, 3), spacing_mm=(0.5, 0.26, 2.0))) != ()
    colours = image(axes="CXY", size=(3, 2, 3))
    assert geometry_losses(colours, image(axes="CXY", size=(3, 2, 3), spacing_mm=(0.5, 0.25, 1.0))) == ()


def test_the_names_of_labels_are_kept_or_named():
    stated = image(labels=({"value": 1}, {"value": 2}))
    assert losses(stated, image()) == ("the names of 2 labels are not kept",)
    assert losses(stated, image(labels=({"value": 1},))) == ()


@pytest.mark.parametrize(
    ("stated", "held", "lost"),
    [
        ([], [], []),
        ([line()], [line()], []),
        ([line()], [line("density")], []),
        ([line()], [line(slope=2 * (1 + 1e-10), intercept=3 + 1e-9)], []),
        ([line(intercept=0.0)], [line(intercept=1e-9)], []),
        (
            [line()],
            [line("HU"), line()],
            ["the file states a calibration HU = 2 * raw + 3, which the image does not have"],
        ),
        ([line(unit_name="g/l")], [], ["the calibration Density = 2 * raw + 3 g/l is not kept"]),
        ([line()], [line(intercept=-3.0)], ["the calibration Density = 2 * raw + 3 becomes Density = 2 * raw - 3"]),
        (
            [line(slope=0.1)],
            [line(slope=0.2)],
            ["the calibration Density = 0.1 * raw + 3 becomes Density = 0.2 * raw + 3"],
        ),
        (
            [line("Mu", 1.0, 0.0, "1/mm")],
            [line("Mu", 1.0, 0.0, "1/cm")],
            ["the calibration Mu = 1 * raw + 0 1/mm becomes Mu = 1 * raw + 0 1/cm"],
        ),
        ([line("Mu", 1.0, 2.0, "1/mm")], [line("Mu", 10.0, 20.0, "1/cm")], []),
        ([line("Mu", 10.0, 20.0, "1/cm")], [line("Mu", 1.0, 2.0, "1/mm")], []),
        (
            [line("Mu", 1.0, 2.0, "1/mm")],
            [line("Mu", 1.0, 2.0, "g")],
            ["the calibration Mu = 1 * raw + 2 1/mm becomes Mu = 1 * raw + 2 g"],
        ),
        (
            [line("Mu", 1.0, 2.0, "g")],
            [line("Mu", 1.0, 2.0, "1/mm")],
            ["the calibration Mu = 1 * raw + 2 g becomes Mu = 1 * raw + 2 1/mm"],
        ),
        ([line("Mu", 1.0, 2.0, "1/mm")], [line("Mu", 1.0, 2.0)], []),
    ],
)
def test_a_calibration_is_kept_or_named(stated, held, lost):
    assert list(calibration_losses(stated, held)) == lost


def test_a_calibration_on_another_that_is_not_there_is_named_and_does_not_hide_the_next():
    stray = line("HU", type="slope_intercept_indirect", indirect_base_unit_type="Mu")
    assert calibration_losses([stray, line()], []) == (
        "the calibration to HU is not kept: it is stated on Mu, which the image does not have",
        "the calibration Density = 2 * raw + 3 is not kept",
    )


@pytest.mark.parametrize(
    ("named", "held", "taken"),
    [
        (None, "mg HA/ccm", ["no unit of Density is named; the file states mg HA/ccm"]),
        (None, "HU", []), (None, None, []), ("mg HA/ccm", "mg HA/ccm", []),
    ],
)  # fmt: skip
def test_a_unit_that_a_file_takes_is_named(named, held, taken):
    stated = image(calibrations=(line("Mu", unit_name="1/cm"), line(unit_name=named)))
    file = image(calibrations=(line("Mu", unit_name="1/cm"), line("density", unit_name=held)))
    assert list(losses(stated, file)) == taken
