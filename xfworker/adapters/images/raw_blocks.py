"""Blocks of raw pixels, written to their places in a file that is being made."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xfworker.adapters.images.disk_room import writing_errors
from xfworker.domain.errors import ImageError
from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]


class RawBlocks:
    """
    Takes blocks of a file whose pixels stand one after the other, C-ordered; see ``BlockSink``.

    Pieces are written and not mapped into memory: computers that share a disk would write whole pages of maps, over
    each other's pixels.

    Args:
        file: The file that is being made; it has its full length.
        info: The image to be.
    """

    def __init__(self, file: Path, info: ImageInfo) -> None:
        self.grid = (1,) * len(info.shape)
        self._file, self._path, self._shape = file, info.path, info.shape
        self._code = info.pixel_type.numpy_code(info.byte_order)

    def put(self, start: tuple[int, ...], block: "Pixels") -> None:
        """Write a block; see the port."""
        import numpy as np

        pixels = np.ascontiguousarray(block, np.dtype(self._code))
        check_seen(self._file, self._path)
        with writing_errors(self._path), self._file.open("rb+", buffering=0) as file:
            for first, run in _runs(start, pixels, self._shape):
                file.seek(first * pixels.itemsize)
                view = run.view(np.uint8).data
                while view.nbytes:
                    view = view[file.write(view) :]


def _runs(start: tuple[int, ...], block: "Pixels", shape: tuple[int, ...]) -> "Iterator[tuple[int, Pixels]]":
    """Give pieces of a block that stand together in the file, each behind the number of pixels before it."""
    import numpy as np

    whole = len(shape)
    while whole > 1 and block.shape[whole - 1] == shape[whole - 1]:
        whole -= 1
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    for place in np.ndindex(*block.shape[: whole - 1]):
        at = [first + step for first, step in zip(start, (*place, *[0] * len(start)), strict=False)]
        yield sum(count * stride for count, stride in zip(at, strides, strict=True)), block[place].reshape(-1)


def check_seen(partial: Path, path: Path) -> None:
    """
    Check that a process sees the file that it is to write a part of.

    Raises:
        ImageError: It does not.
    """
    if not partial.exists():
        raise ImageError(
            f"{path} is written by several processes, and this one does not see {partial}: processes on other computers"
            " need the same folder under the same path; or the image was given up meanwhile."
        )
