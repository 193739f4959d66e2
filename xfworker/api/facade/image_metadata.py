"""What an image of the ``omni`` module is: its document, checked when it is asked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo, Triple
from xfworker.domain.image.omni_document import info_of


class ImageMetadata:
    """
    The metadata of an image, which are read and changed without its pixels.

    Attributes:
        metadata_path: The ``.omni`` file; it need not exist before it is saved.
        metadata: The document in it.
    """

    def __init__(self, metadata_path: Path, metadata: dict[str, Any]) -> None:
        self.metadata_path = Path(metadata_path)
        self.metadata = metadata

    def __repr__(self) -> str:
        size = " x ".join(str(count) for count in self.metadata.get("size", ()))
        return f"<omni.Image {self.metadata_path} {size} {self.metadata.get('pixel_type')}>"

    @property
    def info(self) -> ImageInfo:
        """
        The metadata, checked.

        Raises:
            ImageFormatError: A key is missing or wrong; the message names it.
        """
        return info_of(self.metadata, self.metadata_path)

    @property
    def kind(self) -> str:
        """``image`` or ``segments``."""
        return self.info.kind

    @property
    def axes(self) -> str:
        """A letter per axis, fastest first: X Y Z (space), C (colour), W (wavelength), F (frequency), T (time)."""
        return self.info.axes

    @property
    def size(self) -> list[int]:
        """Pixels along every axis, in axes order: ``[x, y, z]``."""
        return list(self.info.size)

    @property
    def size_3d_tuple(self) -> tuple[int, int, int]:
        """Pixels along x, y and z; 1 along an axis that the image lacks."""
        return self.info.size_3d

    @property
    def pixels_count(self) -> int:
        """How many pixels there are."""
        return self.info.pixel_count

    @property
    def pixel_type(self) -> str:
        """The number type of pixels: ``uint8`` ... ``float64``."""
        return str(self.info.pixel_type.value)

    @property
    def spacing_mm(self) -> Triple:
        """Distance between voxel centres along x, y and z, in mm."""
        return self.info.spacing_mm

    @spacing_mm.setter
    def spacing_mm(self, spacing: Sequence[float]) -> None:
        self.metadata["spacing_mm"] = [float(step) for step in spacing]

    @property
    def origin_mm(self) -> Triple:
        """Position of voxel (0, 0, 0) along x, y and z, in mm."""
        return self.info.origin_mm

    @origin_mm.setter
    def origin_mm(self, origin: Sequence[float]) -> None:
        self.metadata["origin_mm"] = [float(at) for at in origin]

    @property
    def labels(self) -> list[dict[str, Any]]:
        """What the values of segments mean: ``[{"value": 1, "name": "bone"}]``."""
        return [dict(label) for label in self.info.labels]

    @labels.setter
    def labels(self, labels: Sequence[Mapping[str, Any]]) -> None:
        self.metadata["labels"] = [dict(label) for label in labels]

    @property
    def default_pixel_calibration_unit_type(self) -> str | None:
        """The unit type that values are to be shown in, or None for raw values."""
        return self.info.default_unit_type

    @property
    def pixel_calibrations(self) -> list[Calibration]:
        """Every calibration of the pixel values."""
        return list(self.info.calibrations)

    def pixel_calibrations_of_unit_type(self, name: str) -> list[Calibration]:
        """
        Give the calibrations to a unit type; upper and lower case are the same.

        Args:
            name: Such as ``Density``, ``HU`` or ``LinearAttenuation``.

        Returns:
            As many as there are, perhaps none. An indirect one knows what it is stated on.
        """
        return [line for line in self.info.calibrations if line.unit_type.casefold() == name.casefold()]

    # --- its files -----------------------------------------------------------------------------------------------

    @property
    def pixels_filename(self) -> str:
        """The file that holds the pixels, beside the metadata."""
        return self.info.pixels_path.name

    @property
    def additional_pixels_filenames(self) -> list[str]:
        """Further files that the pixels consist of, for formats of several files."""
        return [path.name for path in self.info.files[2:]]

    def pixels_paths(self) -> list[Path]:
        """Give every file that belongs to the image beside its metadata."""
        return list(self.info.files[1:])
