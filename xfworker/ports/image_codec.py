"""What the core needs of an image format: recognise it, describe it, read and write pixels in slabs."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]
else:
    Pixels = Any


class PixelReader(Protocol):
    """
    An open image. A slab is a range along the slowest axis (z), an array of shape ``(z, y, x)``.

    Attributes:
        info: What the image is.
    """

    info: ImageInfo

    def read(self, start: int, stop: int, out: Pixels | None = None) -> Pixels:
        """
        Read slices ``start`` to ``stop`` (exclusive) as an array in the machine's byte order.

        Args:
            start: First slice, at least 0.
            stop: The slice after the last, at most the image's last size.
            out: A C-contiguous array of the slab's shape and type to read into; a new one where None.

        Returns:
            The slab; ``out`` where it was given.

        Raises:
            ImageFormatError: The file is shorter or otherwise than its header says.
        """

    def memory_map(self) -> Pixels | None:
        """Give all pixels as a read-only memory map, or None when they are not raw in the file."""

    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class PlaneReader(Protocol):
    """What an open image may offer besides: planes across the slices without reading all of them."""

    def read_plane(
        self, axis: str, index: int, step: int = 1, progress: Callable[[int, int], None] | None = None
    ) -> Pixels:
        """
        Read one plane of a volume with axes XYZ.

        Args:
            axis: ``x`` or ``y``, which the plane is orthogonal to.
            index: Where on that axis, from 0.
            step: Read every step-th pixel along both axes of the plane.
            progress: Called with the slices that are done and all there are.

        Returns:
            Raw values in the machine's byte order: ``(z, x)`` for y, ``(z, y)`` for x.

        Raises:
            ImageFormatError: The file is shorter than its header says.
        """


@runtime_checkable
class BoxReader(Protocol):
    """What an open image may offer besides: boxes of voxels without the rest of their slices. Safe for threads."""

    def read_box(self, slices: range, rows: range, columns: range) -> Pixels:
        """
        Read some voxels of an image seen as a volume (z, y, x); a flat one has one slice.

        Args:
            slices: Which along z; they may be in steps.
            rows: Which along y; they may be in steps.
            columns: Which along x, without steps.

        Returns:
            An array of shape ``(z, y, x)`` in the machine's byte order.

        Raises:
            ImageFormatError: The file is shorter than its header says.
        """


class PixelWriter(Protocol):
    """
    An image that is being written, slab after slab; nothing stands under its final name before ``finish``.

    As a context manager it finishes when the block ends well, and leaves nothing behind when it does not.

    Attributes:
        info: What the image will be; its type is the one that ``write`` takes.
        remarks: What the file holds where only this package looks for it, each in one sentence.
    """

    info: ImageInfo
    remarks: tuple[str, ...]

    def write(self, slab: Pixels) -> None:
        """
        Append slices of shape ``(n, y, x)``.

        Raises:
            UnsupportedImage: The format cannot hold these values (a third value in a two-value encoding).
            NotEnoughSpace: The disk is full.
        """

    def finish(self) -> None:
        """
        Complete the files and give them their final names.

        Raises:
            UsageError: Fewer slices were written than the image has; nothing is kept.
        """

    def discard(self) -> None:
        """Leave nothing behind."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BlockSink(Protocol):
    """
    What takes the blocks of an image that is being written: in any order, from threads and from other processes.

    It can be pickled; other processes have to see the file system under the same paths.

    Attributes:
        grid: Along every axis of arrays, blocks begin at multiples of so many pixels; then no two of them are written
            to the same place.
    """

    grid: tuple[int, ...]

    def put(self, start: tuple[int, ...], block: Pixels) -> None:
        """
        Write a block. Writing it once more does no harm.

        Args:
            start: Its first pixel along every axis of arrays (z, y, x).
            block: Its pixels, of the image's type.

        Raises:
            NotEnoughSpace: The disk is full.
            ImageError: The file cannot be written, or is not seen by this process.
        """


@runtime_checkable
class BlockWriter(PixelWriter, Protocol):
    """What a writer may offer besides: blocks instead of slabs in their order."""

    def block_sink(self) -> BlockSink:
        """
        Give what takes the blocks; slabs are not written then.

        Raises:
            UnsupportedImage: The format is written slice after slice.
            NotEnoughSpace: The disk has not so much room.
        """

    def blocks_written(self, pixel_count: int) -> None:
        """
        State how many pixels were put, all of them by blocks that do not overlap.

        Raises:
            UsageError: The image has more; it cannot be finished.
        """


class ImageCodec(Protocol):
    """
    One image format.

    Attributes:
        name: The format's name, such as ``AIM``.
        suffixes: File suffixes that ask for this format when writing, lower case, such as ``.aim``.
        encodings: The words that ``writer`` takes as ``encoding``; empty for a format that is only read.
    """

    name: str
    suffixes: tuple[str, ...]
    encodings: tuple[str, ...]

    def recognises(self, path: Path, head: bytes, /) -> bool:
        """
        Return from content whether this looks like the format; never from the name alone.

        Args:
            path: The file or folder.
            head: The file's first bytes (4096, or fewer where the file is shorter; none for a folder).
        """

    def describe(self, path: Path) -> ImageInfo:
        """
        Read what the image is, without its pixels.

        Raises:
            ImageFormatError: It is not a well-formed image of this format.
            UnsupportedImage: It is one, of a kind that is not supported.
        """

    def reader(self, path: Path) -> PixelReader:
        """Open the image for reading; raises as ``describe``."""

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> PixelWriter:
        """
        Begin to write an image.

        Args:
            path: The file to appear. One that exists is replaced when the new one is complete; of a format whose
                images are folders, one that exists is refused.
            image: Size, pixel type, geometry, calibration and source of the image to write.
            encoding: One of ``encodings``, or None for the one that suits the pixel type.

        Raises:
            UnsupportedImage: The format cannot hold such an image, or is not written.
            ImageError: A folder of this name exists.
        """


@runtime_checkable
class SeriesCodec(Protocol):
    """What a format may offer besides, whose images are several files with a slice each."""

    def series_reader(self, path: Path) -> PixelReader | None:
        """
        Open the image that a file is one slice of, with the other slices beside it.

        Returns:
            The open image, or None where the file is not a slice of this format.

        Raises:
            ImageFormatError: A slice is missing, or one is not like the others.
            UnsupportedImage: The slices are not those of one image.
        """


class ImageFormats(Protocol):
    """All image formats together."""

    def probe(self, path: Path) -> ImageInfo | None:
        """Describe the image that a file or folder holds, by content; None when it holds none that is known."""

    def describe(self, path: Path) -> ImageInfo:
        """
        Describe the image that a file or folder holds.

        Raises:
            UnsupportedImage: No known format has such content.
            ImageFormatError: It is a broken image of a known format.
        """

    def reader(self, path: Path) -> PixelReader:
        """Open the image for reading; raises as ``describe``."""

    def series_reader(self, path: Path) -> PixelReader:
        """Open the image that a file is one slice of, with the others beside it; raises as ``describe``."""

    def reader_of(self, info: ImageInfo) -> PixelReader:
        """Open the pixels of an OMNI description; its document need not be on disk. Raises as ``describe``."""

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> PixelWriter:
        """Begin to write an image in the format that the path's suffix asks for; raises as ``ImageCodec.writer``."""
