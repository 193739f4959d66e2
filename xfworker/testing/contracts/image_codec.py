"""What every codec of an image format must do, as tests to inherit."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from xfworker.domain.errors import ImageError, UnsupportedImage, UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.ports.image_codec import ImageCodec, Pixels

_HEAD_BYTES = 4096

Sample = tuple[Path, Pixels]
"""An image of the format, and its voxels as an array ``(z, y, x)``."""


def voxels(code: str) -> Pixels:
    """Give voxels of a type that any format for it holds: a block of one value in zeros, as a mask has."""
    array = np.zeros((5, 6, 7), code)
    array[1:4, 1:5, 2:6] = 127
    return array


def description(array: Pixels, path: Path) -> ImageInfo:
    """Describe an array ``(z, y, x)`` as an image that is nowhere yet; its voxels are 0.5 mm long."""
    pixel_type = PixelType.of_numpy_code(array.dtype.str)
    assert pixel_type is not None
    return ImageInfo(
        path=path,
        format="array",
        size=array.shape[::-1],
        pixel_type=pixel_type,
        pixels_path=path,
        spacing_mm=(0.5, 0.5, 0.5),
    )


def head_of(path: Path) -> bytes:
    """Give what a codec is shown of a file's content."""
    if path.is_dir():
        return b""
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


class ImageCodecContract:
    """
    Inherit it, give the two fixtures, and pytest runs every test against your codec for reading.

    Fixtures to give:
        ``codec``: an :class:`~xfworker.ports.image_codec.ImageCodec`.
        ``image``: an image of the format, new for each test and alone in its folder, with the voxels that are in it.
    """

    @pytest.fixture
    def codec(self) -> ImageCodec:
        raise NotImplementedError("give a codec")

    @pytest.fixture
    def image(self, codec: ImageCodec, tmp_path: Path) -> Sample:
        raise NotImplementedError("give an image of the format")

    def test_its_own_images_are_recognised_by_content(self, codec: ImageCodec, image: Sample) -> None:
        path, _ = image
        assert codec.recognises(path, head_of(path))

    @pytest.mark.parametrize(
        "content",
        [b"", b"\0" * 4096, b"\xff" * 4096, b"a text\nof two lines\n", bytes(range(256)) * 16, b"{}", b"<x/>"],
    )
    def test_other_content_is_not_recognised(self, codec: ImageCodec, tmp_path: Path, content: bytes) -> None:
        for suffix in (*codec.suffixes, ".bin"):
            path = tmp_path / f"other{suffix}"
            path.write_bytes(content)
            # A JSON document may be one of the format, so its name counts; what is not one is then refused.
            if codec.recognises(path, content):
                with pytest.raises(ImageError):
                    codec.describe(path)
        empty = tmp_path / "empty-folder"
        empty.mkdir()
        assert not codec.recognises(empty, b"")
        assert not codec.recognises(tmp_path / "other.bin", content)

    def test_an_image_is_described(self, codec: ImageCodec, image: Sample) -> None:
        path, expected = image
        info = codec.describe(path)
        assert info.format == codec.name
        assert info.path == path
        assert info.size_3d == expected.shape[::-1]
        assert info.pixel_type is PixelType.of_numpy_code(expected.dtype.str)
        assert all(step > 0 for step in info.spacing_mm)

    def test_every_slab_is_read_as_it_is(self, codec: ImageCodec, image: Sample) -> None:
        path, expected = image
        depth = len(expected)
        with codec.reader(path) as reader:
            assert reader.info == codec.describe(path)
            for start in range(depth):
                for stop in range(start + 1, depth + 1):
                    slab = reader.read(start, stop)
                    np.testing.assert_array_equal(slab, expected[start:stop])
                    assert slab.dtype == expected.dtype
                    assert slab.dtype.isnative

    def test_a_slab_is_read_into_an_array(self, codec: ImageCodec, image: Sample) -> None:
        path, expected = image
        out = np.full_like(expected[:1], 99)
        with codec.reader(path) as reader:
            slab = reader.read(len(expected) - 1, len(expected), out=out)
        np.testing.assert_array_equal(out, expected[-1:])
        assert slab is out

    def test_a_memory_map_shows_the_same_and_cannot_be_written(self, codec: ImageCodec, image: Sample) -> None:
        path, expected = image
        with codec.reader(path) as reader:
            mapped = reader.memory_map()
            if mapped is not None:
                np.testing.assert_array_equal(mapped, expected)
                assert not mapped.flags.writeable
            del mapped

    def test_reading_changes_no_file(self, codec: ImageCodec, image: Sample) -> None:
        path, expected = image
        before = _contents(path.parent)
        codec.describe(path)
        with codec.reader(path) as reader:
            reader.read(0, len(expected))
        assert _contents(path.parent) == before

    def test_an_image_that_is_not_there_is_an_error_of_images(self, codec: ImageCodec, tmp_path: Path) -> None:
        for suffix in (*codec.suffixes, ""):
            with pytest.raises(ImageError, match="absent"):
                codec.describe(tmp_path / f"absent{suffix}")
            with pytest.raises(ImageError, match="absent"):
                codec.reader(tmp_path / f"absent{suffix}")

    def test_a_format_that_is_not_written_has_no_encodings(self, codec: ImageCodec, tmp_path: Path) -> None:
        if codec.encodings:
            assert codec.suffixes
            return
        with pytest.raises(UnsupportedImage):
            codec.writer(tmp_path / "a", description(voxels("i2"), tmp_path / "a"))
        assert list(tmp_path.iterdir()) == []


