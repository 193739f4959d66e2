"""Images as arrays of dask, and arrays of dask as images."""

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from xfworker.domain.errors import ImageError, UsageError
from xfworker.ports.image_codec import BlockSink
from xfworker.services.images.pixel_source import PixelSource


def lazy_array(source: PixelSource, chunks: Any) -> da.Array:
    """
    Give an array that reads pixels when they are computed.

    Args:
        source: The pixels.
        chunks: As dask states them.

    Raises:
        UsageError: The chunks do not fit the image.
    """
    try:
        # Lists of indices are applied to what was read; the source knows slices.
        return da.from_array(source, chunks, name=False, fancy=False, meta=np.empty((0,) * source.ndim, source.dtype))
    except (ValueError, TypeError, NotImplementedError) as error:
        raise UsageError(
            f"to_dask: chunks are what dask takes for an array of shape {source.shape} (z, y, x), such as"
            f" (64, 256, 256); got {chunks!r:.80}: {error}"
        ) from error


def check_array(array: Any, shape: tuple[int, ...]) -> da.Array:
    """
    Give an array whose blocks can be written, with bool as uint8.

    Raises:
        UsageError: It is not an array of dask, or not of this shape.
    """
    if not isinstance(array, da.Array):
        raise UsageError(
            f"write_blocks takes an array of dask, not {type(array).__name__}; others are assigned to pixels and saved"
        )
    if array.shape != shape:
        raise UsageError(
            f"write_blocks: the image has shape {shape} (z, y, x), the array {array.shape}; for another size make the"
            " image with create_image(), and for sizes that are not known, compute_chunk_sizes() before"
        )
    return array.astype(np.uint8) if array.dtype == np.bool_ else array


def put_all(array: da.Array, sink: BlockSink) -> int:
    """
    Compute an array, and put each of its blocks when it is there; with dask's scheduler in force.

    Returns:
        How many pixels were put.

    Raises:
        ImageError: Fewer blocks were put than there are.
    """
    chunks = aligned_chunks(array.chunks, sink.grid)
    blocks = array if chunks == array.chunks else array.rechunk(chunks)
    put = da.map_blocks(
        _put,
        blocks,
        sink=sink,
        dtype=np.int64,
        chunks=tuple((1,) * len(sizes) for sizes in chunks),
        meta=np.empty((0,) * blocks.ndim, np.int64),
    )
    counts = np.asarray(put.compute())
    expected = np.ones((1,) * len(chunks), np.int64)
    for axis, sizes in enumerate(chunks):
        expected = expected * np.reshape(sizes, [-1 if axis == at else 1 for at in range(len(chunks))])
    if counts.shape != expected.shape or (counts != expected).any():
        raise ImageError("dask computed fewer blocks than the array has; nothing is kept.")
    return int(counts.sum())


def aligned_chunks(chunks: Sequence[tuple[int, ...]], grid: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Give chunks of about the same size whose boundaries lie on a grid: two that share a place would both write it."""
    return tuple(
        sizes if all(end % step == 0 for end in np.cumsum(sizes)[:-1]) else _aligned(sizes, step)
        for sizes, step in zip(chunks, grid, strict=True)
    )


def _aligned(sizes: tuple[int, ...], step: int) -> tuple[int, ...]:
    count, length = sum(sizes), -(-max(sizes) // step) * step
    return (*[length] * (count // length), *([count % length] if count % length else []))


def _put(block: npt.NDArray[Any], sink: BlockSink, block_info: Any = None) -> npt.NDArray[np.int64]:
    sink.put(tuple(first for first, _ in block_info[0]["array-location"]), block)
    return np.full((1,) * block.ndim, block.size, np.int64)
