"""Boxes of voxels: what they hold where only a part is stated, and what is refused."""

import numpy as np
import pytest

from xfworker.domain.errors import UsageError
from xfworker.services.images.cropping import Voi, position_mm, voi_of


@pytest.fixture
def image(describe_array):
    """10 x 9 x 8 voxels of 0.5 x 1 x 2 mm, whose x axis points back and whose y axis points to the right."""
    turned = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    return describe_array(
        np.zeros((8, 9, 10), np.int16), spacing_mm=(0.5, 1.0, 2.0), origin_mm=(10.0, 20.0, 30.0), direction=turned
    )


@pytest.mark.parametrize(
    ("stated", "box"),
    [
        ({"pos": (3, 2, 1)}, Voi((3, 2, 1), (7, 7, 7))),
        ({"pos": (0, 1, 2)}, Voi((0, 1, 2), (10, 8, 6))),
        ({"size": (4, 5, 6)}, Voi((0, 0, 0), (4, 5, 6))),
        ({"size": (10, 9, 8)}, Voi((0, 0, 0), (10, 9, 8))),
        ({"pos": (9, 8, 7), "size": (1, 1, 1)}, Voi((9, 8, 7), (1, 1, 1))),
        ({"size_mm": (2.2, 3.4, 7.1)}, Voi((0, 0, 0), (4, 3, 4))),
        ({"size_mm": (0.01, 0.01, 0.01)}, Voi((0, 0, 0), (1, 1, 1))),
        ({"pos_mm": (13.1, 18.9, 34.3), "size": (2, 2, 2)}, Voi((2, 3, 2), (2, 2, 2))),
        ({"pos_mm": (13.1, 18.9, 34.3)}, Voi((2, 3, 2), (8, 6, 6))),
    ],
)
def test_what_is_not_stated_of_a_box_reaches_to_the_image_s_ends(image, stated, box):
    assert voi_of(image, **stated) == box


def test_voxels_and_parts_of_them_lie_along_the_axes_of_the_image(image):
    assert position_mm(image, (2, 3, 2)) == pytest.approx((13.0, 19.0, 34.0))
    assert position_mm(image, (0.5, -0.5, 0.25)) == pytest.approx((9.5, 19.75, 30.5))


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({}, "needs a position or a size"),
        ({"pos": (1, 1, 1), "pos_mm": (10, 20, 30)}, "one position and one size: in voxels or in mm, not in both"),
        ({"size": (1, 1, 1), "size_mm": (1, 1, 2)}, "one position and one size: in voxels or in mm, not in both"),
        ({"pos": (1, 1)}, r"^The position of a box is three integers"),
        ({"size": (1, 1, True)}, r"^The size of a box is three integers"),
        ({"pos_mm": (1.0, 1.0)}, r"^The position of a box is three finite numbers of mm"),
        ({"size_mm": (1.0, 1.0, float("inf"))}, r"^The size of a box is three finite numbers of mm"),
        ({"pos": (9, 0, 0), "size": (2, 3, 4)}, r"^A box of 2 x 3 x 4 voxels at \(9, 0, 0\) is not .* has 10 x 9 x 8"),
        ({"pos": (0, 0, -1), "size": (1, 1, 1)}, "is not inside"),
        ({"size": (1, 0, 1)}, "is not inside"),
        ({"pos_mm": (9.0, 20.0, 50.0)}, "is not inside"),
    ],
)  # fmt: skip
def test_a_box_that_makes_no_sense_is_refused_with_what_is_wrong(image, stated, message):
    with pytest.raises(UsageError, match=message):
        voi_of(image, **stated)
