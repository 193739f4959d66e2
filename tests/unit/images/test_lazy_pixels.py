import numpy as np
import pytest

from xfworker.adapters.images.registry import image_formats
from xfworker.api.facade import omni
from xfworker.services.images.conversion import convert
from xfworker.services.images.lazy_pixels import LazyPixels


@pytest.fixture
def encoded(tmp_path):
    """A run-length encoded mask and the voxels that it must show."""
    mask = np.zeros((3, 4, 5), np.int8)
    mask[1:, 2:, 3:] = 127
    image = omni.create_image(tmp_path / "mask.omni", size=(5, 4, 3), pixel_type="int8")
    image.pixels[:] = mask
    image.save()
    convert(image_formats(), tmp_path / "mask.omni", tmp_path / "mask.aim", encoding="binCmp")
    return omni.open_image(tmp_path / "mask.aim").pixels, mask


def test_encoded_pixels_take_part_in_arithmetic_and_comparisons(encoded):
    pixels, mask = encoded

    assert not isinstance(pixels, np.ndarray)
    np.testing.assert_array_equal(pixels > 0, mask > 0)
    np.testing.assert_array_equal(1000 - pixels.astype(np.int16), 1000 - mask.astype(np.int16))
    np.testing.assert_array_equal(np.add(pixels, pixels, dtype=np.int16), mask.astype(np.int16) * 2)


def test_encoded_pixels_have_the_methods_of_an_array(encoded):
    pixels, mask = encoded

    assert (pixels.max(), pixels.mean(), np.count_nonzero(pixels)) == (127, mask.mean(), 8)
    with pytest.raises(AttributeError):
        pixels.no_such_method  # noqa: B018  asking is the test


def test_encoded_pixels_cannot_be_changed_in_place(encoded):
    pixels, mask = encoded

    with pytest.raises(TypeError):
        pixels += 1
    with pytest.raises(TypeError):
        pixels[0] = 1
    np.testing.assert_array_equal(encoded[0], mask)


class Reader:
    """A reader that says how often it was closed."""

    closed = 0

    def close(self):
        self.closed += 1


def test_encoded_pixels_let_go_of_their_file_when_they_are_closed():
    reader = Reader()
    pixels = LazyPixels(reader)
    pixels.close()
    assert reader.closed == 1
