import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.adapters.images import vax_floats

floats = st.floats(-(2.0**126), 2.0**126, width=32)


def test_known_vax_numbers_are_read():
    # 1.0 is 0x4080 in the first word; pi is the DEC manuals' own example.
    assert vax_floats.f_to_float(struct.pack("<HH", 0x4080, 0)) == 1.0
    assert vax_floats.f_to_float(struct.pack("<HH", 0x4149, 0x0FDB)) == pytest.approx(3.14159265, abs=2e-7)
    assert vax_floats.f_to_float(struct.pack("<HH", 0xC080, 0)) == -1.0
    assert vax_floats.g_to_float(struct.pack("<4H", 0x4010, 0, 0, 0)) == 1.0


def test_the_reserved_operand_is_not_a_number():
    assert np.isnan(vax_floats.f_to_float(struct.pack("<HH", 0x8000, 0)))
    assert np.isnan(vax_floats.f_array_to_float32(np.array([0x8000], np.uint32)))[0]


@given(floats)
def test_single_numbers_and_arrays_are_written_alike_and_come_back(value):
    data = vax_floats.f_from_float(value)
    words = vax_floats.f_array_from_float32(np.array([value], np.float32))
    assert words.astype("<u4").tobytes() == data
    back = vax_floats.f_to_float(data)
    assert back == value or (back == 0 and abs(value) < 2.0**-127)
    assert vax_floats.f_array_to_float32(words)[0] == np.float32(back)


@given(st.integers(0, 2**32 - 1))
def test_every_bit_pattern_is_read_by_both_ways_alike(pattern):
    word = np.array([pattern], "<u4")
    one = vax_floats.f_to_float(word.tobytes())
    many = float(vax_floats.f_array_to_float32(word)[0])
    assert many == pytest.approx(one, rel=1e-6, abs=1e-44, nan_ok=True)


@given(st.floats(-1e300, 1e300))
def test_long_numbers_come_back(value):
    back = vax_floats.g_to_float(vax_floats.g_from_float(value))
    assert back == value or (back == 0 and abs(value) < 1e-307)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 2e38])
def test_what_vax_cannot_hold_is_refused(value):
    with pytest.raises(OverflowError, match="VAX F"):
        vax_floats.f_from_float(value)
    with pytest.raises(OverflowError, match="VAX F"):
        vax_floats.f_array_from_float32(np.array([value], np.float32))
