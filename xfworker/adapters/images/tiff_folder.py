"""A folder of TIFF files, one slice each: what most micro-CT programs export."""

import re
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.adapters.images.raw_pixels import SlabReader, SlabWriter
from xfworker.adapters.images.tiff_stack import TiffCodec
from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_SUFFIXES: Final = frozenset({".tif", ".tiff"})
_DIGITS: Final = re.compile(r"\d+")
_MOST_NAMED: Final = 5
_DISTANCE_STATED: Final = re.compile(r'^spacing=|PhysicalSizeZ\s*=|"spacing_mm"', re.MULTILINE)
"""Where a slice of its own says how far apart slices are: ImageJ's, OME's and this package's descriptions."""


@attrs.frozen
class Slices:
    """
    The slices of a folder.

    Attributes:
        files: Their files, in the order of their numbers.
        remarks: What was left out or assumed, as ``ImageInfo.assumptions``.
    """

    files: tuple[Path, ...]
    remarks: tuple[str, ...] = ()


class TiffFolderCodec:
    """The ``ImageCodec`` of folders with one TIFF file per slice; they are read only."""

    name = "TIFF folder"
    suffixes: tuple[str, ...] = ()
    encodings: tuple[str, ...] = ()

    def recognises(self, path: Path, _head: bytes, /) -> bool:
        """Return whether the folder has TIFF files."""
        return path.is_dir() and next(_tiff_files(path), None) is not None

    def describe(self, path: Path) -> ImageInfo:
        """Read the names of all files, and the tags of the first and the last; see the port."""
        return _described(path)

    def reader(self, path: Path) -> "TiffFolderReader":
        """Open the slices; see the port."""
        return TiffFolderReader(_described(path))

    def series_reader(self, path: Path) -> "TiffFolderReader | None":
        """Open the slices beside a file whose names differ from its name in their numbers; see ``SeriesCodec``."""
        if path.suffix.lower() not in _SUFFIXES or path.is_dir():
            return None
        return TiffFolderReader(_described(path.parent, path))

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> SlabWriter:  # noqa: ARG002 - port
        """Refuse: a stack in one file says more."""
        raise UnsupportedImage(f"{path}: folders of TIFF slices are read only; write one .tif, or OME-Zarr.")


def slices_of(path: Path, member: Path | None = None) -> Slices:
    """
    Give the slices of a folder in the order of their numbers, whatever digits the names have: 2 comes before 10.

    Names of one series differ in one number. A lone file with another name (a preview) is left out, and named.

    Args:
        path: The folder.
        member: One of the slices, where the folder may hold other series.

    Raises:
        UnsupportedImage: There are several series, or names that differ in several numbers.
        ImageFormatError: A number is missing or there twice; the message says which.
    """
    series: dict[tuple[str, ...], list[Path]] = {}
    for file in _tiff_files(path):
        series.setdefault(_pattern(file), []).append(file)
    if member is not None:
        series = {pattern: files for pattern, files in series.items() if pattern == _pattern(member)}
        if not series:
            raise ImageError(f"{member} cannot be read: it is not there.")
    largest = max(len(files) for files in series.values())
    chosen = [files for files in series.values() if len(files) == largest or len(files) > 1]
    if len(chosen) > 1:
        names = ", ".join(sorted(min(file.name for file in files) for files in chosen)[:_MOST_NAMED])
        raise UnsupportedImage(
            f"{path} holds several series of TIFF files ({names}, ...); put each into a folder of its own."
        )
    files = chosen[0]
    left_out = sorted(file.name for others in series.values() if others is not files for file in others)
    remarks = [f"{name} is not one of the slices by its name, and is left out" for name in left_out[:_MOST_NAMED]]
    if len(files) == 1:
        return Slices((files[0],), tuple(remarks))
    numbers = _numbers(path, files)
    ordered = sorted(numbers)
    step = min(after - before for before, after in pairwise(ordered))
    # Counted up to a few only: a stray number may be as large as it likes.
    missing = list(
        islice(
            (gap for before, after in pairwise(ordered) for gap in range(before + step, after, step)), _MOST_NAMED + 1
        )
    )
    if missing or (ordered[-1] - ordered[0]) % step:
        named = ", ".join(map(str, missing[:_MOST_NAMED])) + (", ..." if len(missing) > _MOST_NAMED else "")
        raise ImageFormatError(
            f"slices are missing between {numbers[ordered[0]].name} and {numbers[ordered[-1]].name}: number {named}.",
            path=path,
            field="file names",
        )
    if step > 1:
        remarks.append(f"numbers its slices in steps of {step}; they are taken as neighbours")
    return Slices(tuple(numbers[number] for number in ordered), tuple(remarks))


