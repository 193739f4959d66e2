"""OMNI: a JSON document beside the file that holds the pixels, raw or in a format of their own."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from xfworker.adapters.images import ctdata_header
from xfworker.adapters.images.incomplete_image import PartialFile, finish_both
from xfworker.adapters.images.kept_header import kept, restored
from xfworker.adapters.images.opening import read_whole
from xfworker.adapters.images.raw_blocks import RawBlocks
from xfworker.adapters.images.raw_pixels import RawReader, SlabReader, SlabWriter, file_bytes
from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image.deidentify import is_deidentified
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.omni_document import OMNI, RAW, document_of, info_of
from xfworker.domain.image.voxel_digest import VoxelDigest
from xfworker.ports.image_codec import BoxReader, ImageCodec, PixelReader

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

MOST_DOCUMENT_BYTES: Final = 512 * 2**20
"""A document beyond this size is not metadata; JSON writes a control character of the longest log in six bytes."""

RAW_SUFFIX: Final = ".raw"


def read_document(path: Path) -> dict[str, Any]:
    """
    Read the JSON of an ``.omni`` file.

    Raises:
        ImageError: The file cannot be read.
        ImageFormatError: It is not a JSON object in UTF-8.
    """
    data = read_whole(path, MOST_DOCUMENT_BYTES)
    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        where = error.start if isinstance(error, UnicodeDecodeError) else getattr(error, "pos", None)
        raise ImageFormatError(f"no JSON in UTF-8: {error}.", path=path, offset=where, field="document") from None
    if not isinstance(document, dict):
        raise ImageFormatError("expected a JSON object.", path=path, offset=0, field="document")
    return document


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write the JSON of an ``.omni`` file; it appears when it is complete. Raises as ``begun_document``."""
    begun_document(path, document).finish()


def begun_document(path: Path, document: dict[str, Any]) -> PartialFile:
    """
    Write the JSON of an ``.omni`` file under a partial name.

    Raises:
        ImageError: A value is not JSON, or the file cannot be written.
    """
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        data = text.encode("utf-8") + b"\n"
    except (TypeError, ValueError) as error:
        raise ImageError(f"The metadata of {path} cannot be written as JSON: {error}.") from error
    partial = PartialFile(path)
    try:
        partial.write(data)
    except BaseException:
        partial.discard()
        raise
    return partial


class OmniCodec:
    """
    The ``ImageCodec`` of OMNI.

    Args:
        codec_named: Gives the codec of a format by its name, for documents that point into other formats.
    """

    name = OMNI
    suffixes: tuple[str, ...] = (".omni",)
    encodings: tuple[str, ...] = (RAW,)

    def __init__(self, codec_named: Callable[[str], ImageCodec | None]) -> None:
        self._codec_named = codec_named

    def recognises(self, path: Path, head: bytes, /) -> bool:
        """Return whether the content begins as a JSON object that says it is OMNI, or has an OMNI's keys."""
        if not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            return False
        if path.suffix.lower() in self.suffixes:
            return True
        try:
            document = read_document(path)
        except ImageError:
            return False
        return document.get("format") == OMNI

    def describe(self, path: Path) -> ImageInfo:
        """Read the document, and check it against the file that it points into; see the port."""
        info = info_of(read_document(path), path)
        if info.encoding != RAW:
            self._target(info)
        return info

    def reader(self, path: Path) -> PixelReader:
        """Open the pixels; see the port."""
        return self.reader_of(info_of(read_document(path), path))

    def reader_of(self, info: ImageInfo) -> PixelReader:
        """Open the pixels that a document describes which need not be on disk."""
        if info.encoding == RAW:
            return RawReader(info)
        codec, target = self._target(info)
        reader = codec.reader(target.path)
        return (_PointingBoxReader if isinstance(reader, BoxReader) else _PointingReader)(info, reader)

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> "OmniWriter":
        """Begin a document with raw pixels beside it; see the port."""
        if encoding not in (None, RAW):
            raise UnsupportedImage(f"{path}: OMNI is written with raw pixels, not as {encoding}.")
        return OmniWriter(path, image)

    def _target(self, info: ImageInfo) -> tuple[ImageCodec, ImageInfo]:
        """Give codec and description of the file that a document points into."""
        codec = self._codec_named(info.encoding)
        if codec is self:
            raise UnsupportedImage(f"{info.path} points into another OMNI; it has to point to the pixels themselves.")
        if codec is None:
            raise UnsupportedImage(
                f"{info.path} points into a file of format {info.encoding!r}, which is not known here."
            )
        target = codec.describe(info.pixels_path)
        offset = info.header["pixels"].get("offset", 0)
        if offset not in (0, target.pixels_offset):
            raise ImageFormatError(
                f"{offset} is neither the beginning of {info.pixels_path.name} nor where its pixels begin"
                f" ({target.pixels_offset}).",
                path=info.path,
                field="pixels.offset",
            )
        if (target.size, target.pixel_type) != (info.size, info.pixel_type):
            raise ImageFormatError(
                f"says {list(info.size)} pixels of type {info.pixel_type.value}, but {info.pixels_path.name} has"
                f" {list(target.size)} of type {target.pixel_type.value}.",
                path=info.path,
                field="size, pixel_type",
            )
        return codec, target


