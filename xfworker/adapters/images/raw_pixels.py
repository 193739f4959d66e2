"""Pixels that stand in a file as they are in memory: read in slabs or as a memory map, written in slabs."""

from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Self

from xfworker.adapters.images.disk_room import writing_errors
from xfworker.adapters.images.opening import open_to_read, positioned_reader_into
from xfworker.adapters.images.raw_planes import RowsDone, fill, read_box, read_plane
from xfworker.domain.errors import ImageError, ImageFormatError, UsageError
from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]


_MAP_FROM_BYTES: Final = 1 << 26


class SlabReader:
    """
    The part of reading that all formats share: checks of the range, the array to read into, closing.

    Args:
        info: What the image is.
        file: The open file, closed by ``close``; None for a format that opens its own.
    """

    def __init__(self, info: ImageInfo, file: IO[bytes] | None = None) -> None:
        self.info = info
        self._file = file

    def read(self, start: int, stop: int, out: "Pixels | None" = None) -> "Pixels":
        """Read slices ``start`` to ``stop`` along the slowest axis; see the port."""
        import numpy as np

        if not 0 <= start <= stop <= self.info.size[-1]:
            raise UsageError(
                f"Slices {start} to {stop} of {self.info.path} were asked for; it has 0 to {self.info.size[-1]}."
            )
        shape = (stop - start, *self.info.shape[1:])
        native = np.dtype(self.info.pixel_type.code)
        if out is None:
            out = np.empty(shape, native)
        elif out.shape != shape or out.dtype != native or not out.flags.c_contiguous:
            raise UsageError(
                f"Slices {start} to {stop} of {self.info.path} need a contiguous array of shape {shape} and type"
                f" {native}; got shape {out.shape} and type {out.dtype}."
            )
        if out.size:
            self._read_into(start, out)
        return out

    def memory_map(self) -> "Pixels | None":
        """Give no memory map; a format with raw pixels does."""
        return None

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_into(self, start: int, out: "Pixels") -> None:
        raise NotImplementedError


class RawReader(SlabReader):
    """
    Reads pixels that stand uninterrupted at ``info.pixels_offset`` of ``info.pixels_path``.

    Raises:
        ImageFormatError: The file is too short for them.
    """

    def __init__(self, info: ImageInfo) -> None:
        assert info.pixels_offset is not None
        check_raw_size(info)
        super().__init__(info, open_to_read(info.pixels_path))
        self._offset = info.pixels_offset

    def read(self, start: int, stop: int, out: "Pixels | None" = None) -> "Pixels":
        """Read slices ``start`` to ``stop`` along the slowest axis; see the port."""
        import numpy as np

        large = (stop - start) * self.info.slab_byte_count >= _MAP_FROM_BYTES
        if out is not None or not large or not 0 <= start <= stop <= self.info.size[-1]:
            return super().read(start, stop, out)
        # For so much at once, copying from a memory map is some 10 % faster than reading (measured on ext4).
        check_raw_size(self.info)
        mapped = self.memory_map()
        return np.array(mapped[start:stop], np.dtype(self.info.pixel_type.code))

    def memory_map(self) -> "Pixels":
        """Give all pixels as a read-only memory map in the file's byte order."""
        import numpy as np

        dtype = np.dtype(self.info.pixel_type.numpy_code(self.info.byte_order))
        with open_to_read(self.info.pixels_path) as file:
            return np.memmap(file, dtype, "r", self._offset, self.info.shape)

    def read_plane(self, axis: str, index: int, step: int = 1, progress: RowsDone | None = None) -> "Pixels":
        """Read one plane across the slices; see ``PlaneReader``."""
        assert self._file is not None
        return read_plane(self._file, self.info, axis, index, step, progress)

    def read_box(self, slices: range, rows: range, columns: range) -> "Pixels":
        """Read some voxels of the image seen as a volume; see ``BoxReader``."""
        assert self._file is not None
        return read_box(self._file, self.info, slices, rows, columns)

    def _read_into(self, start: int, out: "Pixels") -> None:
        import numpy as np

        assert self._file is not None
        read_into = positioned_reader_into(self._file)
        begin = self._offset + start * self.info.slab_byte_count
        view = out.reshape(-1).view(np.uint8).data

        # One thread: two are no faster here, as both wait for the kernel to hand out the same new pages.
        fill(read_into, self.info, begin, view)
        if not np.dtype(self.info.pixel_type.numpy_code(self.info.byte_order)).isnative:
            out.byteswap(inplace=True)