class WrittenImageCodecContract(ImageCodecContract):
    """
    For a codec that writes as well.

    Fixture to give:
        ``codec``: an :class:`~xfworker.ports.image_codec.ImageCodec`.

    Attributes:
        code: The numpy code of a pixel type that the format takes without an encoding being named.
        is_folder: Whether an image is a folder, which is not replaced when it is there.
    """

    code: ClassVar[str] = "i2"
    is_folder: ClassVar[bool] = False

    @pytest.fixture
    def target(self, codec: ImageCodec, tmp_path: Path) -> Path:
        folder = tmp_path / "written"
        folder.mkdir()
        return folder / f"image{codec.suffixes[0]}"

    @pytest.fixture
    def write(self, codec: ImageCodec) -> Callable[..., None]:
        def write(path: Path, array: Pixels, encoding: str | None = None) -> None:
            with codec.writer(path, description(array, path), encoding=encoding) as writer:
                for start in range(0, len(array), 2):
                    writer.write(array[start : start + 2])

        return write

    @pytest.fixture
    def image(self, write: Callable[..., None], target: Path) -> Sample:
        # The voxels fill their box, so that a format which keeps the box only has them all.
        array = np.full((5, 6, 7), 127, self.code)
        write(target, array)
        return target, array

    def test_what_only_its_own_package_looks_for_is_said_in_sentences(self, codec: ImageCodec, target: Path) -> None:
        writer = codec.writer(target, description(np.full((5, 6, 7), 127, self.code), target))
        try:
            assert isinstance(writer.remarks, tuple)
            assert all(isinstance(remark, str) for remark in writer.remarks)
        finally:
            writer.discard()

    def test_every_suffix_and_encoding_gives_back_what_was_written(
        self, codec: ImageCodec, write: Callable[..., None], target: Path
    ) -> None:
        for suffix in codec.suffixes:
            for encoding in (None, *codec.encodings):
                path = target.with_name(f"{encoding}{suffix}")
                taken = []
                for pixel_type in PixelType:
                    array = np.full((5, 6, 7), 127, pixel_type.code)
                    array[0, 0, 1:5] = 0
                    try:
                        write(path.with_stem(f"{path.stem}-{pixel_type.value}"), array, encoding)
                    except UnsupportedImage:
                        continue
                    taken.append(pixel_type)
                    with codec.reader(path.with_stem(f"{path.stem}-{pixel_type.value}")) as reader:
                        slab = reader.read(0, len(array))
                    np.testing.assert_array_equal(slab, array)
                assert taken, f"{suffix} with {encoding} takes no pixel type at all"

    def test_size_and_spacing_come_back(self, codec: ImageCodec, image: Sample) -> None:
        path, array = image
        info = codec.describe(path)
        assert info.size == array.shape[::-1]
        assert info.spacing_mm == pytest.approx((0.5, 0.5, 0.5))

    def test_nothing_has_the_name_before_all_is_written(self, codec: ImageCodec, target: Path) -> None:
        array = voxels(self.code)
        writer = codec.writer(target, description(array, target))
        assert writer.info.size == array.shape[::-1]
        writer.write(array)
        assert not target.exists()
        writer.finish()
        assert target.exists()

    def test_what_is_discarded_or_fails_leaves_nothing(self, codec: ImageCodec, target: Path) -> None:
        array = voxels(self.code)
        discarded = codec.writer(target, description(array, target))
        discarded.write(array[:2])
        discarded.discard()
        assert list(target.parent.iterdir()) == []
        with pytest.raises(KeyError), codec.writer(target, description(array, target)) as writer:
            writer.write(array[:2])
            raise KeyError
        assert list(target.parent.iterdir()) == []

    def test_an_image_with_too_few_slices_is_not_finished(self, codec: ImageCodec, target: Path) -> None:
        array = voxels(self.code)
        with pytest.raises(UsageError), codec.writer(target, description(array, target)) as writer:
            writer.write(array[:2])
        assert list(target.parent.iterdir()) == []

    def test_an_older_image_stays_until_the_new_one_is_complete(
        self, codec: ImageCodec, write: Callable[..., None], target: Path
    ) -> None:
        first, second = (np.full((5, 6, 7), 127, self.code) for _ in range(2))
        second[2:, :, :] = 0
        write(target, first)
        before = _contents(target.parent)
        if self.is_folder:
            with pytest.raises(ImageError, match="exists"):
                write(target, second)
            assert _contents(target.parent) == before
            return
        with pytest.raises(KeyError), codec.writer(target, description(second, target)) as writer:
            writer.write(second[:2])
            raise KeyError
        assert _contents(target.parent) == before
        write(target, second)
        assert _contents(target.parent) != before
        assert _contents(target.parent).keys() == before.keys()

    def test_an_encoding_that_the_format_lacks_is_refused(self, codec: ImageCodec, target: Path) -> None:
        with pytest.raises(UnsupportedImage, match="no-such"):
            codec.writer(target, description(voxels(self.code), target), encoding="no-such")
        assert list(target.parent.iterdir()) == []


def _contents(folder: Path) -> dict[str, bytes]:
    return {os.path.relpath(path, folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