class _PointingReader(SlabReader):
    """Reads the pixels of another format under the document's own description."""

    def __init__(self, info: ImageInfo, reader: PixelReader) -> None:
        super().__init__(info)
        self._reader = reader

    def _read_into(self, start: int, out: "Pixels") -> None:
        self._reader.read(start, start + len(out), out)

    def memory_map(self) -> "Pixels | None":
        return self._reader.memory_map()

    def close(self) -> None:
        self._reader.close()


class _PointingBoxReader(_PointingReader):
    """Reads boxes too, where the other format's reader does."""

    def read_box(self, slices: range, rows: range, columns: range) -> "Pixels":
        assert isinstance(self._reader, BoxReader)
        return self._reader.read_box(slices, rows, columns)


class OmniWriter(SlabWriter):
    """
    Writes raw pixels, and the document once they are complete.

    For an image that carries the header of the file it came from, the document also keeps a digest of the pixels, which
    proves later that they are still the same.

    Args:
        path: The ``.omni`` to be; the pixels go to the same name with ``.raw``.
        image: What to write.
    """

    def __init__(self, path: Path, image: ImageInfo) -> None:
        pixels_path = path.with_suffix(RAW_SUFFIX)
        if pixels_path == path:
            raise UnsupportedImage(
                f"{path}: the document of an OMNI cannot have the name of its pixels; call it .omni."
            )
        super().__init__(
            attrs.evolve(
                image,
                path=path,
                format=OMNI,
                encoding=RAW,
                pixels_path=pixels_path,
                pixels_offset=0,
                files=(path, pixels_path),
            )
        )
        self._digest = VoxelDigest() if (image.source or {}).get("header") else None
        self._pixels = PartialFile(pixels_path)
        try:
            self._pixels.reserve(image.byte_count)
        except BaseException:
            self._pixels.discard()
            raise

    def block_sink(self) -> RawBlocks:
        """Give what takes blocks in any order, of which there is no digest slice by slice; see ``BlockWriter``."""
        self._digest = None
        self._pixels.allocate(self.info.byte_count)
        return RawBlocks(self._pixels.partial, self.info)

    def _write(self, slab: "Pixels") -> None:
        data = file_bytes(slab, self.info)
        if self._digest is not None:
            self._digest.update(slab)
        self._pixels.write(data)

    def _finish(self) -> None:
        source = self.info.source
        if source is not None:
            # What another image's document states of its pixels is not stated of these.
            proof = {} if self._digest is None else {"voxels": self._digest.stated()}
            source = {**{key: value for key, value in source.items() if key != "voxels"}, **proof}
        path, image = self.info.path, attrs.evolve(self.info, source=_without_person(source))
        document = begun_document(path, document_of(image, pixels_filename=self.info.pixels_path.name))
        try:
            finish_both(self._pixels, document)
        except BaseException:
            document.discard()
            raise
        self.info = image

    def _discard(self) -> None:
        self._pixels.discard()


def _without_person(source: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Blank the kept header of an ISQ where the image was de-identified."""
    if source is None or not is_deidentified(source) or source.get("format") != "ISQ" or not source.get("header"):
        return source
    header = restored(source["header"], "The kept ISQ header")
    return {**source, "header": kept(ctdata_header.without_person(header))}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