def check_raw_size(info: ImageInfo) -> None:
    """
    Check that the pixels file is long enough.

    Raises:
        ImageFormatError: It is not.
        ImageError: It is absent.
    """
    try:
        size = info.pixels_path.stat().st_size
    except OSError as error:
        raise ImageError(
            f"The pixels of {info.path} are to be in {info.pixels_path.name} beside it, which cannot be read:"
            f" {error.strerror or error}."
        ) from error
    needed = (info.pixels_offset or 0) + info.byte_count
    if size < needed:
        raise ImageFormatError(
            f"{info.byte_count} bytes of pixels at byte {info.pixels_offset} end at {needed}, behind the file's end"
            f" ({size} bytes); the file was cut short, or the size or pixel type of {info.path.name} is wrong.",
            path=info.pixels_path,
            offset=size,
            field="pixels",
        )


class SlabWriter:
    """
    The part of writing that all formats share: checks of slabs, counting, finishing once.

    Args:
        info: What the image will be.
    """

    remarks: tuple[str, ...] = ()

    def __init__(self, info: ImageInfo) -> None:
        self.info = info
        self._written = 0
        self._over = False

    def write(self, slab: "Pixels") -> None:
        """Append slices along the slowest axis; see the port."""
        import numpy as np

        native = np.dtype(self.info.pixel_type.code)
        if slab.shape[1:] != self.info.shape[1:] or slab.dtype.newbyteorder("=") != native:
            raise UsageError(
                f"A slab for {self.info.path} must have shape (n, {str(self.info.shape[1:])[1:-1]}) and type {native};"
                f" got shape {slab.shape} and type {slab.dtype}."
            )
        if self._written + len(slab) > self.info.size[-1]:
            raise UsageError(
                f"{self.info.path} has {self.info.size[-1]} slices; {self._written + len(slab)} were written."
            )
        if slab.size:
            with writing_errors(self.info.path):
                self._write(np.ascontiguousarray(slab, native))
        self._written += len(slab)

    def blocks_written(self, pixel_count: int) -> None:
        """State how many pixels were put by blocks; see ``BlockWriter``, which formats are that give a sink."""
        if pixel_count != self.info.pixel_count:
            raise UsageError(
                f"{self.info.path} has {self.info.pixel_count} pixels, but {pixel_count} were written; nothing is kept."
            )
        self._written = self.info.size[-1]

    def finish(self) -> None:
        """Complete the files and give them their final names; see the port."""
        if self._over:
            return
        if self._written != self.info.size[-1]:
            self.discard()
            raise UsageError(
                f"{self.info.path} has {self.info.size[-1]} slices, but {self._written} were written; nothing was kept."
            )
        try:
            with writing_errors(self.info.path):
                self._finish()
        except BaseException:
            self.discard()
            raise
        self._over = True

    def discard(self) -> None:
        """Leave nothing behind; does nothing once the image is finished."""
        if not self._over:
            self._over = True
            self._discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.discard()

    def _write(self, slab: "Pixels") -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _discard(self) -> None:
        raise NotImplementedError


def file_bytes(slab: "Pixels", info: ImageInfo) -> Any:
    """Give a contiguous slab as a buffer in the byte order of the file."""
    import numpy as np

    target = np.dtype(info.pixel_type.numpy_code(info.byte_order))
    return slab.astype(target, copy=False).reshape(-1).view(np.uint8).data
