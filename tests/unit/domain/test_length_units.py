"""Units of length, as image files of every kind write them: each name stands for so many millimetres."""

from decimal import Decimal
from pathlib import Path

import pytest

from xfworker.domain.errors import ImageFormatError
from xfworker.domain.image.length_units import MILLIMETRE, is_not_a_unit, known_length_unit, length_unit

NAMES = {
    "1000000": ["km", "kilometer", "kilometres"],
    "1000": ["m", "meter", "metres", "M"],
    "100": ["dm", "decimeter", "decimetres"],
    "10": ["cm", "centimeter", "centimetres", "CM"],
    "1": ["mm", "millimeter", "millimetres", "mm.", " mm ", "'mm'", '"mm"', "MM"],
    "0.001": [
        "um", "micrometer", "micrometres", "micron", "microns", "mu", "\u00b5m", "\u03bcm", "\\u00b5m", "\\u00B5m",
    ],
    "0.000001": ["nm", "nanometer", "nanometres"],
    "0.000000001": ["pm", "picometer", "picometres"],
    "25.4": ["inch", "inches", "in", '"', "in."],
    "304.8": ["foot", "feet", "ft"],
    "914.4": ["yard", "yards", "yd"],
    "0.0254": ["thou", "mil", "mils"],
    "0.0000001": ["angstrom", "angstroms", "\u00c5", "\u212b", "A\u030a", "\u00e5ngstr\u00f6m"],
}  # fmt: skip


@pytest.mark.parametrize("millimetres", NAMES)
def test_each_name_of_a_unit_stands_for_its_millimetres(millimetres):
    units = {name: known_length_unit(name) for name in NAMES[millimetres]}
    assert {name for name, unit in units.items() if unit is None or unit.in_mm != Decimal(millimetres)} == set()


def test_a_point_is_a_72nd_of_an_inch():
    assert [known_length_unit(name).mm(72) for name in ("point", "points", "pt")] == [pytest.approx(25.4)] * 3


@pytest.mark.parametrize("name", ["Mm", "Pm", "", "pixel", "s", "cms2", "lightyear", "xm", "mms", "ms", "as"])
def test_what_is_not_known_is_no_unit_and_is_refused_by_its_name(name):
    assert known_length_unit(name) is None
    with pytest.raises(ImageFormatError, match=r"a\.tif: unit: .* is not a unit of length") as caught:
        length_unit(name, Path("a.tif"), "unit")
    assert repr(name) in str(caught.value)


def test_the_unit_of_a_file_is_given():
    assert length_unit("mm", Path("a.tif"), "unit") is MILLIMETRE


def test_lengths_are_counted_as_decimals():
    assert known_length_unit("um").mm(60.7) == 0.0607
    assert known_length_unit("um").mm(7) == 0.007
    assert known_length_unit("um").mm(float("inf")) == float("inf")


NOT_UNITS = ("", " ", "pixel", "pixels", "Voxel", "voxels", "px", "NONE", "?", "???", "unknown", "n/a", "'pixel'")


@pytest.mark.parametrize("name", NOT_UNITS)
def test_some_words_say_that_there_is_no_unit(name):
    assert is_not_a_unit(name)


@pytest.mark.parametrize("name", ["mm", "cubit", "??", '"'])
def test_other_words_do_not(name):
    assert not is_not_a_unit(name)
