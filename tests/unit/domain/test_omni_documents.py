"""The document of an OMNI image: what it says key by key, what it need not say, and what is refused by its key."""

import math
from pathlib import Path

import pytest

from xfworker.domain.errors import ImageFormatError
from xfworker.domain.image.omni_document import document_of, info_of
from xfworker.domain.image.pixel_type import PixelType

PATH = Path("folder") / "scan.omni"
SHORT = {"size": [2, 3, 4], "pixel_type": "int16", "pixels": {"filename": "scan.raw"}}
FULL = {
    "format": "OMNI",
    "format_version": "1.1",
    "kind": "segments",
    "axes": "XYZT",
    "size": [2, 3, 4, 5],
    "pixel_type": "uint8",
    "byte_order": "big",
    "pixels": {"filename": "scan.raw", "offset": 512, "encoding": "raw"},
    "additional_pixels_filenames": ["more.raw"],
    "spacing_mm": [0.1, 0.2, 0.3],
    "origin_mm": [-1.0, 0.0, 2.0],
    "direction": [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0],
    "pixel_calibrations": [
        {"type": "slope_intercept", "unit_type": "Density", "unit_name": "mg HA/ccm", "slope": 0.5, "intercept": 1.0}
    ],
    "default_pixel_calibration_unit_type": "Density",
    "labels": [{"value": 1, "name": "bone"}],
    "source": {"format": "ISQ"},
    "operator": "anna",
}
_ABSENT = object()


