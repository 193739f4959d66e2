"""What an image says of itself: its size, its place in space, and what cannot be right in it."""

from pathlib import Path

import pytest

from xfworker.domain.errors import ImageError, ImageFormatError
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo, turns_in_itself
from xfworker.domain.image.pixel_type import PixelType


def image(**more):
    stated = {"size": (2, 3, 5), "pixel_type": PixelType.INT16, **more}
    return ImageInfo(path=Path("scan.omni"), format="OMNI", pixels_path=Path("a.raw"), **stated)


def test_sizes_and_byte_counts_follow_from_the_axes():
    volume = image()
    assert (volume.shape, volume.size_3d) == ((5, 3, 2), (2, 3, 5))
    assert (volume.pixel_count, volume.byte_count, volume.slab_byte_count) == (30, 60, 12)
    assert image(axes="CXY", size=(3, 4, 5)).size_3d == (4, 5, 1)
    assert image(axes="ZT", size=(3, 4)).size_3d == (1, 1, 3)


def test_an_image_that_says_nothing_of_its_place_lies_at_the_origin_along_the_axes():
    assert image().spacing_mm == (1.0, 1.0, 1.0)
    assert image().origin_mm == (0.0, 0.0, 0.0)
    assert image().direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert (image().axes, image().encoding, image().kind, image().byte_order) == ("XYZ", "raw", "image", "little")
    assert not image().is_ipl_compatible
    assert "header" not in repr(image(header={"name": "P"}, source={"log": "L"}, unknown={"u": 1}))
    assert "'L'" not in repr(image(source={"log": "L"}))
    assert "unknown" not in repr(image(unknown={"u": 1}))


@pytest.mark.parametrize(
    "place",
    [
        {"spacing_mm": (1e-12, 1.0, 1e12)}, {"origin_mm": (1e18, -1e18, 0.0)},
        {"direction": (0.991, 0, 0, 0, 1.009, 0, 0, 0, -1)}, {"direction": (0, 1, 0, 0, 0, 1, 1, 0, 0)},
        {"direction": (0, 0, 1, 0, 1, 0, 1, 0, 0)}, {"direction": (0.6, -0.8, 0, 0.8, 0.6, 0, 0, 0, 1)},
        {"direction": (1, 0.6, 0, 0, 0.8, 0, 0, 0, 1)},
    ],
)  # fmt: skip
def test_any_place_that_can_be_is_taken(place):
    [(name, value)] = place.items()
    assert getattr(image(**place), name) == value


IN_A_PLANE = (2 / 3, 1 / 3, 1 / 2**0.5, 2 / 3, -2 / 3, 0.0, 1 / 3, 2 / 3, 1 / 2**0.5)
"""Three axes of length 1, the third half way between the others."""
IN_THE_SAME_PLANE = (2 / 3, 1 / 3, 1 / 18**0.5, 2 / 3, -2 / 3, 4 / 18**0.5, 1 / 3, 2 / 3, -1 / 18**0.5)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({"spacing_mm": (0.9e-12, 1, 1)}, "spacing_mm: .* mm between voxels cannot be right"),
        ({"spacing_mm": (1, 1.1e12, 1)}, "spacing_mm: "),
        ({"spacing_mm": (1, 1, float("nan"))}, "spacing_mm: "),
        ({"spacing_mm": (1, 1, -1)}, "spacing_mm: "),
        ({"origin_mm": (0, 0, 1.1e18)}, "origin_mm: an origin at .* mm cannot be right"),
        ({"origin_mm": (-1.1e18, 0, 0)}, "origin_mm: "),
        ({"origin_mm": (float("nan"), 0, 0)}, "origin_mm: "),
        ({"direction": (0.98, 0, 0, 0, 1, 0, 0, 0, 1)}, "direction: axes along .* cannot be right"),
        ({"direction": (1, 0, 0, 0, 1.02, 0, 0, 0, 1)}, "direction: "),
        ({"direction": (1, 0, 0, 0, 1, 0)}, "direction: "),
        ({"direction": (1, 0, 0, 0, 1, 0, 0, 0, 1, 0)}, "direction: "),
        ({"direction": (1, 1, 0, 0, 0, 0, 0, 0, 1)}, "direction: "),
        ({"direction": (1, 0, 0.6, 0, 1, 0.8, 0, 0, 0)}, "direction: "),
        ({"direction": IN_A_PLANE}, "direction: "),
        ({"direction": IN_THE_SAME_PLANE}, "direction: "),
    ],
)
def test_a_place_that_cannot_be_is_refused(place, reason):
    with pytest.raises(ImageFormatError, match=f"scan.omni: {reason}"):
        image(**place)


def test_axes_that_turn_out_of_their_plane_need_the_others():
    along = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    in_plane = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    out_of_plane = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0)
    assert [turns_in_itself(along, axes) for axes in (0, 1, 2, 3)] == [True, True, True, True]
    assert [turns_in_itself(in_plane, axes) for axes in (0, 1, 2, 3)] == [False, False, True, True]
    assert [turns_in_itself(out_of_plane, axes) for axes in (0, 1, 2, 3)] == [False, False, False, True]


def test_the_log_of_an_image_ends_at_its_nul():
    assert image(source={"processing_log": "a\nb\0c\0"}).processing_log == "a\nb"
    assert image(source={"processing_log": 1}).processing_log is None
    assert image(source={}).processing_log is None
    assert image().processing_log is None


def test_a_calibration_is_found_by_its_unit_type_and_knows_its_base():
    mu = Calibration(unit_type="Mu", slope=2, intercept=1)
    water = Calibration(
        type="slope_intercept_indirect", unit_type="HU", slope=3, intercept=0, indirect_base_unit_type="Mu"
    )
    found = image(calibrations=(water, mu))
    assert found.calibration("hu").line() == (6, 3)
    assert found.calibration("MU") is mu
    with pytest.raises(ImageError, match=r"scan\.omni has no calibration to Density; it has HU, Mu\."):
        found.calibration("Density")
    with pytest.raises(ImageError, match="it has none at all"):
        image().calibration("Density")
