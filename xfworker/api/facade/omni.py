"""
Images for task scripts: metadata in an ``.omni`` document, pixels in the file that it names.

Sizes, spacings and origins are stated in axes order, ``(x, y, z)``; arrays are C-ordered ``(z, y, x)``. Metadata are
read and changed without numpy; it is imported when pixels are touched.
"""

import copy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.api.facade.image_blocks import ImageBlocks
from xfworker.api.facade.image_metadata import ImageMetadata
from xfworker.api.facade.input_image import InputImage
from xfworker.api.facade.new_pixels import NewPixels
from xfworker.domain.errors import ImageError, UsageError
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.omni_document import RAW, info_of
from xfworker.domain.image.pixel_type import PixelType
from xfworker.services.event_log import EventLog

if TYPE_CHECKING:
    from xfworker.adapters.images.incomplete_image import PartialFile
    from xfworker.ports.image_codec import Pixels
    from xfworker.services.images.lazy_pixels import LazyPixels

__all__ = ["Calibration", "Image", "create_image", "create_segments", "open_image"]

_log = EventLog("xfworker.images")

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Image(ImageMetadata, ImageBlocks):
    """
    An image, or segments when its pixel values are labels.

    Args:
        metadata_path: The ``.omni`` file; it need not exist before ``save``.
        metadata: The document in it. It is not copied: what a script changes in it is saved.
    """

    def __init__(self, metadata_path: Path, metadata: dict[str, Any]) -> None:
        super().__init__(metadata_path, metadata)
        self._assigned: Pixels | None = None
        self._opened: Pixels | LazyPixels | None = None
        self._new: NewPixels | None = None
        self._input: InputImage | None = None

    # --- pixels --------------------------------------------------------------------------------------------------

    @property
    def pixels(self) -> "Pixels | LazyPixels":
        """
        All pixels, C-ordered with the last axis first: ``(z, y, x)``.

        A memory map where the pixels are raw: read-only for an image that was opened, writable for one that was created
        or derived (zeros at first, with room reserved on the disk; the file gets its name when the image is saved).
        Where they are encoded, an array-like that decodes the slices that are asked for: ``pixels[40]``,
        ``pixels[10:20, ::2]``, ``numpy.asarray(pixels)``.

        Assigning an array (numbers or bool) of the same shape makes it the pixels; ``save`` writes it. Its number type
        becomes the image's.

        Raises:
            ImageFormatError: The pixels file is too short, or otherwise not what the metadata say.
            ImageError: It cannot be read.
            NotEnoughSpace: The disk has no room for new pixels.
            UsageError: A file that belongs to another image stands where new pixels are to go.
        """
        if self._assigned is not None:
            return self._assigned
        if self._opened is None:
            self._opened = self._read_pixels() if self._new is None else self._new.map(self.info, _probe)
        return self._opened

    @pixels.setter
    def pixels(self, values: "Pixels") -> None:
        import numpy as np

        if hasattr(values, "dask"):
            raise UsageError(
                f"An array of dask would be computed into memory as a whole for {self.metadata_path}; write it block by"
                " block with write_blocks(), or assign array.compute() where that fits."
            )
        array = np.asarray(values)
        if array.dtype == np.bool_:
            array = array.view(np.uint8)
        pixel_type = PixelType.of_numpy_code(array.dtype.str)
        if pixel_type is None:
            raise UsageError(
                f"Pixels of type {array.dtype} cannot be kept in {self.metadata_path}; convert them first."
            )
        if array.shape != self.info.shape:
            raise UsageError(
                f"The pixels of {self.metadata_path} have shape {self.info.shape} (z, y, x); got shape {array.shape}."
            )
        self.metadata["pixel_type"] = pixel_type.value
        self._assigned = array

    def _readable(self) -> ImageInfo:
        if self._assigned is not None:
            raise UsageError(f"The pixels assigned to {self.metadata_path} are not in a file yet; call save() first.")
        self._flush()
        info = self.info
        if self._new is not None and info.encoding == RAW:
            info = attrs.evolve(info, pixels_path=self._new.current_path(info))
        return info

    def _is_new(self) -> bool:
        return self._new is not None and not self.metadata_path.exists()

    # --- deriving and saving -------------------------------------------------------------------------------------

    def derive_image(
        self,
        derived_omni_path: Path,
        derived_raw_path: Path,
        override_metadata: Mapping[str, Any] = _NOTHING,
    ) -> "Image":
        """
        Make an image of the same place and meaning, with pixels of its own.

        Args:
            derived_omni_path: The metadata file to be.
            derived_raw_path: The pixels file to be, in the same folder.
            override_metadata: Keys that replace inherited ones, such as ``{"pixel_type": "float32"}``.

        Returns:
            The new image, on disk only after its ``save``. Its pixels are raw; a key set to None in
            ``override_metadata`` is left out.

        Raises:
            UsageError: The two files are not in one folder or have no names, or would replace this image's pixels.
        """
        return self._derived(derived_omni_path, derived_raw_path, {}, override_metadata)

    def derive_segments(
        self,
        derived_omni_path: Path,
        derived_raw_path: Path,
        override_metadata: Mapping[str, Any] = _NOTHING,
        *,
        labels: Sequence[Mapping[str, Any]] = (),
    ) -> "Image":
        """
        Make segments of the same place: pixels are labels (uint8 unless overridden), without calibration.

        Args:
            derived_omni_path: The metadata file to be.
            derived_raw_path: The pixels file to be, in the same folder.
            override_metadata: Keys that replace inherited ones.
            labels: What the values mean: ``[{"value": 1, "name": "bone"}]``.

        Returns:
            The new segments, on disk only after ``save``.

        Raises:
            UsageError: The two files are not in one folder or have no names, or would replace this image's pixels.
        """
        own = {
            "kind": "segments",
            "pixel_type": PixelType.UINT8.value,
            "pixel_calibrations": [],
            "default_pixel_calibration_unit_type": None,
            "labels": [dict(label) for label in labels],
        }
        return self._derived(derived_omni_path, derived_raw_path, own, override_metadata)

    def save(self) -> None:
        """
        Write assigned pixels, then the metadata; both appear under their names only when they are complete.

        An input image that was opened where it lies in the file store is never changed: its metadata then go to a
        document in the working directory that points at the same pixels, and ``metadata_path`` becomes that document.

        Raises:
            ImageError: A file cannot be written, or the metadata are not JSON.
            ImageFormatError: The metadata are wrong, or the pixels file is too short for them.
            NotEnoughSpace: The disk is full.
            UsageError: The pixels would replace those of another image.
        """
        from xfworker.adapters.disk.store_layout import in_file_store
        from xfworker.adapters.images.incomplete_image import finish_both
        from xfworker.adapters.images.omni import begun_document

        if self._input is not None and self._input.is_in_place:
            info = self.info
            own_pixels = self._assigned is not None and info.encoding == RAW and info.pixels_offset == 0
            self.metadata_path = self._input.private_document(info, with_pixels=not own_pixels)
        if self._input is None and self._new is None and in_file_store(self.metadata_path):
            raise UsageError(
                f"{self.metadata_path} lies in the file store, where nothing is changed in place; open it with"
                " get_omni_image(), or derive an image with derive_image()."
            )
        info = self.info
        document = begun_document(self.metadata_path, self.metadata)
        pixels: PartialFile | None = None
        try:
            pixels = self._completed_pixels(info)
            if pixels is not None:
                if self._assigned is not None:
                    self._opened = None  # Windows replaces no file that is mapped
                finish_both(pixels, document)
                self._published()
                return
            if info.encoding == RAW and not self._has_pixels_elsewhere(info):
                from xfworker.adapters.images.raw_pixels import check_raw_size

                check_raw_size(info)
        except BaseException:
            document.discard()
            if pixels is not None and self._assigned is not None:
                pixels.discard()
            raise
        document.finish()

    def _derived(self, omni_path: Path, raw_path: Path, own: Mapping[str, Any], override: Mapping[str, Any]) -> "Image":
        omni_path, raw_path = _named(omni_path), _named(raw_path)
        if omni_path.absolute().parent != raw_path.absolute().parent:
            raise UsageError(f"Metadata and pixels must be in one folder; got {omni_path} and {raw_path}.")
        pixels_paths = {path.resolve() for path in self.pixels_paths()}
        if self._input is not None and self._input.is_in_place:
            pixels_paths.add(self.metadata_path.resolve())
        if raw_path.resolve() in pixels_paths or omni_path.resolve() in pixels_paths:
            raise UsageError(
                f"{omni_path} with {raw_path} would destroy the pixels of {self.metadata_path}, which it is derived"
                " from; give the derived image names of its own."
            )
        metadata = copy.deepcopy(self.metadata)
        metadata.pop("additional_pixels_filenames", None)
        metadata["byte_order"] = "little"
        metadata.update(copy.deepcopy({**own, **override}))
        for key in [key for key, value in override.items() if value is None]:
            del metadata[key]
        metadata["pixels"] = {"filename": raw_path.name, "offset": 0, "encoding": RAW}
        return _new_image(omni_path, metadata)

    def _image_at(self, path: Path) -> "Image":
        return open_image(path)

    def _read_pixels(self) -> "Pixels | LazyPixels":
        from xfworker.api.composition.image_formats import image_formats
        from xfworker.services.images.lazy_pixels import LazyPixels

        info = self.info
        if self._has_pixels_elsewhere(info):
            raise ImageError(
                f"The pixels of {self.metadata_path} were not downloaded (download_only_metadata); get the image"
                " without that to read them."
            )
        reader = image_formats().reader_of(info)
        mapped = reader.memory_map()
        if mapped is None:
            return LazyPixels(reader)
        reader.close()
        return mapped

    def _completed_pixels(self, info: ImageInfo) -> "PartialFile | None":
        """Give new pixels as a complete file that waits for its name, or None where there are none."""
        if self._assigned is None:
            self._flush()
            return None if self._new is None else self._new.completed(info, _probe)
        import numpy as np

        from xfworker.adapters.images.abandoned_files import sweep
        from xfworker.adapters.images.incomplete_image import PartialFile
        from xfworker.services.images.ownership import check_replaceable

        if info.encoding != RAW or info.pixels_offset != 0:
            raise UsageError(
                f"The pixels of {self.metadata_path} are in {info.pixels_path.name}, which is not replaced; derive an"
                " image with derive_image() and assign them there."
            )
        if self._new is None or not self._new.is_written_by_script:
            check_replaceable(info.path, [info.pixels_path], _probe)
        target = np.dtype(info.pixel_type.numpy_code(info.byte_order))
        sweep(info.pixels_path.parent)
        partial = PartialFile(info.pixels_path)
        try:
            for plane in self._assigned.reshape(1) if self._assigned.ndim == 0 else self._assigned:
                partial.write(np.ascontiguousarray(plane, target).reshape(-1).view(np.uint8))
        except BaseException:
            partial.discard()
            raise
        return partial

    def _published(self) -> None:
        # What is mapped cannot be removed on Windows: where the script does not have it any more, it is let go of.
        if self._assigned is not None or sys.platform == "win32":
            self._opened = self._assigned = None
        if self._new is not None:
            self._new.published()

    def _has_pixels_elsewhere(self, info: ImageInfo) -> bool:
        return self._input is not None and self._input.is_only_metadata and not info.pixels_path.exists()

    def _flush(self) -> None:
        flush = getattr(self._opened, "flush", None)
        if flush is not None and self._new is not None:
            flush()


