import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.adapters.wire.byte_range import UnsatisfiableRange, answer_range, parse_content_range, parse_range
from xfworker.adapters.wire.file_headers import strong_etag


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes 0-0/1", (0, 1, 1)),
        (" bytes 10-19/100 ", (10, 20, 100)),
        ("bytes */100", None),
        (None, None),
        ("x", None),
    ],
)
def test_a_content_range_gives_the_byte_behind_its_last(text, expected):
    assert parse_content_range(text) == expected


@pytest.mark.parametrize(
    ("condition", "status"),
    [(None, 206), ('"e1"', 206), ('"e2"', 200), ('W/"e1"', 200), ("Mon, 01 Jan 2024 00:00:00 GMT", 200)],
)
def test_a_part_is_of_the_file_that_the_client_has_begun_or_it_gets_the_whole(condition, status):
    request = {"range": "bytes=10-19", **({} if condition is None else {"if-range": condition})}
    answer = answer_range(request, size=100, etag='"e1"')
    assert (answer.status, answer.end - answer.start) == (status, 10 if status == 206 else 100)


@pytest.mark.parametrize(("tag", "expected"), [('"e1"', "e1"), ('""', ""), ('W/"e1"', None), ("e1", None), ('"', None)])
def test_a_weak_tag_says_nothing_of_the_bytes(tag, expected):
    assert strong_etag({"etag": tag}) == expected