def test_a_document_is_written_as_it_was_read():
    info = info_of(FULL, PATH)
    assert (info.path, info.format, info.format_version, info.encoding) == (PATH, "OMNI", "1.1", "raw")
    assert (info.kind, info.axes, info.size, info.pixel_type) == ("segments", "XYZT", (2, 3, 4, 5), PixelType.UINT8)
    assert (info.byte_order, info.pixels_path, info.pixels_offset) == ("big", PATH.with_name("scan.raw"), 512)
    assert (info.spacing_mm, info.origin_mm) == ((0.1, 0.2, 0.3), (-1.0, 0.0, 2.0))
    assert info.direction == (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    assert [line.metadata for line in info.calibrations] == FULL["pixel_calibrations"]
    assert (info.default_unit_type, info.labels, info.source) == (
        "Density",
        ({"value": 1, "name": "bone"},),
        {"format": "ISQ"},
    )
    assert info.files == (PATH, PATH.with_name("scan.raw"), PATH.with_name("more.raw"))
    assert (info.assumptions, info.unknown) == ((), {"operator": "anna"})
    assert info.header == {key: value for key, value in FULL.items() if key != "source"}
    again = document_of(
        info, pixels_filename="scan.raw", offset=512, encoding="raw", additional_pixels_filenames=["more.raw"]
    )
    assert again == {**FULL, "format_version": "1.0"}


def test_what_a_document_leaves_out_is_the_documented_one():
    info = info_of(SHORT, PATH)
    assert (info.format_version, info.encoding, info.kind, info.axes) == ("1.0", "raw", "image", "XYZ")
    assert (info.byte_order, info.pixels_offset, info.default_unit_type) == ("little", 0, None)
    assert (info.spacing_mm, info.origin_mm) == ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    assert (info.calibrations, info.labels, info.source, info.unknown) == ((), (), None, {})
    assert info.files == (PATH, PATH.with_name("scan.raw"))
    assert info.assumptions == ("states no spacing_mm; 1 mm is taken",)
    assert document_of(info, pixels_filename="scan.raw") == {
        **SHORT, "format": "OMNI", "format_version": "1.0", "kind": "image", "axes": "XYZ", "byte_order": "little",
        "pixels": {"filename": "scan.raw", "offset": 0, "encoding": "raw"}, "additional_pixels_filenames": [],
        "spacing_mm": [1.0, 1.0, 1.0], "origin_mm": [0.0, 0.0, 0.0], "pixel_calibrations": [],
        "default_pixel_calibration_unit_type": None,
    }  # fmt: skip
    segments = document_of(info_of({**SHORT, "kind": "segments"}, PATH), pixels_filename="scan.raw")
    assert segments["labels"] == []
    encoded = info_of({**SHORT, "pixels": {"filename": "scan.aim", "encoding": "AIM"}}, PATH)
    assert (encoded.encoding, encoded.pixels_offset) == ("AIM", None)
    twice = info_of({**SHORT, "additional_pixels_filenames": ["a.raw", "scan.raw", "a.raw"]}, PATH)
    assert twice.files == (PATH, PATH.with_name("scan.raw"), PATH.with_name("a.raw"))


def _pixels(**more):
    return {"filename": "scan.raw", **more}


_NAMES = ["a/b", "a\\b", "a\0b", "C:b", "", ".", "..", 1]
GOOD = {
    "format": ["OMNI", _ABSENT],
    "kind": ["image", "segments", _ABSENT],
    "axes": ["XYZ", "ZYX", "XYT"],
    "size": [[1, 1, 1], [2**62 - 1, 1, 1]],
    "pixel_type": [member.value for member in PixelType],
    "byte_order": ["little", "big", _ABSENT],
    "pixels": [_pixels(offset=0), _pixels(offset=2**62 - 1), _pixels(encoding="AIM"), _pixels(filename="a..b")],
    "additional_pixels_filenames": [[], None, ["a.raw"]],
    "spacing_mm": [[1, 2.5, 0.001], None],
    "origin_mm": [[0, -1, 0.5], None],
    "direction": [[1, 0, 0, 0, 1, 0, 0, 0, 1], None],
    "default_pixel_calibration_unit_type": ["HU", None],
    "pixel_calibrations": [[], None, FULL["pixel_calibrations"]],
    "labels": [[], None, [{"value": 1}]],
    "source": [{}, None],
}
BAD = {
    "format": [("format", value) for value in ("AIM", None)],
    "kind": [("kind", value) for value in ("mask", 1, None)],
    "axes": [("axes", value) for value in ("", "XYQ", "XXY", 1, None)],
    "size": [
        ("size", value)
        for value in (
            None, [1, 1], [1, 1, 1, 1], "111", [1, 1, 0], [True, 1, 1], [1.0, 1, 1], [2**31, 2**31, 1],
        )
    ],
    "pixel_type": [("pixel_type", value) for value in ("int17", None, 1)],
    "byte_order": [("byte_order", value) for value in ("middle", None, 1)],
    "pixels": [
        ("pixels", None), ("pixels", []),
        *(("pixels.offset", _pixels(offset=offset)) for offset in (-1, 2**62, True, 1.5, None)),
        *(("pixels.encoding", _pixels(encoding=encoding)) for encoding in ("", 1, None)),
        *(("pixels.filename", {"filename": name}) for name in (*_NAMES, None)), ("pixels.filename", {}),
    ],
    "additional_pixels_filenames": [
        ("additional_pixels_filenames", value) for value in ("a.raw", {"a": 1}, *(["b.raw", name] for name in _NAMES))
    ],
    "spacing_mm": [
        ("spacing_mm", value)
        for value in ([1, 1], [1, 1, 1, 1], "111", [0, 1, 1], [1, -1, 1], [1, 1, math.inf], [True, 1, 1], ["1", 1, 1])
    ],
    "origin_mm": [("origin_mm", value) for value in ([1, 1], 5, [1, 1, math.nan], [1, True, 1], [1, None, 1])],
    "direction": [
        ("direction", value)
        for value in ([1, 0, 0], 5, [1, 0, 0, 0, 1, 0, 0, 0, math.inf], [True, *[0] * 8], ["1", *[0] * 8])
    ],
    "default_pixel_calibration_unit_type": [("default_pixel_calibration_unit_type", 1)],
    "pixel_calibrations": [
        ("pixel_calibrations", 5), ("pixel_calibrations", [1]),
        ("pixel_calibrations[1]", [*FULL["pixel_calibrations"], {"type": "slope_intercept"}]),
    ],
    "labels": [("labels", 5), ("labels", [1]), ("labels", {"value": 1})],
    "source": [("source", 5), ("source", [])],
}  # fmt: skip


def _changed(key, value):
    document = {**SHORT, key: value}
    return {name: item for name, item in document.items() if item is not _ABSENT}


@pytest.mark.parametrize("key", GOOD)
def test_each_key_takes_what_is_documented_and_what_is_not_is_named(key):
    for value in GOOD[key]:
        info_of(_changed(key, value), PATH)
    for named, value in BAD[key]:
        with pytest.raises(ImageFormatError) as caught:
            info_of(_changed(key, value), PATH)
        assert caught.value.field.startswith(named), (key, value)
        assert caught.value.path == PATH
        assert ".." not in str(caught.value).replace("'..'", "")
