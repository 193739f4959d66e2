"""
Planes across the slices of raw pixels, read without the rest of the volume where the file allows it.

A plane orthogonal to y is one row of every slice, read by position. One orthogonal to x is one pixel of every row: of
short rows whole blocks are read, as disks give no less than their neighbourhood; of long ones single pages.
"""

import os
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Final

from xfworker.adapters.images.opening import open_to_read, positioned_reader_into
from xfworker.domain.errors import ImageFormatError
from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

RowsDone = Callable[[int, int], None]

_BLOCK_BYTES: Final = 1 << 24
_LONG_ROW_BYTES: Final = 1 << 16
"""Rows from this length on are read by pages: 4096 bytes of each, a sixteenth at most."""


def read_plane(
    file: IO[bytes], info: ImageInfo, axis: str, index: int, step: int = 1, progress: RowsDone | None = None
) -> "Pixels":
    """
    Read one plane of a volume with axes XYZ.

    Args:
        file: The open pixels file.
        info: What the image is, with raw pixels.
        axis: ``x`` or ``y``, which the plane is orthogonal to.
        index: Where on that axis.
        step: Read every step-th pixel along both axes of the plane.
        progress: Called with the slices that are done and all there are.

    Returns:
        Raw values in the machine's byte order: ``(z, x)`` for y, ``(z, y)`` for x.

    Raises:
        ImageFormatError: The file ends inside the plane.
    """
    import numpy as np

    dtype = np.dtype(info.pixel_type.numpy_code(info.byte_order))
    if axis == "y":
        plane = _rows(file, info, dtype, index, step, progress)[:, ::step]
    elif step > 1:
        plane = _single_pixels(file, info, dtype, index, step, progress)
    else:
        plane = _columns(file, info, dtype, index, progress)
    return plane.astype(dtype.newbyteorder("="), copy=False)


def read_box(file: IO[bytes], info: ImageInfo, slices: range, rows: range, columns: range) -> "Pixels":
    """
    Read some voxels of an image seen as a volume; of whole neighbouring rows as many as stand together at once.

    Args:
        file: The open pixels file.
        info: What the image is, with raw pixels.
        slices: Which along z; they may be in steps.
        rows: Which along y; they may be in steps.
        columns: Which along x, without steps.

    Returns:
        Raw values ``(z, y, x)`` in the machine's byte order.

    Raises:
        ImageFormatError: The file ends inside the box.
    """
    import numpy as np

    dtype = np.dtype(info.pixel_type.numpy_code(info.byte_order))
    width, height, _ = info.size_3d
    read_into = positioned_reader_into(file)
    box: Pixels = np.empty((len(slices), len(rows), len(columns)), dtype)
    begin = info.pixels_offset or 0
    stand_together = rows.step == 1 and len(columns) == width
    for plane, z in zip(box, slices, strict=True):
        pieces = [plane.reshape(-1)] if stand_together else plane
        for piece, y in zip(pieces, rows[:1] if stand_together else rows, strict=True):
            at = begin + ((z * height + y) * width + columns.start) * dtype.itemsize
            fill(read_into, info, at, piece.view(np.uint8).data)
    return box.astype(dtype.newbyteorder("="), copy=False)


def _rows(file: IO[bytes], info: ImageInfo, dtype: Any, index: int, step: int, progress: RowsDone | None) -> "Pixels":
    import numpy as np

    columns, _, slices = info.size
    read_into = positioned_reader_into(file)
    slice_indices = range(0, slices, step)
    plane: Pixels = np.empty((len(slice_indices), columns), dtype)
    for row, z in zip(plane, slice_indices, strict=True):
        begin = (info.pixels_offset or 0) + z * info.slab_byte_count + index * columns * dtype.itemsize
        fill(read_into, info, begin, row.view(np.uint8).data)
        if progress is not None:
            progress(z + 1, slices)
    return plane


def _columns(file: IO[bytes], info: ImageInfo, dtype: Any, index: int, progress: RowsDone | None) -> "Pixels":
    import numpy as np

    columns, rows, slices = info.size
    row_bytes = columns * dtype.itemsize
    step = max(1, _BLOCK_BYTES // row_bytes)
    by_pages = row_bytes >= _LONG_ROW_BYTES
    read_into = positioned_reader_into(file)
    buffer: Pixels = np.empty((0 if by_pages else min(step, rows * slices), columns), dtype)
    plane: Pixels = np.zeros(rows * slices, dtype)
    for start in range(0, rows * slices, step):
        stop = min(start + step, rows * slices)
        begin = (info.pixels_offset or 0) + start * row_bytes
        if _is_hole(file, begin, (stop - start) * row_bytes):
            pass  # nothing was ever written there: zeros, as the plane has them
        elif by_pages:
            plane[start:stop] = _mapped(info, dtype, begin, (stop - start, columns))[:, index]
        else:
            block = buffer[: stop - start]
            fill(read_into, info, begin, block.reshape(-1).view(np.uint8).data)
            plane[start:stop] = block[:, index]
        if progress is not None:
            progress(stop // rows, slices)
    return plane.reshape(slices, rows)


def _single_pixels(
    file: IO[bytes], info: ImageInfo, dtype: Any, index: int, step: int, progress: RowsDone | None
) -> "Pixels":
    import numpy as np

    columns, rows, slices = info.size
    read_into = positioned_reader_into(file)
    ys, zs = range(0, rows, step), range(0, slices, step)
    plane: Pixels = np.empty((len(zs), len(ys)), dtype)
    for row, z in zip(plane, zs, strict=True):
        view = row.view(np.uint8).data
        for at, y in enumerate(ys):
            begin = (info.pixels_offset or 0) + ((z * rows + y) * columns + index) * dtype.itemsize
            fill(read_into, info, begin, view[at * dtype.itemsize : (at + 1) * dtype.itemsize])
        if progress is not None:
            progress(z + 1, slices)
    return plane


def _mapped(info: ImageInfo, dtype: Any, begin: int, shape: tuple[int, int]) -> "Pixels":
    """Map some rows without reading ahead."""
    import mmap

    import numpy as np

    with open_to_read(info.pixels_path) as file:
        mapped = np.memmap(file, dtype, "r", begin, shape)
    if hasattr(mmap, "MADV_RANDOM"):
        mapped._mmap.madvise(mmap.MADV_RANDOM)  # type: ignore[attr-defined]  # noqa: SLF001 - numpy offers no other way
    return mapped


def _is_hole(file: IO[bytes], begin: int, count: int) -> bool:
    """Return whether a file's system says that nothing was ever written to these bytes."""
    if not hasattr(os, "SEEK_DATA"):
        return False
    try:
        return os.lseek(file.fileno(), begin, os.SEEK_DATA) >= begin + count
    except OSError as error:
        # ENXIO: no data up to the file's end, which lies behind these bytes (its size was checked).
        import errno

        return error.errno == errno.ENXIO and os.fstat(file.fileno()).st_size >= begin + count


def fill(read_into: Callable[[int, memoryview], int], info: ImageInfo, begin: int, view: memoryview) -> None:
    """
    Fill a buffer from byte ``begin`` of the pixels file.

    Raises:
        ImageFormatError: The file ends before.
    """
    done = read_into(begin, view)
    if done < view.nbytes:
        raise ImageFormatError(
            "the file ends inside the pixels; it was cut short while it was read.",
            path=info.pixels_path,
            offset=begin + done,
            field="pixels",
        )