def open_image(path: Path) -> Image:
    """
    Open an ``.omni`` file, or any other image file that is known, by content.

    An image of another format is presented as an ``Image`` whose metadata point into the file; no pixel is copied, and
    nothing is written unless it is saved. What the file does not state and is assumed, such as a spacing, is
    written to the log, a line each.

    Raises:
        ImageError: The file cannot be read, is not an image of a known format, or is broken.
    """
    from xfworker.adapters.images.omni import read_document
    from xfworker.api.composition.image_formats import image_formats

    path = Path(path)
    info = image_formats().describe(path)
    for assumption in info.assumptions:
        _log.warning("xfworker.image_assumption", image=path.name, assumption=assumption)
    if info.format == "OMNI":
        return Image(path, read_document(path))
    from xfworker.services.images.importing import pointing_document

    document = pointing_document(info)
    return Image(path.with_name(path.name.split(";", 1)[0]).with_suffix(".omni"), document)


def open_input(source: "InputImage") -> Image:
    """
    Open an input image of a job, which is never changed where it lies. Raises as ``open_image``.

    Args:
        source: The image's main file, and what is to be done when the image is saved.
    """
    from xfworker.adapters.images.omni import read_document

    if source.is_only_metadata and source.path.suffix.lower() == ".omni":
        # Without its pixels, a document that points into another format cannot be held against that file.
        image = Image(source.path, read_document(source.path))
        image.info  # noqa: B018 - checks the document
    else:
        image = open_image(source.path)
    image._input = source  # noqa: SLF001 - only this module makes images of inputs
    return image


