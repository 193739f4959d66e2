import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.adapters.wire.byte_range import UnsatisfiableRange, parse_range


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-5", (95, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=20-10", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=99999999999999999999-", None),
    ],
)
def test_one_range_is_understood_and_anything_else_passed_over(text, expected):
    assert parse_range(text, 100) == expected


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=200-300", "bytes=-0"])
def test_a_range_behind_the_end_is_unsatisfiable(text):
    with pytest.raises(UnsatisfiableRange):
        parse_range(text, 100)


@given(st.text(), st.integers(0, 1000))
def test_no_text_gives_a_range_outside_the_file(text, size):
    try:
        found = parse_range(f"bytes={text}", size)
    except UnsatisfiableRange:
        return
    assert found is None or 0 <= found[0] < found[1] <= size
