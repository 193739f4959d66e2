"""One image minus another one of the same grid: values known by hand, in the unit that both have."""

import itertools
import re
from contextlib import contextmanager

import attrs
import numpy as np
import pytest

from tests.unit.images.test_pyramids import viewed, written
from xfworker.domain.errors import UsageError
from xfworker.domain.image.calibration import Calibration
from xfworker.services.images.image_difference import ImageDifference, Unit
from xfworker.services.images.pictures import Window
from xfworker.services.images.viewed_image import IMAGE

DENSITY = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.5, intercept=-100.0)
FINER = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.25, intercept=-50.0)
OTHER_NAME = Calibration(unit_type="Density", unit_name="g/cm3", slope=0.001, intercept=0.0)
LINEAR = Calibration(unit_type="Linear", unit_name="1/cm", slope=2.0, intercept=7.0)
HOUNSFIELD = Calibration(unit_type="HU", unit_name="HU", slope=3.0, intercept=-1000.0)


@contextmanager
def difference(folder, one, other, of_one=None, of_other=None):
    paths = [
        written(folder, voxels, f"{name}.omni", **(fields or {}))
        for name, voxels, fields in (("a", one, of_one), ("b", other, of_other))
    ]
    with viewed(paths[0], folder / "cache", key="a") as image, viewed(paths[1], folder / "cache", key="b") as second:
        yield ImageDifference(image, second)


def values(found, index=0):
    return found.tile(IMAGE, "z", 0, index, 0, 0)


def test_values_are_subtracted_in_the_unit_that_each_is_calibrated_to(tmp_path):
    one, other = np.array([[[100, 300, 20]]], np.int16), np.array([[[200, 1000, 40]]], np.int16)
    with difference(tmp_path, one, other, {"calibrations": (DENSITY,)}, {"calibrations": (FINER,)}) as found:
        # 0.5 * 100 - 100 - (0.25 * 200 - 50) and so on
        assert values(found).tolist() == [[-50.0, -150.0, -50.0]]
        assert (values(found).dtype, found.unit) == (np.float32, Unit("Density", "mg HA/ccm"))
    with difference(tmp_path, one, other) as found:
        assert (values(found).tolist(), found.unit) == ([[-100.0, -700.0, -20.0]], Unit())


def test_large_values_that_are_nearly_equal_do_not_lose_their_difference(tmp_path):
    one, other = np.array([[[2**31 - 1, 5]]], np.int32), np.array([[[2**31 - 2, 7]]], np.int32)
    with difference(tmp_path, one, other) as found:
        assert values(found).tolist() == [[1.0, -2.0]]


@pytest.mark.parametrize(
    ("voxels", "reach"),
    [
        ([-3.0, 1.0, 2.0], 3.0 - 0.005 * 2), ([0.0, 0.0], 1.0), ([np.nan, np.inf], 1.0), ([np.nan, 4.0, 4.0], 4.0),
        ([0.0] * 249 + [-9.0], 9.0),
    ],
)  # fmt: skip
def test_a_window_reaches_as_far_below_nothing_as_above_it(tmp_path, voxels, reach):
    middle = np.full((5, 1, len(voxels)), 50.0, np.float32)
    middle[2] = voxels
    with difference(tmp_path, middle, np.zeros_like(middle)) as found:
        window = found.window()
    assert (window.low, window.high) == (pytest.approx(-reach), pytest.approx(reach))
    assert isinstance(window, Window)


def test_each_order_of_two_images_and_each_unit_has_a_key_of_its_own(tmp_path):
    voxels = np.ones((2, 3, 4), np.int16)
    lines = {"calibrations": (DENSITY,)}
    with difference(tmp_path, voxels, voxels) as one, difference(tmp_path, voxels, voxels, lines, lines) as unit:
        again = ImageDifference(one.image, one.other)
        turned = ImageDifference(one.other, one.image)
        assert one.key == again.key
        assert re.fullmatch("[0-9a-f]{32}", one.key)
        assert len({one.key, turned.key, unit.key}) == 3