def create_image(
    metadata_path: Path,
    *,
    size: Sequence[int],
    pixel_type: str,
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
    origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
    axes: str = "XYZ",
    calibrations: Sequence[Calibration] = (),
    default_unit_type: str | None = None,
    raw_path: Path | None = None,
) -> Image:
    """
    Make an image from nothing; it is on disk after ``save``.

    Args:
        metadata_path: The ``.omni`` file to be.
        size: Pixels along every axis, in axes order (x, y, z).
        pixel_type: ``uint8`` ... ``float64``.
        spacing_mm: Distance between voxel centres along x, y and z, in mm.
        origin_mm: Position of voxel (0, 0, 0) along x, y and z, in mm.
        axes: A letter per axis, fastest first.
        calibrations: What raw values mean.
        default_unit_type: The unit type that values are to be shown in.
        raw_path: The pixels file to be; the same name with ``.raw`` where None.

    Raises:
        ImageFormatError: A value makes no sense; the message names it.
        UsageError: The two files are not in one folder, or have no names.
    """
    metadata_path = _named(metadata_path)
    raw_path = metadata_path.with_suffix(".raw") if raw_path is None else _named(raw_path)
    if metadata_path.absolute().parent != raw_path.absolute().parent:
        raise UsageError(f"Metadata and pixels must be in one folder; got {metadata_path} and {raw_path}.")
    metadata: dict[str, Any] = {
        "format": "OMNI",
        "format_version": "1.0",
        "kind": "image",
        "axes": axes,
        "size": [int(count) for count in size],
        "pixel_type": str(pixel_type),
        "byte_order": "little",
        "pixels": {"filename": raw_path.name, "offset": 0, "encoding": RAW},
        "additional_pixels_filenames": [],
        "spacing_mm": [float(step) for step in spacing_mm],
        "origin_mm": [float(at) for at in origin_mm],
        "pixel_calibrations": [line.metadata for line in calibrations],
        "default_pixel_calibration_unit_type": default_unit_type,
    }
    return _new_image(metadata_path, metadata)


