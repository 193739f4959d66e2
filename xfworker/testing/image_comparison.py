"""Comparing images in tests, with a picture of where they differ."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Union

from xfworker.api.facade.omni import Image
from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.services.comparison.difference import Tolerance
from xfworker.services.comparison.files import OpenImage, compare_descriptions
from xfworker.services.comparison.pixels import ArrayVolume, Volume, compare_pixels, compare_shapes

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]
else:
    Pixels = Any

ImageLike = Union[Pixels, Image, Path, str]  # noqa: UP007  at run time one of them is Any
"""An array ``(z, y, x)``, an image of the ``omni`` module, or the path of an image file."""

_EXACT = Tolerance(relative=0)
_GAP = 8
_LEAST_WIDTH = 160


def assert_same_image(
    actual: ImageLike,
    expected: ImageLike,
    *,
    tolerance: Tolerance | None = None,
    absolute: float = 0.0,
    relative: float = 0.0,
    pictures: Path | None = None,
) -> None:
    """
    Fail unless two images are the same, voxel by voxel.

    Where both come from files, size, spacing, origin, calibrations and labels are compared as well; an array has none,
    so against an array only the voxels count.

    Args:
        actual: The image as it is.
        expected: The image as it should be.
        tolerance: By how much voxels may differ, in place of the next two.
        absolute: By how much voxels may differ, in raw values.
        relative: By how much more, as a part of the expected value.
        pictures: Where the picture of the worst slice goes; a new temporary folder by default.

    Raises:
        AssertionError: They differ. The message says where and by how much, and names a PNG that shows the worst slice:
            expected, actual, and what differs in red.
    """
    allowed = tolerance or Tolerance(absolute=absolute, relative=relative)
    with _Opened(expected) as expected_image, _Opened(actual) as actual_image:
        report: list[str] = []
        if expected_image.info is not None and actual_image.info is not None:
            report = [
                str(difference)
                for difference in compare_descriptions(expected_image.info, actual_image.info, allowed, "image")
            ]
        other_shape = compare_shapes(expected_image.volume, actual_image.volume, "image")
        if other_shape is not None:
            raise AssertionError("\n".join([str(other_shape), *report]))
        voxels = compare_pixels(expected_image.volume, actual_image.volume, allowed)
        if voxels.differing:
            folder = Path(tempfile.mkdtemp(prefix="xf-difference-")) if pictures is None else pictures
            picture = _save_picture(expected_image.volume, actual_image.volume, voxels.worst_slice, allowed, folder)
            report = [f"{voxels}; see {picture}", *report]
    if report:
        raise AssertionError("the image is not as expected: " + "\n".join(report))


class _Opened:
    """An image of any kind, opened as a volume for a ``with`` block."""

    volume: Volume
    info: ImageInfo | None = None

    def __init__(self, image: ImageLike) -> None:
        self._reader: Any = None
        if isinstance(image, Path | str | Image):
            from xfworker.api.composition.image_formats import image_formats

            path = image.metadata_path if isinstance(image, Image) else Path(image)
            self._reader = image_formats().reader(path)
            self.volume = OpenImage(self._reader)
            self.info = self._reader.info
            return
        import numpy as np

        array = np.asarray(image)
        if array.dtype.kind not in "biuf":
            raise UsageError(f"an image is an array of numbers, an omni.Image or a path, not {type(image).__name__}")
        self.volume = ArrayVolume(array.view(np.uint8) if array.dtype == np.bool_ else array)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.close()


def _save_picture(expected: Volume, actual: Volume, index: int, tolerance: Tolerance, folder: Path) -> Path:
    import numpy as np
    from PIL import Image as Picture

    left, right = (_plane(volume.read(index, index + 1)) for volume in (expected, actual))
    wrong = ~np.isclose(right, left, rtol=tolerance.relative, atol=tolerance.absolute, equal_nan=True)
    grey = _grey(left, right)
    difference = np.stack([grey[0] // 2] * 3, axis=-1)
    difference[wrong] = (255, 32, 32)
    scale = -(-_LEAST_WIDTH // left.shape[1])
    panels = [
        panel.repeat(scale, axis=0).repeat(scale, axis=1)
        for panel in (*(np.stack([panel] * 3, axis=-1) for panel in grey), difference)
    ]
    gap = np.full((panels[0].shape[0], _GAP, 3), 255, np.uint8)
    picture = Picture.fromarray(np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1))
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="difference-", dir=folder)) / f"slice-{index}.png"
    picture.save(path)
    return path


def _plane(slab: Pixels) -> Pixels:
    import numpy as np

    # Whatever the axes are, a picture has two.
    width = slab.shape[-1] if slab.ndim > 1 else slab.size
    return np.asarray(slab, dtype=np.float64).reshape(-1, width)


def _grey(*planes: Pixels) -> list[Pixels]:
    import numpy as np

    finite = np.concatenate([plane[np.isfinite(plane)].ravel() for plane in planes])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    span = (high - low) or 1.0
    scaled = [np.nan_to_num((plane - low) / span, nan=0.0, posinf=1.0, neginf=0.0) for plane in planes]
    return [np.clip(plane * 255, 0, 255).astype(np.uint8) for plane in scaled]
