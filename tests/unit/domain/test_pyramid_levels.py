"""How large the levels of a pyramid are, and where they lie in space."""

from pathlib import Path

import pytest

from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.image.pyramid import Level, levels_of, ngff_image, voxel_count


@pytest.mark.parametrize(
    ("size", "levels"),
    [
        ((256, 10, 3), [((1, 1, 1), (256, 10, 3))]),
        ((257, 256, 1), [((1, 1, 1), (257, 256, 1)), ((2, 2, 1), (128, 128, 1))]),
        (
            (1030, 5, 1),
            [
                ((1, 1, 1), (1030, 5, 1)), ((2, 2, 1), (515, 2, 1)), ((4, 4, 1), (257, 1, 1)), ((8, 4, 1), (128, 1, 1)),
            ],
        ),
        ((2, 3, 300), [((1, 1, 1), (2, 3, 300)), ((2, 2, 2), (1, 1, 150))]),
    ],
)  # fmt: skip
def test_each_level_is_half_as_large_along_every_axis_until_it_is_small(size, levels):
    assert levels_of(size) == tuple(Level(number, *level) for number, level in enumerate(levels))


def test_levels_know_their_shape_and_how_they_become_the_next():
    first, *_, below, last = levels_of((1030, 5, 1))
    assert (first.shape, below.shape) == ((1, 5, 1030), (1, 1, 257))
    assert below.halving_to(last) == (2, 1, 1)
    assert first.halving_to(below) == (4, 4, 1)
    assert voxel_count((first, last)) == 1030 * 5 + 128


@pytest.mark.parametrize(("kind", "averaged"), [("image", "mean"), ("segments", "mode")])
def test_a_voxel_of_a_coarse_level_lies_in_the_middle_of_those_that_became_it(kind, averaged):
    volume = ImageInfo(
        path=Path("scan.v1.omni"), format="OMNI", kind=kind, size=(300, 2, 1), pixel_type=PixelType.INT16,
        pixels_path=Path("a.raw"), spacing_mm=(0.5, 2.0, 4.0), origin_mm=(10.0, 20.0, 30.0),
    )  # fmt: skip
    assert ngff_image(volume, levels_of(volume.size_3d), "zyx") == {
        "version": "0.5",
        "multiscales": [
            {
                "name": "scan",
                "axes": [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [
                            {"type": "scale", "scale": [4.0, 2.0, 0.5]},
                            {"type": "translation", "translation": [30.0, 20.0, 10.0]},
                        ],
                    },
                    {
                        "path": "1",
                        "coordinateTransformations": [
                            {"type": "scale", "scale": [4.0, 4.0, 1.0]},
                            {"type": "translation", "translation": [30.0, 21.0, 10.25]},
                        ],
                    },
                ],
                "type": averaged,
            }
        ],
    }
    flat = ngff_image(volume, levels_of(volume.size_3d)[:1], "yx")["multiscales"][0]
    assert [axis["name"] for axis in flat["axes"]] == ["y", "x"]
    assert flat["datasets"][0]["coordinateTransformations"][0]["scale"] == [2.0, 0.5]
