"""Writing that replaces no file of another image."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from xfworker.domain.errors import UnsupportedImage
from xfworker.ports.image_codec import BlockSink, BlockWriter, PixelWriter
from xfworker.services.images.ownership import Probe, check_replaceable

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]


class GuardedWriter:
    """
    The ``PixelWriter`` of a format that looks, before it begins and before it ends, whose files it would replace.

    Args:
        writer: The format's own writer; it is discarded where it may not write.
        probe: Describes the image that a file holds.

    Raises:
        UsageError: As ``check_replaceable``.
    """

    def __init__(self, writer: PixelWriter, probe: Probe) -> None:
        self._writer, self._probe = writer, probe
        # A codec of another package may be older than remarks are.
        self.info, self.remarks = writer.info, getattr(writer, "remarks", ())
        try:
            self._check()
        except BaseException:
            writer.discard()
            raise

    def write(self, slab: "Pixels") -> None:
        """Append slices; see the port."""
        self._writer.write(slab)

    def block_sink(self) -> BlockSink:
        """Give what takes blocks in any order; see ``BlockWriter``."""
        return self._block_writer().block_sink()

    def blocks_written(self, pixel_count: int) -> None:
        """State how many pixels were put; see ``BlockWriter``."""
        self._block_writer().blocks_written(pixel_count)

    def finish(self) -> None:
        """Complete the files, unless one appeared in the meantime that is another image's; see the port."""
        try:
            self._check()
        except BaseException:
            self._writer.discard()
            raise
        self._writer.finish()
        self.info, self.remarks = self._writer.info, getattr(self._writer, "remarks", ())

    def discard(self) -> None:
        """Leave nothing behind; see the port."""
        self._writer.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.discard()

    def _block_writer(self) -> BlockWriter:
        if not isinstance(self._writer, BlockWriter):
            raise UnsupportedImage(
                f"{self.info.path}: {self.info.format} is written slice after slice; write blocks to an .omni, .zarr or"
                " .ome.zarr, and convert that."
            )
        return self._writer

    def _check(self) -> None:
        check_replaceable(self._writer.info.path, self._writer.info.files, self._probe)
