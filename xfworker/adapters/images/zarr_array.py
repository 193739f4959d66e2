"""zarr arrays (versions 2 and 3) in a folder, by zarr."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.adapters.images.carried_metadata import KEY, carried, unseen_calibrations, with_carried
from xfworker.adapters.images.disk_room import writing_errors
from xfworker.adapters.images.extras import reader_library
from xfworker.adapters.images.incomplete_image import PartialFolder
from xfworker.adapters.images.raw_blocks import check_seen
from xfworker.adapters.images.raw_pixels import SlabReader, SlabWriter
from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image.description import ALONG_THE_AXES, ImageInfo, Triple
from xfworker.domain.image.pixel_type import PixelType

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_CHUNK: Final = 64
_ROW_OF_CHUNKS_BYTES: Final = 64 << 20
"""The most that is held until a row of chunks is full; chunks of larger slices are flatter and wider."""
_SPACING, _ORIGIN, DIRECTION = "spacing_mm", "origin_mm", "direction"


class ZarrCodec:
    """The ``ImageCodec`` of a zarr array of up to three axes, C-ordered (z, y, x)."""

    name = "zarr"
    suffixes: tuple[str, ...] = (".zarr",)
    encodings: tuple[str, ...] = ("zarr",)

    def recognises(self, path: Path, _head: bytes, /) -> bool:
        """Return whether the folder is a zarr array."""
        return path.is_dir() and ((path / "zarr.json").is_file() or (path / ".zarray").is_file())

    def describe(self, path: Path) -> ImageInfo:
        """Read the array's metadata; see the port."""
        return _described(path)[0]

    def reader(self, path: Path) -> "ZarrReader":
        """Open the array; see the port."""
        return ZarrReader(*_described(path))

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> "ZarrWriter":
        """Begin an array in a folder that does not exist yet; see the port."""
        if encoding not in (None, "zarr"):
            raise UnsupportedImage(f"{path}: zarr has encodings of its own, not {encoding}.")
        return ZarrWriter(path, image, ZarrCodec.name)


def _described(path: Path) -> tuple[ImageInfo, Any]:
    zarr = reader_library("zarr", path, "a zarr array")
    try:
        array = zarr.open(str(path), mode="r")
        shape = tuple(int(count) for count in array.shape)
        pixel_type = PixelType.of_numpy_code(array.dtype.str)
        notes = dict(array.attrs)
    except Exception as error:  # zarr raises several classes of its own; a group has no shape
        raise ImageFormatError(
            f"zarr cannot read it as an array: {error!r:.200}.", path=path, field="metadata"
        ) from error
    if pixel_type is None or not 1 <= len(shape) <= 3 or min(shape) < 1:  # noqa: PLR2004 - x, y, z
        raise UnsupportedImage(f"{path}: an array of type {array.dtype} and shape {shape} is not read.")
    info = ImageInfo(
        path=path,
        format=ZarrCodec.name,
        format_version=str(array.metadata.zarr_format),
        encoding="zarr",
        axes="XYZ"[: len(shape)],
        size=shape[::-1],
        pixel_type=pixel_type,
        pixels_path=path,
        spacing_mm=_triple(notes.get(_SPACING), 1.0, positive=True),
        origin_mm=_triple(notes.get(_ORIGIN), 0.0, positive=False),
        direction=stated_direction(notes.get(DIRECTION)),
        header={"chunks": list(array.chunks)},
        files=(path,),
    )
    if notes.get(_SPACING) is None:
        info = attrs.evolve(info, assumptions=("states no spacing; 1 mm is taken",))
    return with_carried(info, json.dumps({KEY: notes.get(KEY)}, default=str)), array


def _triple(stated: Any, default: float, *, positive: bool) -> Triple:
    try:
        x, y, z = (float(value) for value in stated)
    except (TypeError, ValueError):
        return default, default, default
    return (x, y, z) if not positive or min(x, y, z) > 0 else (default, default, default)


def stated_direction(stated: Any) -> tuple[float, ...]:
    """Give the direction that an attribute states, or that of the axes."""
    try:
        values = tuple(float(value) for value in stated)
    except (TypeError, ValueError):
        return ALONG_THE_AXES
    return values if len(values) == len(ALONG_THE_AXES) else ALONG_THE_AXES


class ZarrReader(SlabReader):
    """Reads ranges of the array."""

    def __init__(self, info: ImageInfo, array: Any) -> None:
        super().__init__(info)
        self._array = array

    def read_box(self, slices: range, rows: range, columns: range) -> "Pixels":
        """Read some voxels of the image seen as a volume, and no chunk besides; see ``BoxReader``."""
        return zarr_box(self.info, self._array, (), (slices, rows, columns))

    def _read_into(self, start: int, out: "Pixels") -> None:
        try:
            out[...] = self._array[start : start + len(out)]
        except Exception as error:  # zarr and its codecs raise several classes
            raise ImageFormatError(f"zarr cannot read its chunks: {error!r:.200}.", path=self.info.path) from error


