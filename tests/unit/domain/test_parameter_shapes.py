"""Composite parameters have the documented shapes, and what is wrong in them is named by its path."""

import pytest

from xfworker.domain.parameter_shapes import shape_violations

_FILE = {"source": "job_result", "job_serial": 7, "filename": "a.raw"}
_IMAGE = {"type": "Image", **_FILE, "size": [1, 2, 3]}


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
