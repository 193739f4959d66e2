"""The number types of pixels are numpy's."""

import numpy as np
import pytest

from xfworker.domain.image.pixel_type import PixelType


@pytest.mark.parametrize("pixel_type", PixelType)
def test_each_is_the_type_of_numpy_with_its_name(pixel_type):
    judge = np.dtype(pixel_type.value)
    assert np.dtype(pixel_type.code) == judge
    assert pixel_type.size == judge.itemsize
    assert pixel_type.is_float == (judge.kind == "f")
    if pixel_type.is_float:
        assert pixel_type.bounds is None
    else:
        assert pixel_type.bounds == (np.iinfo(judge).min, np.iinfo(judge).max)
    for order, sign in (("little", "<"), ("big", ">")):
        assert np.dtype(pixel_type.numpy_code(order)) == judge.newbyteorder(sign)
    assert pixel_type.numpy_code() == pixel_type.numpy_code("little")


@pytest.mark.parametrize("pixel_type", PixelType)
def test_each_is_found_by_its_code_in_any_byte_order(pixel_type):
    codes = ("", "<", ">", "|", "=")
    assert {PixelType.of_numpy_code(f"{order}{pixel_type.code}") for order in codes} == {pixel_type}


@pytest.mark.parametrize("code", ["c8", "i16", "i", "", "b1", "f2"])
def test_other_types_of_numpy_are_none(code):
    assert PixelType.of_numpy_code(code) is None