def zarr_box(info: ImageInfo, array: Any, before: tuple[int, ...], box: tuple[range, range, range]) -> "Pixels":
    """
    Read some voxels of an array.

    Args:
        info: What the image is.
        array: Its zarr array.
        before: The indices along axes that come before those of space.
        box: Which along z, y and x; an axis that the image lacks has one.

    Raises:
        ImageFormatError: A chunk is broken.
    """
    import numpy as np

    own = box[3 - len(info.shape) :]
    try:
        values = array[(*before, *(slice(part.start, part.stop, part.step) for part in own))]
    except Exception as error:  # zarr and its codecs raise several classes
        raise ImageFormatError(f"zarr cannot read its chunks: {error!r:.200}.", path=info.path) from error
    return np.asarray(values, np.dtype(info.pixel_type.code)).reshape([len(part) for part in box])


def chunks_of(shape: Sequence[int], pixel_bytes: int) -> tuple[int, ...]:
    """Give the shape of chunks: some 64 pixels along every axis, flatter where slices are large."""
    slab = math.prod(shape[1:]) * pixel_bytes
    depth = _CHUNK
    while depth > 1 and depth * slab > _ROW_OF_CHUNKS_BYTES:
        depth //= 2
    wide = _CHUNK if depth >= _CHUNK // 2 or len(shape) == 1 else 4 * _CHUNK
    return tuple(min(most, count) for most, count in zip((depth, wide, wide), shape, strict=False))


class ZarrWriter(SlabWriter):
    """Writes chunks into a partial folder that gets its final name when it is complete."""

    def __init__(self, path: Path, image: ImageInfo, name: str) -> None:
        zarr = reader_library("zarr", path, f"to be {name}")
        if image.axes not in ("X", "XY", "XYZ"):
            raise UnsupportedImage(f"{path}: zarr is written from axes XYZ, not {image.axes}.")
        if path.exists():
            raise ImageError(f"{path} exists; a folder is not replaced. Write to another name, or remove it first.")
        super().__init__(
            attrs.evolve(
                image,
                path=path,
                format=name,
                encoding="zarr",
                pixels_path=path,
                files=(path,),
                byte_order="little",
            )
        )
        self._folder = PartialFolder(path)
        self.remarks = unseen_calibrations(image, None, f"the attribute {KEY}")
        try:
            place = {name: list(getattr(image, name)) for name in (_SPACING, _ORIGIN, DIRECTION)}
            with writing_errors(path):
                self._array = self._created(zarr, image, {**json.loads(carried(image)), **place})
        except BaseException:
            self._folder.discard()
            raise
        self._waiting: list[Pixels] = []

    def _created(self, zarr: Any, image: ImageInfo, notes: Mapping[str, Any]) -> Any:
        """Make the array, and give it."""
        return zarr.create_array(
            str(self._folder.partial),
            shape=image.shape,
            dtype=image.pixel_type.numpy_code(),
            chunks=chunks_of(image.shape, image.pixel_type.size),
            attributes=dict(notes),
            dimension_names=[letter.lower() for letter in reversed(image.axes)],
        )

    def block_sink(self) -> "ZarrBlocks":
        """Give what takes blocks in any order; see ``BlockWriter``."""
        return ZarrBlocks(self.info.path, self._folder.partial / self._array.path, self._array.chunks)

    def _write(self, slab: "Pixels") -> None:
        """Write whole rows of chunks: a chunk that is filled in parts would be read and packed again each time."""
        import numpy as np

        self._waiting.append(slab)
        held = sum(len(one) for one in self._waiting)
        row = self._array.chunks[0]
        ready = held // row * row if self._written + len(slab) < self.info.shape[0] else held
        if not ready:
            # The caller may reuse its array for the next slab.
            self._waiting[-1] = slab.copy()
            return
        together = np.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        begin = self._written + len(slab) - held
        self._array[begin : begin + ready] = together[:ready]
        self._waiting = [together[ready:].copy()] if ready < held else []

    def _finish(self) -> None:
        self._folder.finish()

    def _discard(self) -> None:
        self._folder.discard()


class ZarrBlocks:
    """
    Takes blocks of whole chunks; see ``BlockSink``.

    Args:
        path: The image to be.
        folder: The array that is being written.
        chunks: The shape of its chunks.
    """

    def __init__(self, path: Path, folder: Path, chunks: Sequence[int]) -> None:
        self.grid = tuple(int(count) for count in chunks)
        self._path, self._folder = path, folder

    def put(self, start: tuple[int, ...], block: "Pixels") -> None:
        """Write a block; see the port."""
        zarr = reader_library("zarr", self._path, "to be written")
        check_seen(self._folder, self._path)
        with writing_errors(self._path):
            array = zarr.open_array(str(self._folder), mode="r+")
            array[tuple(slice(first, first + count) for first, count in zip(start, block.shape, strict=True))] = block