@pytest.mark.parametrize(
    ("one", "other", "unit"),
    [
        (((DENSITY, LINEAR, HOUNSFIELD), None), ((HOUNSFIELD, LINEAR), None), Unit("HU", "HU")),
        (((DENSITY, LINEAR, HOUNSFIELD), None), ((LINEAR, HOUNSFIELD), "Linear"), Unit("Linear", "1/cm")),
        (((LINEAR, HOUNSFIELD), "Linear"), ((LINEAR, HOUNSFIELD), "HU"), Unit("Linear", "1/cm")),
        (((LINEAR, HOUNSFIELD, DENSITY), "Density"), ((LINEAR, HOUNSFIELD), "HU"), Unit("HU", "HU")),
        (((DENSITY, LINEAR), "Density"), ((OTHER_NAME, LINEAR), "Density"), Unit("Linear", "1/cm")),
    ],
)
def test_the_unit_is_one_that_both_have_the_one_they_are_shown_in_first(tmp_path, one, other, unit):
    known = [{"calibrations": calibrations, "default_unit_type": default} for calibrations, default in (one, other)]
    with difference(tmp_path, np.ones((1, 1, 2), np.int16), np.ones((1, 1, 2), np.int16), *known) as found:
        assert found.unit == unit


def refused(folder, one, other, of_one=None, of_other=None):
    with pytest.raises(UsageError) as caught, difference(folder, one, other, of_one, of_other):
        pass
    return str(caught.value).removeprefix("there is no difference of a.omni and b.omni: ")


def test_images_of_other_grids_or_units_are_refused_without_where_they_lie_on_the_server(tmp_path):
    voxels = np.ones((2, 3, 4), np.uint8)
    flat = {"calibrations": (DENSITY, Calibration(unit_type="own", slope=1.0, intercept=0.0))}
    found = [
        refused(tmp_path, voxels, voxels, {"kind": "segments"}),
        refused(tmp_path, voxels, voxels, None, {"kind": "segments"}),
        refused(tmp_path, voxels, voxels[:1]),
        refused(tmp_path, voxels, voxels, None, {"origin_mm": (0.0, 2.0, 0.0)}),
        refused(tmp_path, voxels, voxels, flat, None),
        refused(tmp_path, voxels, voxels, {"calibrations": (OTHER_NAME,)}, {"calibrations": (DENSITY,)}),
    ]
    assert found == [
        "a.omni has segments; lay them over an image",
        "b.omni has segments; lay them over an image",
        "they have 4 x 3 x 2 and 4 x 3 x 1 voxels; bring both to one grid first",
        "one begins (0, -2, 0) voxels (x, y, z) beside the other; bring both to one grid first",
        "their values are in mg HA/ccm, own and no unit, and have no unit in common",
        "their values are in g/cm3 and mg HA/ccm, and have no unit in common",
    ]
    message = refused(tmp_path, voxels, voxels, None, {"spacing_mm": (1.0, 1.5, 1.0)})
    assert "along y its voxels are 1 mm apart, not 1.5 mm" in message
    assert str(tmp_path) not in message


def test_tiles_come_from_what_both_images_have(tmp_path):
    voxels = np.ones((2, 3, 4), np.int16)
    made = attrs.make_class("Image", ["offered"])
    made.sources = lambda self, axis: [self.offered] if axis else []
    with difference(tmp_path, voxels, voxels) as found:
        for one, other in itertools.product((None, "image", "sampled", "bricks", "bricks-2"), repeat=2):
            found.image, found.other = made(one), made(other)
            both = {one, other}
            along_z = None if None in both else one if one == other else "image"
            across = None if None in both else one if one == other else "sampled" if "sampled" in both else "image"
            assert (found.sources("z"), found.sources("y")) == ([along_z], [across])
