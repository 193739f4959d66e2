from pathlib import Path

import numpy as np
import pytest

from xfworker.adapters.images.registry import ImageRegistry, image_formats
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType


@pytest.fixture
def formats():
    return image_formats()


@pytest.fixture
def describe_array(tmp_path):
    """Describe an array (z, y, x) as an image that is nowhere yet."""

    def describe(array, **known):
        pixel_type = PixelType.of_numpy_code(array.dtype.str)
        assert pixel_type is not None
        path = tmp_path / "nowhere"
        return ImageInfo(
            path=path, format="array", size=array.shape[::-1], pixel_type=pixel_type, pixels_path=path, **known
        )

    return describe


@pytest.fixture
def write_array(formats: ImageRegistry, describe_array):
    """Write an array (z, y, x) to an image file, in slabs."""

    def write(path: Path, array, *, encoding=None, slab=2, **known):
        with formats.writer(path, describe_array(array, **known), encoding=encoding) as writer:
            for start in range(0, len(array), slab):
                writer.write(array[start : start + slab])
        return path

    return write


@pytest.fixture
def read_array(formats: ImageRegistry):
    """Read all pixels of an image file."""

    def read(path: Path):
        with formats.reader(path) as reader:
            return reader.read(0, reader.info.size[-1])

    return read


@pytest.fixture
def bone():
    """A small volume like trabecular bone: int16, (z, y, x) = (13, 21, 30)."""
    z, y, x = np.ogrid[:13, :21, :30]
    wave = np.sin(x / 3) * np.cos(y / 4) + np.sin(y / 3) * np.cos(z / 2)
    return (wave * 2000 + 1500).astype(np.int16)


@pytest.fixture
def series(tmp_path):
    """An image whose axes are not those of a volume."""
    path = tmp_path / "series.omni"
    return ImageInfo(path=path, format="OMNI", axes="XYT", size=(4, 3, 2), pixel_type=PixelType.INT16, pixels_path=path)
