"""The pixels of an image in blocks: one after the other, or as an array of dask."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs

from xfworker.api.facade.image_tools import ImageTools
from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType

if TYPE_CHECKING:
    import dask.array as da

    from xfworker.ports.image_codec import PixelReader
    from xfworker.services.images.blocks import Block


class ImageBlocks(ImageTools):
    """Reading and writing in blocks, for volumes larger than memory."""

    def _readable(self) -> ImageInfo:
        """Describe the pixels where they are now."""
        raise NotImplementedError

    def _is_new(self) -> bool:
        """Return whether the image was made by the script, and is not on disk."""
        raise NotImplementedError

    def reader(self) -> "PixelReader":
        """Open the pixels for reading in slabs; use it in a ``with`` block. Assigned pixels must be saved before."""
        from xfworker.api.composition.image_formats import image_formats

        return image_formats().reader_of(self._readable())

    def blocks(self, *, slices: int | None = None, halo: int = 0) -> "Iterator[Block]":
        """
        Read the pixels block after block, for volumes larger than memory.

        Args:
            slices: Slices per block along the slowest axis; None for as many as fit some 32 MiB.
            halo: Neighbouring slices to add on either side, for filters.

        Yields:
            Blocks with ``start``, ``stop``, ``pixels`` (with halo), ``inner`` (without) and ``inner_of(result)``.
        """
        from xfworker.services.images.blocks import blocks

        with self.reader() as reader:
            yield from blocks(reader, slices=slices, halo=halo)

    def to_dask(self, *, chunks: Any = None) -> "da.Array":
        """
        Give the pixels as a lazy array of dask, shape ``(z, y, x)``; a block is read when it is computed.

        Args:
            chunks: The size of blocks, as dask states it, such as ``(64, 256, 256)``; None for some 32 MiB of whole
                slices, which suits every format. Of raw pixels and zarr a smaller box is read alone; of all others
                (run-length kinds, packed files) its slices are decoded whole.

        Returns:
            A ``dask.array.Array`` of the image's type. The image's file must stay while it is used, and other
            computers of a cluster need it under the same path.

        Raises:
            ConfigurationError: dask is not installed.
            UsageError: The chunks do not fit, or assigned pixels are not saved yet.
        """
        from xfworker.adapters.dask.extra import dask_library

        dask_library("dask.array", "image.to_dask()")
        from xfworker.adapters.dask.arrays import lazy_array
        from xfworker.api.composition.image_formats import pixels_reader
        from xfworker.services.images.blocks import slices_per_block
        from xfworker.services.images.pixel_source import PixelSource

        info = self._readable()
        if chunks is None:
            chunks = (slices_per_block(info), *[-1] * (len(info.shape) - 1))
        return lazy_array(PixelSource(info, pixels_reader), chunks)

    def write_blocks(self, path: Path, array: "da.Array", *, labels: Sequence[Mapping[str, Any]] | None = None) -> Self:
        """
        Compute an array of dask, and write it as an image of the same place: each block as soon as it is there.

        The whole is never in memory. Blocks are computed and written by dask's scheduler in force: the threads of this
        process, or the processes of a client such as that of ``worker.dask_client()``.

        Args:
            path: The image to write, an ``.omni``, ``.zarr`` or ``.ome.zarr``. It appears when every block is written;
                a script that is killed leaves nothing under this name.
            array: An array of this image's shape, made from ``to_dask()`` or otherwise. Its type becomes the image's;
                bool becomes uint8. Written as zarr it is regrouped to blocks of whole chunks.
            labels: For segments, what their values mean: ``[{"value": 1, "name": "bone"}]``; the calibrations are then
                left out. None for an image that has this one's calibrations, as filters keep what values mean.

        Returns:
            The new image.

        Raises:
            ConfigurationError: dask is not installed.
            UsageError: The array has another shape or a type that images do not have, or another image's files would be
                replaced.
            NotEnoughSpace: The disk is full.
        """
        from xfworker.adapters.dask.extra import dask_library

        dask_library("dask.array", "image.write_blocks()")
        from xfworker.adapters.dask.arrays import check_array, put_all
        from xfworker.api.composition.image_formats import image_formats
        from xfworker.services.images.block_writing import write_blocks

        info = self.info
        checked = check_array(array, info.shape)
        pixel_type = PixelType.of_numpy_code(checked.dtype.str)
        if pixel_type is None:
            raise UsageError(
                f"write_blocks: pixels of type {checked.dtype} cannot be kept in {path}; convert them first"
            )
        image = attrs.evolve(info, pixel_type=pixel_type)
        if labels is not None:
            image = attrs.evolve(
                image, kind="segments", calibrations=(), default_unit_type=None, labels=tuple(map(dict, labels))
            )
        sources = [] if self._is_new() else [info]
        return self._made(write_blocks(image_formats(), sources, Path(path), image, partial(put_all, checked)))
