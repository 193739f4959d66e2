import numpy as np
import pytest

from xfworker.services.comparison.difference import Tolerance
from xfworker.services.comparison.files import compare_files


class NoImages:
    """The port to image formats where there is none."""

    def probe(self, path):
        return None


def compare(tmp_path, name, expected, actual, tolerance=None, **options):
    left, right = tmp_path / "expected" / name, tmp_path / "actual" / name
    for path, content in ((left, expected), (right, actual)):
        path.parent.mkdir(exist_ok=True)
        if content is not None:
            path.write_bytes(content)
    found = compare_files(left, right, tolerance or Tolerance(), NoImages(), **options)
    return [str(difference) for difference in found]


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.tsv", "a.txt", "a.tab"])
def test_numbers_in_a_table_are_compared_with_the_tolerance_and_named_by_line_and_column(tmp_path, name):
    expected, actual = b"name;BV/TV\nfemur;0.25\ntibia;0.31\n", b"name;BV/TV\nfemur;0.2500001\ntibia;0.35\n"
    assert compare(tmp_path, name, expected, actual, Tolerance(relative=1e-3)) == [
        f"{name} line 3, column 2: expected 0.31, got 0.35, off by 0.04 (tolerance: 0.001 of the expected value)"
    ]


def test_line_ends_and_quotes_of_a_table_do_not_matter_but_texts_do(tmp_path):
    assert compare(tmp_path, "a.csv", b'"1",x\r\n', b"1,x\n") == []
    assert compare(tmp_path, "a.csv", b"1,x\n", b"1,y\n") == ["a.csv line 1, column 2: expected 'x', got 'y'"]
    assert len(compare(tmp_path, "a.csv", b"1,x\n", b"1,x\n2,y\n")) == 1
    assert len(compare(tmp_path, "a.csv", b"1,x\n", b"1,x,\n")) == 1
    assert len(compare(tmp_path, "a.csv", b"X1\n", b"1\n")) == 1


def test_json_is_compared_by_value(tmp_path):
    assert compare(tmp_path, "a.json", b'{"a": 1, "b": 2.0}', b'{ "b": 2, "a": 1 }') == []
    assert compare(tmp_path, "a.json", b'{"a": 1}', b'{"a": 2}')[0].startswith("a.json.a: expected 1, got 2")


@pytest.mark.parametrize("name", ["a.bin", "a.json", "a.csv"])
def test_what_cannot_be_read_is_compared_byte_by_byte(tmp_path, name):
    expected, actual = b"\xff\x00" * 700_000, b"\xff\x00" * 600_000 + b"\xff\x01" * 100_000 + b"!"
    assert compare(tmp_path, name, expected, expected) == []
    assert compare(tmp_path, name, expected, actual) == [
        f"{name}: the content differs from byte 1,200,001 on; 1,400,000 bytes were expected, 1,400,001 are there"
    ]
    assert len(compare(tmp_path, name, b"", b"\xff")) == 1
    assert compare(tmp_path, name, b"\xff1", b"\xff2") == [f"{name}: the content differs from byte 1 on"]


def test_what_is_no_table_is_compared_byte_by_byte_although_it_holds_numbers(tmp_path):
    assert compare(tmp_path, "a.log", b"1.0", b"1.00") == [
        "a.log: the content differs from byte 3 on; 3 bytes were expected, 4 are there"
    ]


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    assert compare(tmp_path, "a.csv", b"1", None) == ["a.csv: the actual file a.csv is missing"]
    assert compare(tmp_path, "b.csv", None, b"1") == ["b.csv: the expected file b.csv is missing"]


def test_pictures_are_compared_by_pixels_where_a_reader_is_given(tmp_path):
    def read_bitmap(path):
        content = path.read_bytes()
        return np.frombuffer(content[1:], np.uint8).reshape(1, -1) if content[:1].isdigit() else None

    assert compare(tmp_path, "a.png", b"9abc", b"7abc", read_bitmap=read_bitmap) == []
    assert "1 of 3 voxels differ" in compare(tmp_path, "a.png", b"9abc", b"7abd", read_bitmap=read_bitmap)[0]
    for expected, actual in ((b"9abc", b"none"), (b"none", b"9abc")):
        assert compare(tmp_path, "a.png", expected, actual, read_bitmap=read_bitmap) == [
            "a.png: the content differs from byte 0 on"
        ]
