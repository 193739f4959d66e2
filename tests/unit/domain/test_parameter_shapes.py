"""Composite parameters have the documented shapes, key by key, and what is wrong in them is named by its path."""

import math

import pytest

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.parameter_shapes import check_shape, shape_violations

_FILE = {"source": "job_result", "job_serial": 7, "filename": "a.raw"}


def _file(type_name, **more):
    return {"type": type_name, **_FILE, **more}


_IMAGE = _file("Image", size=[1, 2, 3])
_SNAPSHOT = {"type": "Snapshot", "bitmap": _file("Bitmap")}
_ABSENT = object()


@pytest.mark.parametrize(
    ("value", "violations"),
    [
        ({"type": "ImagePairList", "pairs": [[_IMAGE, _IMAGE], [_IMAGE, _IMAGE]]}, []),
        ({"type": "ImagePairList", "pairs": [[_IMAGE]]}, ["out.pairs[0]: expected a pair of images, got 1 items"]),
        (
            {"type": "ImagePairList", "pairs": [[_IMAGE, {**_IMAGE, "type": "Mesh"}]]},
            ["out.pairs[0][1]: expected an Image, got a Mesh"],
        ),
        ({**_IMAGE, "additional_files": [_FILE]}, []),
        (
            {**_IMAGE, "additional_files": [{**_FILE, "filename": "../a"}, 7]},
            [
                "out.additional_files[0].filename: ",
                "out.additional_files[1]: expected a file reference (an object with 'source' and 'filename'), got 7",
            ],
        ),
    ],
    ids=["pairs", "half a pair", "a pair with a mesh", "a file beside", "what is no file beside"],
)
def test_pairs_of_images_and_files_beside_images_are_looked_into(value, violations):
    found = list(shape_violations(value, "out"))
    assert len(found) == len(violations)
    assert all(one.startswith(beginning) for one, beginning in zip(found, violations, strict=True))


def _required(good, bad):
    return good, [*bad, None, _ABSENT]


def _optional(good, bad):
    return [*good, None, _ABSENT], bad


def _held(type_name):
    """Give what is refused as a file of a type that another parameter holds."""
    return [], [1, [], {}, _FILE, _file("Table"), {"type": type_name}, _file(type_name, filename="../a")]


def _counts(taken, refused, item):
    return [[item] * count for count in taken], [[item] * count for count in refused]


def _whole(counts, beyond, least, below):
    good, bad = _counts(counts, beyond, least)
    return good, [*bad, 3, "123", *([wrong, *[least] * (counts[-1] - 1)] for wrong in (below, 1.5, True, "1", None))]


def _finite(counts, beyond):
    good, bad = _counts(counts, beyond, -0.5)
    wrong = (math.inf, math.nan, True, "1", None, 10**400)
    return [*good, [1] * counts[0]], [*bad, 3, "123", *([-0.5] * (counts[0] - 1) + [item] for item in wrong)]


_TEXT = (["", "a b"], [1, []])
_NAMED = (["u"], ["", " ", 1])
_AXES = _whole(range(2, 8), (0, 1, 8), 1, 0)
_PLACE = ([[-1, 0, 1]], _whole((3,), (2, 4), 1, 1.5)[1])
_SIZE = _whole((3,), (2, 4), 1, 0)
_POSITIVE = ([[0.001, 1, 2.5]], [*_finite((3,), (2, 4))[1], [0, 1, 1], [1, 1, -0.001]])
_BESIDE = {
    "filenames": _optional([[], ["a.raw", "b.raw"]], ["a.raw", [1], ["../a"], ["a.raw", ""]]),
    "additional_files": _optional([[], [_FILE]], [_FILE, [1], [{}], [_FILE, {**_FILE, "filename": ""}]]),
}
_VOI = {
    "image": _required(*_held("Image")),
    "name": _optional(*_TEXT),
    "category": _optional(*_TEXT),
}
KEYS = {
    "Contours": {"image": _required(*_held("Image"))},
    "Entity": {"uuid": _required(*_NAMED), "name": _required(*_TEXT)},
    "GIResult": {"snapshot": _required([], [1, _SNAPSHOT["bitmap"]]), "gi_image": _required(*_held("Image"))},
    "Image": {"size": _optional(*_AXES), **_BESIDE},
    "ImagePairList": {
        "pairs": _required([[], [[_IMAGE, _IMAGE]]], [_IMAGE, [_IMAGE], [1], [[_IMAGE]], [[_IMAGE] * 3], [[_IMAGE, 1]]])
    },
    "ImageVOI": {"pos": _required(*_PLACE), "size": _required(*_SIZE), **_VOI},
    "Mesh": _BESIDE,
    "RegistrationResult": {
        "transform": _required(*_finite((16,), (15, 17))),
        **{key: _optional(*_held("Image")) for key in ("image1", "image2")},
        **{key: _optional(*_held("Mesh")) for key in ("mesh1", "mesh2")},
    },
    "RotatedImageVOI": {
        "pos_mm": _required(*_finite((3,), (2, 4))),
        "size_mm": _required(*_POSITIVE),
        "size": _required(*_SIZE),
        "rotation": _required(*_finite((3, 4, 9), (2, 5, 8, 10))),
        **_VOI,
    },
    "Sequence": {"task_serial": _required([1, 2**62], [0, -1, 1.5, True, "1"]), "key": _required(*_NAMED)},
    "Snapshot": {
        "bitmap": _required(*_held("Bitmap")),
        **{key: _optional(*_held("Image")) for key in ("image", "image2")},
        "mesh": _optional(*_held("Mesh")),
        "metadata": _optional(*_held("SnapshotMetadata")),
        "video": _optional(*_held("Video")),
    },
    "Spectra": {key: _required(*_held("Image")) for key in ("amplitudes_image", "wavelength_image")},
    "Video": {"bitmap": _optional(*_held("Bitmap"))},
}
OWN = {
    "Contours": _file("Contours", image=_IMAGE),
    "Entity": {"type": "Entity", "uuid": "u", "name": ""},
    "GIResult": {"type": "GIResult", "snapshot": _SNAPSHOT, "gi_image": _IMAGE},
    "Image": _file("Image", size=[1, 2], filenames=["a.raw"], additional_files=[_FILE]),
    "ImagePairList": {"type": "ImagePairList", "pairs": []},
    "ImageVOI": {"type": "ImageVOI", "pos": [0, 0, 0], "size": [1, 1, 1], "image": _IMAGE},
    "Mesh": _file("Mesh"),
    "RegistrationResult": {
        "type": "RegistrationResult",
        "transform": [0.5] * 16,
        **dict.fromkeys(("image1", "image2"), _IMAGE),
        **{key: _file("Mesh") for key in ("mesh1", "mesh2")},
    },
    "RotatedImageVOI": {
        "type": "RotatedImageVOI", "pos_mm": [0, 0, 0], "size_mm": [1, 1, 1], "size": [1, 1, 1], "rotation": [0, 0, 0],
        "image": _IMAGE,
    },
    "Sequence": {"type": "Sequence", "task_serial": 1, "key": "k"},
    "Snapshot": {
        **_SNAPSHOT, "image": _IMAGE, "image2": _IMAGE, "mesh": _file("Mesh"), "metadata": _file("SnapshotMetadata"),
        "video": _file("Video"),
    },
    "Spectra": {"type": "Spectra", "amplitudes_image": _IMAGE, "wavelength_image": _IMAGE},
    "Video": _file("Video", bitmap=_file("Bitmap")),
}  # fmt: skip


