"""All image formats together: which one a file is, by content, and which one a name asks for."""

from collections.abc import Sequence
from pathlib import Path

from xfworker.adapters.images.abandoned_files import sweep
from xfworker.adapters.images.aim import AimCodec
from xfworker.adapters.images.ctdata_header import RAD_TYPE, RSQ_TYPE
from xfworker.adapters.images.dicom_series import DicomCodec
from xfworker.adapters.images.disk_room import writing_errors
from xfworker.adapters.images.gobj import GobjCodec
from xfworker.adapters.images.guarded_writer import GuardedWriter
from xfworker.adapters.images.isq import IsqCodec
from xfworker.adapters.images.metaimage import MetaImageCodec
from xfworker.adapters.images.nifti import NiftiCodec
from xfworker.adapters.images.nrrd_files import NrrdCodec
from xfworker.adapters.images.ome_zarr import OmeZarrCodec
from xfworker.adapters.images.omni import OmniCodec
from xfworker.adapters.images.opening import head_of
from xfworker.adapters.images.projections import ProjectionCodec
from xfworker.adapters.images.tiff_folder import TiffFolderCodec
from xfworker.adapters.images.tiff_stack import TiffCodec
from xfworker.adapters.images.volume_graphics import VolumeGraphicsCodec
from xfworker.adapters.images.zarr_array import ZarrCodec
from xfworker.adapters.transfer.partial_file import require_usable_name
from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image.description import ImageInfo
from xfworker.ports.image_codec import ImageCodec, PixelReader, PixelWriter, SeriesCodec


class ImageRegistry:
    """
    The ``ImageFormats`` port over a list of codecs; the first that recognises a file's content has it.

    Args:
        codecs: The formats, most certain first.
        added: Further formats that come before all; one that has the name of another takes its place.
    """

    def __init__(self, codecs: Sequence[ImageCodec], added: Sequence[ImageCodec] = ()) -> None:
        self._omni = OmniCodec(self.codec_named)
        known: list[ImageCodec] = [self._omni, *codecs]
        for codec in added:
            known = [codec, *(other for other in known if other.name.casefold() != codec.name.casefold())]
        self._codecs = tuple(known)

    @property
    def codecs(self) -> tuple[ImageCodec, ...]:
        """Every format."""
        return self._codecs

    def codec_named(self, name: str) -> ImageCodec | None:
        """Give a format by its name (upper and lower case are the same), or None."""
        return next((codec for codec in self._codecs if codec.name.casefold() == name.casefold()), None)

    def codec_of(self, path: Path) -> ImageCodec | None:
        """Give the format of a file's content, or None where none recognises it."""
        head = head_of(path)
        return next((codec for codec in self._codecs if codec.recognises(path, head)), None)

    def codec_for_writing(self, path: Path) -> ImageCodec:
        """
        Give the format that a name asks for by its suffix; a VMS version (``;1``) does not count.

        Raises:
            UnsupportedImage: No format that is written has this suffix.
        """
        name = path.name.lower().split(";", 1)[0]
        fitting = [
            (len(suffix), codec)
            for codec in self._codecs
            if codec.encodings
            for suffix in codec.suffixes
            if name.endswith(suffix)
        ]
        if not fitting:
            known = sorted({suffix for codec in self._codecs if codec.encodings for suffix in codec.suffixes})
            raise UnsupportedImage(f"{path}: no image format is known by this suffix; written are {', '.join(known)}.")
        return max(fitting, key=lambda pair: pair[0])[1]

    def probe(self, path: Path) -> ImageInfo | None:
        """Describe the image that a file or folder holds, by content; see the port."""
        codec = self.codec_of(path)
        return None if codec is None else codec.describe(path)

    def describe(self, path: Path) -> ImageInfo:
        """Describe the image that a file or folder holds; see the port."""
        return self._known(path).describe(path)

    def reader(self, path: Path) -> PixelReader:
        """Open the image for reading; see the port."""
        return self._known(path).reader(path)

    def series_reader(self, path: Path) -> PixelReader:
        """Open the image that a file is one slice of; see the port."""
        for codec in self._codecs:
            reader = codec.series_reader(path) if isinstance(codec, SeriesCodec) else None
            if reader is not None:
                return reader
        raise UnsupportedImage(f"{path} is not a slice of a series that is known here; a series is of DICOM or TIFF.")

    def reader_of(self, info: ImageInfo) -> PixelReader:
        """Open the pixels of an OMNI description; its document need not be on disk. Raises as ``reader``."""
        return self._omni.reader_of(info)

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> PixelWriter:
        """Begin to write an image in the format that the path's suffix asks for; see the port."""
        with writing_errors(path):
            require_usable_name(path)
        sweep(path.parent)
        return GuardedWriter(self.codec_for_writing(path).writer(path, image, encoding=encoding), self.probe)

    def _known(self, path: Path) -> ImageCodec:
        codec = self.codec_of(path)
        if codec is None:
            names = ", ".join(codec.name for codec in self._codecs)
            raise UnsupportedImage(f"{path} holds no image of a known format ({names}).")
        return codec


def image_formats(added: Sequence[ImageCodec] = ()) -> ImageRegistry:
    """Make the registry of every format that this package knows, and of those that are ``added``."""
    return ImageRegistry(
        [
            AimCodec(),
            IsqCodec(),
            GobjCodec(),
            ProjectionCodec(RSQ_TYPE),
            ProjectionCodec(RAD_TYPE),
            NiftiCodec(),
            NrrdCodec(),
            # Before TIFF: a DICOM file may begin as one, for readers that know TIFF only.
            DicomCodec(),
            TiffFolderCodec(),
            TiffCodec(),
            OmeZarrCodec(),
            ZarrCodec(),
            MetaImageCodec(),
            VolumeGraphicsCodec(),
        ],
        added,
    )
