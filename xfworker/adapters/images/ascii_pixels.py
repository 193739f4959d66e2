"""Pixels that are written as decimal numbers with blanks between them: read forward, slab after slab."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from xfworker.adapters.images.opening import file_size, open_to_read
from xfworker.adapters.images.raw_pixels import SlabReader
from xfworker.domain.errors import ImageFormatError
from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_BLOCK: Final = 1 << 18
_LEAST_BYTES_PER_NUMBER: Final = 2
_LONGEST_NUMBER: Final = 400


class AsciiReader(SlabReader):
    """
    Reads numbers from a text; going back begins again from its start.

    Args:
        info: What the image is.
        path: The file with the text.
        offset: The byte at which it begins.

    Raises:
        ImageFormatError: The file is too small for as many numbers.
    """

    def __init__(self, info: ImageInfo, path: Path, *, offset: int = 0) -> None:
        room = file_size(path) - offset
        if info.pixel_count * _LEAST_BYTES_PER_NUMBER > max(0, room) + 1:
            raise ImageFormatError(
                f"{room} bytes of text cannot hold {info.pixel_count} numbers; it was cut short, or the header is"
                " wrong.",
                path=path,
                offset=offset,
                field="pixels",
            )
        super().__init__(info, open_to_read(path))
        self._path, self._offset = path, offset
        self._begin()

    def _begin(self) -> None:
        file: IO[bytes] = self._file  # type: ignore[assignment]  # opened by the constructor
        file.seek(self._offset)
        self._blocks = self._numbers(file)
        self._held: Pixels | None = None
        self._at = 0

    def _numbers(self, file: IO[bytes]) -> Iterator["Pixels"]:
        """Give the numbers of a block of text at a time."""
        rest = b""
        while True:
            block = file.read(_BLOCK)
            text = (rest + block).replace(b",", b" ")
            cut = max(text.rfind(blank) for blank in (b" ", b"\n", b"\t", b"\r")) + 1 if block else len(text)
            text, rest = text[:cut], text[cut:]
            if len(rest) > _LONGEST_NUMBER:
                raise ImageFormatError(f"{rest[:40]!r}... is not a number.", path=self._path, field="pixels")
            if text.strip():
                yield self._parsed(text.split())
            if not block:
                return

    def _parsed(self, words: list[bytes]) -> "Pixels":
        import numpy as np

        target = np.dtype(self.info.pixel_type.code)
        wide = {"f": np.dtype("f8"), "u": np.dtype("u8"), "i": np.dtype("i8")}[target.kind]
        try:
            numbers = np.array(words).astype(wide)
        except (ValueError, OverflowError) as error:
            raise ImageFormatError(
                f"its pixels are not numbers of type {self.info.pixel_type.value}: {error}.",
                path=self._path,
                field="pixels",
            ) from None
        bounds = self.info.pixel_type.bounds
        if bounds is not None and not (bounds[0] <= numbers.min() and numbers.max() <= bounds[1]):
            raise ImageFormatError(
                f"a number beyond {self.info.pixel_type.value} is among its pixels.", path=self._path, field="pixels"
            )
        return numbers.astype(target)

    def _read_into(self, start: int, out: "Pixels") -> None:
        begin = start * (self.info.pixel_count // self.info.size[-1])
        if begin < self._at:
            self._begin()
        while self._at < begin:
            self._at += len(self._next(begin - self._at))
        flat, done = out.reshape(-1), 0
        while done < flat.size:
            numbers = self._next(flat.size - done)
            flat[done : done + len(numbers)] = numbers
            done += len(numbers)
            self._at += len(numbers)

    def _next(self, most: int) -> "Pixels":
        """Give the next numbers, at least one."""
        if self._held is None or not len(self._held):
            self._held = next(self._blocks, None)
        if self._held is None:
            raise ImageFormatError("the text ends before its last pixel; it was cut short.", path=self._path)
        numbers, self._held = self._held[:most], self._held[most:]
        return numbers