def _changed(parameter, key, value):
    return {
        **{name: own for name, own in parameter.items() if name != key},
        **({} if value is _ABSENT else {key: value}),
    }


@pytest.mark.parametrize("name", OWN)
def test_each_key_of_a_parameter_takes_what_is_documented_and_nothing_else(name):
    assert list(shape_violations({**OWN[name], "own key": 1}, "out")) == []
    for key, (good, bad) in KEYS[name].items():
        for value in good:
            assert list(shape_violations(_changed(OWN[name], key, value), "out")) == [], (key, value)
        for value in bad:
            found = list(shape_violations(_changed(OWN[name], key, value), "out"))
            assert found, (key, value)
            assert all(violation.startswith(f"out.{key}") for violation in found), (key, value)


@pytest.mark.parametrize(
    "name",
    ["Bitmap", "CSV", "Contours", "ForeignFile", "HTMLDocument", "Image", "Mesh", "SnapshotMetadata", "Video"],
)
def test_a_parameter_that_is_a_file_names_one(name):
    whole = OWN.get(name, _file(name))
    assert list(shape_violations(whole, "out")) == []
    for key, value in [
        ("source", _ABSENT), ("filename", _ABSENT), ("filename", "../a"), ("filename", ""), ("job_serial", _ABSENT),
    ]:  # fmt: skip
        assert list(shape_violations(_changed(whole, key, value), "out")), (key, value)


def test_a_parameter_of_a_type_that_is_not_known_passes():
    assert list(shape_violations({"type": "LabReport", "image": 1, "source": []}, "out")) == []


@pytest.mark.parametrize(
    ("value", "type_name", "violation"),
    [
        (5, None, "out: expected a composite parameter (an object with 'type'), got 5"),
        (5, "Image", "out: expected an Image (an object with 'type'), got 5"),
        ({"type": ""}, None, "out: expected a composite parameter, got an object without a 'type'"),
        ({"type": 5}, None, "out: expected a composite parameter, got an object without a 'type'"),
        ({}, "Mesh", "out: expected a Mesh, got an object without a 'type'"),
        (_file("Mesh"), "Image", "out: expected an Image, got a Mesh"),
        (["x" * 54], None, "out: expected a composite parameter (an object with 'type'), got ['" + "x" * 54 + "']"),
        ("y" * 58, None, "out: expected a composite parameter (an object with 'type'), got '" + "y" * 58 + "'"),
        ("y" * 59, None, "out: expected a composite parameter (an object with 'type'), got '" + "y" * 56 + "..."),
        (_file("Image", size=[1]), None, "out.size: expected 2 to 7 whole numbers above 0, got 1"),
        (_file("Image", size=[1, 0]), None, "out.size[1]: expected a whole number above 0, got 0"),
        (_file("Image", size="ab"), None, "out.size: expected a list of 2 to 7 whole numbers above 0, got 'ab'"),
        (
            {**OWN["RotatedImageVOI"], "rotation": [1]},
            None,
            "out.rotation: expected 3 or 4 or 9 numbers, got 1",
        ),
        (
            {**OWN["RotatedImageVOI"], "pos_mm": [1, 2, math.nan]},
            None,
            "out.pos_mm[2]: expected a finite number, got nan",
        ),
        ({"type": "ImagePairList", "pairs": [5]}, None, "out.pairs[0]: expected a pair of images, got 5"),
    ],
)
def test_what_is_wrong_is_named_with_what_was_expected(value, type_name, violation):
    assert list(shape_violations(value, "out", type_name=type_name)) == [violation]


def test_a_checked_parameter_is_given_back_or_refused_with_everything_that_is_wrong():
    assert check_shape(OWN["Entity"], "entity") is OWN["Entity"]
    with pytest.raises(InvalidParameter, match=r"^entity: uuid: is missing; name: expected a string, got 1$") as caught:
        check_shape({"type": "Entity", "name": 1}, "entity")
    assert caught.value.faults == ("uuid: is missing", "name: expected a string, got 1")
