"""Orthogonal slices of a volume, as raw values."""

from typing import TYPE_CHECKING, Any, Final, Literal

from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.ports.image_codec import PixelReader, PlaneReader
from xfworker.services.images.blocks import slices_per_block
from xfworker.services.images.conversion import SliceProgress

if TYPE_CHECKING:
    import numpy.typing as npt

    Plane = npt.NDArray[Any]

Axis = Literal["x", "y", "z"]

AXES_OF_PLANE: Final[dict[Axis, tuple[Axis, Axis]]] = {"z": ("y", "x"), "y": ("z", "x"), "x": ("z", "y")}
"""The axes that run downwards and rightwards in the plane that is orthogonal to an axis."""


def axes_shown(info: ImageInfo) -> tuple[Axis, ...]:
    """
    Give the axes across which an image has slices: all three of a volume, only z of a flat image.

    Raises:
        UsageError: It has axes other than those of space.
    """
    if info.axes == "XYZ":
        return "z", "y", "x"
    if info.axes in ("XY", "X"):
        return ("z",)
    raise UsageError(f"{info.path} has axes {info.axes}; slices are cut from images with axes X, Y and Z.")


def slice_index(info: ImageInfo, axis: Axis, index: int | None = None) -> int:
    """
    Give where a slice is on its axis, from 0.

    Args:
        info: The image.
        axis: The axis that the slice is orthogonal to.
        index: Where on that axis, from the end when negative; None for the middle.

    Raises:
        UsageError: There is no such slice.
    """
    if axis not in axes_shown(info):
        raise UsageError(f"{info.path} is flat (axes {info.axes}); its only slice is the one along z.")
    count = info.size_3d["xyz".index(axis)]
    at = count // 2 if index is None else index + count if index < 0 else index
    if not 0 <= at < count:
        raise UsageError(f"Slice {index} along {axis} was asked for; {info.path} has 0 to {count - 1}.")
    return at


def plane(
    reader: PixelReader, axis: Axis, index: int | None = None, *, step: int = 1, progress: SliceProgress | None = None
) -> "Plane":
    """
    Give one orthogonal slice of an image. Of raw pixels, only what is shown is read where the file allows it.

    Args:
        reader: The open image.
        axis: The axis that the slice is orthogonal to.
        index: Where on that axis, from the end when negative; None for the middle.
        step: Read every step-th pixel along both axes of the plane.
        progress: Called with the slices that are read and all there are.

    Returns:
        Raw values: ``(y, x)`` for z, ``(z, x)`` for y, ``(z, y)`` for x.

    Raises:
        UsageError: The image has other axes, or the index is beyond it.
    """
    import numpy as np

    info = reader.info
    at = slice_index(info, axis, index)
    columns, rows, depth = info.size_3d
    if axis == "z":
        whole = reader.read(at, at + 1) if info.axes == "XYZ" else reader.read(0, info.size[-1])
        return whole.reshape(rows, columns)[::step, ::step]
    if isinstance(reader, PlaneReader):
        return reader.read_plane(axis, at, step, progress)
    across = (slice(None), at) if axis == "y" else (slice(None), slice(None), at)
    parts = []
    count = slices_per_block(info)
    for begin in range(0, depth, count):
        stop = min(begin + count, depth)
        # A copy: a view would keep its whole block in memory.
        parts.append(reader.read(begin, stop)[across].copy())
        if progress is not None:
            progress(stop, depth)
    return np.concatenate(parts)[::step, ::step]