def create_segments(
    metadata_path: Path,
    *,
    size: Sequence[int],
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
    origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
    labels: Sequence[Mapping[str, Any]] = (),
    pixel_type: str = "uint8",
    raw_path: Path | None = None,
) -> Image:
    """Make segments from nothing; arguments and errors as of ``create_image``, and what the label values mean."""
    image = create_image(
        metadata_path,
        size=size,
        pixel_type=pixel_type,
        spacing_mm=spacing_mm,
        origin_mm=origin_mm,
        raw_path=raw_path,
    )
    image.metadata["kind"] = "segments"
    image.labels = labels
    return image


def _named(path: Path) -> Path:
    path = Path(path)
    if path.name in {"", ".."}:
        raise UsageError(f"{str(path)!r} is a folder or a drive; an image needs a file name, such as 'scan.omni'.")
    return path


def _new_image(metadata_path: Path, metadata: dict[str, Any]) -> Image:
    if info_of(metadata, metadata_path).pixels_path == metadata_path:
        raise UsageError(f"{metadata_path} cannot hold both metadata and pixels; give the pixels a name of their own.")
    image = Image(metadata_path, metadata)
    image._new = NewPixels(image.info)  # noqa: SLF001 - only this module makes images whose pixels are yet to be written
    return image


def _probe(path: Path) -> ImageInfo | None:
    from xfworker.api.composition.image_formats import image_formats

    return image_formats().probe(path)