def _pattern(file: Path) -> tuple[str, ...]:
    """Give what is equal in the names of one series."""
    return tuple(_DIGITS.split(file.name.casefold()))


def _numbers(path: Path, files: Sequence[Path]) -> dict[int, Path]:
    """Give the files by the one number in which their names differ."""
    runs = [[int(run) for run in _DIGITS.findall(file.name)] for file in files]
    varying = [place for place in range(len(runs[0])) if len({run[place] for run in runs}) > 1]
    if len(varying) > 1:
        raise UnsupportedImage(
            f"{path}: the names of its slices differ in {len(varying)} numbers ({files[0].name}, {files[1].name}), so"
            " that their order is not clear; put each series into a folder of its own."
        )
    numbers: dict[int, Path] = {}
    for file, run in zip(files, runs, strict=True):
        number = run[varying[0]] if varying else run[0]
        if number in numbers:
            raise ImageFormatError(
                f"slice {number} is there twice: {numbers[number].name} and {file.name}.", path=path, field="file names"
            )
        numbers[number] = file
    return numbers


def _tiff_files(path: Path) -> Any:
    try:
        entries = list(path.iterdir())
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error
    return (file for file in entries if file.suffix.lower() in _SUFFIXES and file.name[0] != "." and file.is_file())


def _described(path: Path, member: Path | None = None) -> ImageInfo:
    slices = slices_of(path, member)
    first = _one_slice(slices.files[0])
    last = _one_slice(slices.files[-1])
    _check_alike(first, last)
    spacing, assumptions = first.spacing_mm, list(first.assumptions)
    depth = len(slices.files)
    if depth > 1 and not assumptions and not _DISTANCE_STATED.search(str(first.header.get("description", ""))):
        spacing = (spacing[0], spacing[1], spacing[0])
        assumptions.append(
            f"states no distance between slices; {spacing[0]:.9g} mm, the spacing of x, is taken (or state --spacing)"
        )
    return attrs.evolve(
        first,
        path=member or path,
        format=TiffFolderCodec.name,
        size=(*first.size[:2], depth),
        pixels_path=slices.files[0],
        pixels_offset=None,
        spacing_mm=spacing,
        header={**first.header, "first": slices.files[0].name, "last": slices.files[-1].name},
        files=(member or path, *slices.files),
        assumptions=(*assumptions, *slices.remarks),
    )


def _one_slice(file: Path) -> ImageInfo:
    info = TiffCodec().describe(file)
    if info.size[2:] not in ((), (1,)):
        raise UnsupportedImage(f"{file} holds {info.size[2]} slices; in a folder of slices each file holds one.")
    return info


def _check_alike(first: ImageInfo, other: ImageInfo) -> None:
    if (other.size[:2], other.pixel_type) != (first.size[:2], first.pixel_type):
        raise ImageFormatError(
            f"has {other.size[0]} x {other.size[1]} pixels of {other.pixel_type.value}, unlike {first.path.name}"
            f" ({first.size[0]} x {first.size[1]} of {first.pixel_type.value}).",
            path=other.path,
            field="size",
        )


class TiffFolderReader(SlabReader):
    """Reads one file after the other."""

    def _read_into(self, start: int, out: "Pixels") -> None:
        codec = TiffCodec()
        files = self.info.files[1:]
        first = attrs.evolve(self.info, path=files[0])
        for plane, file in zip(out, files[start : start + len(out)], strict=True):
            with codec.reader(file) as reader:
                _check_alike(first, reader.info)
                plane[...] = reader.read(0, reader.info.size[-1]).reshape(plane.shape)
