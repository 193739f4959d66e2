"""What is known of an image without touching its pixels."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from xfworker.domain.errors import ImageError, ImageFormatError
from xfworker.domain.image.calibration import Calibration, resolve
from xfworker.domain.image.pixel_type import ByteOrder, PixelType

Triple = tuple[float, float, float]
Kind = Literal["image", "segments"]

ALONG_THE_AXES: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
"""The direction of an image whose axes are those of space."""

SPACE_AXES = "XYZ"
AXES_LETTERS = "XYZCWFT"


_LEAST_VOLUME = 1e-6
_LEAST_MM, _MOST_MM, _FARTHEST_MM = 1e-12, 1e12, 1e18


def _plain(numbers: tuple[float, ...]) -> Any:
    """Give numbers of any library as Python's own, which are written as decimals."""
    return tuple(float(number) for number in numbers)


def _checked_spacing(image: "ImageInfo", _field: object, spacing: Triple) -> None:
    if not all(_LEAST_MM <= step <= _MOST_MM for step in spacing):
        raise ImageFormatError(f"{spacing} mm between voxels cannot be right.", path=image.path, field="spacing_mm")


def _checked_origin(image: "ImageInfo", _field: object, origin: Triple) -> None:
    if not all(abs(at) <= _FARTHEST_MM for at in origin):
        raise ImageFormatError(f"an origin at {origin} mm cannot be right.", path=image.path, field="origin_mm")


def _volume_of(x: tuple[float, ...], y: tuple[float, ...], z: tuple[float, ...]) -> float:
    """Give the volume between three axes; none where they lie in a plane."""
    return (
        x[0] * (y[1] * z[2] - y[2] * z[1])
        + x[1] * (y[2] * z[0] - y[0] * z[2])
        + x[2] * (y[0] * z[1] - y[1] * z[0])
    )  # fmt: skip


def _checked_direction(image: "ImageInfo", _field: object, direction: tuple[float, ...]) -> None:
    columns = [direction[axis::3] for axis in range(3)]
    lengths = [math.hypot(*column) for column in columns]
    are_long = len(direction) == len(ALONG_THE_AXES) and all(math.isclose(one, 1, abs_tol=1e-2) for one in lengths)
    if not are_long or abs(_volume_of(*columns)) < _LEAST_VOLUME:
        raise ImageFormatError(f"axes along {direction} cannot be right.", path=image.path, field="direction")


def turns_in_itself(direction: tuple[float, ...], axes: int) -> bool:
    """Return whether the first axes point nowhere but along themselves: only then they hold it without the others."""
    return all(
        direction[3 * row + axis] == (row == axis) for row in range(3) for axis in range(3) if max(row, axis) >= axes
    )


@attrs.frozen(kw_only=True)
class ImageInfo:
    """
    One image: where it is, how it is stored, and what its pixels mean.

    Sizes, spacings and origins are stated in axes order, ``(x, y, z)``; arrays are C-ordered with the last axis first,
    ``(z, y, x)``.

    Attributes:
        path: The file that describes the image.
        format: The format's name, such as ``AIM``, ``ISQ`` or ``OMNI``.
        format_version: The version within the format, such as ``v020``, or None.
        encoding: How pixels are stored, in the format's own word, such as ``raw`` or ``binCmp``.
        kind: ``image``, or ``segments`` when pixel values are labels.
        axes: A letter per axis, fastest first: X, Y, Z (space), C (colour), W (wavelength), F (frequency), T (time).
        size: Pixels along every axis.
        pixel_type: The number type that reading gives.
        byte_order: The order of bytes in the file.
        pixels_path: The file that holds the pixels.
        pixels_offset: The byte at which uninterrupted raw pixels begin in it, or None when they are encoded.
        spacing_mm: Distance between voxel centres along x, y and z, in mm: from 1e-12 to 1e12.
        origin_mm: Position of voxel (0, 0, 0) in mm: at most 1e18 away.
        direction: A matrix of three rows whose columns say where the axes x, y and z point in space (left, back, up);
            only formats that know of directions keep it.
        calibrations: Straight lines from raw values to physical ones.
        default_unit_type: The unit type to show values in, or None for raw values.
        labels: What the values of segments mean: ``{"value": 1, "name": "bone"}``.
        is_ipl_compatible: Whether IPL reads the file as it is.
        header: The fields of the file's own header, for display.
        source: Verbatim header and processing log of the file that the image came from, or None.
        files: Every file that the image consists of.
        unknown: Keys of an OMNI document that this version does not know; they are kept.
        assumptions: What the file does not state and was assumed, each in one sentence, such as a spacing.
    """

    path: Path
    format: str
    format_version: str | None = None
    encoding: str = "raw"
    kind: Kind = "image"
    axes: str = SPACE_AXES
    size: tuple[int, ...]
    pixel_type: PixelType
    byte_order: ByteOrder = "little"
    pixels_path: Path
    pixels_offset: int | None = None
    spacing_mm: Triple = attrs.field(default=(1.0, 1.0, 1.0), converter=_plain, validator=_checked_spacing)
    origin_mm: Triple = attrs.field(default=(0.0, 0.0, 0.0), converter=_plain, validator=_checked_origin)
    direction: tuple[float, ...] = attrs.field(default=ALONG_THE_AXES, converter=_plain, validator=_checked_direction)
    calibrations: tuple[Calibration, ...] = attrs.field(default=(), converter=resolve)
    default_unit_type: str | None = None
    labels: tuple[Mapping[str, Any], ...] = ()
    is_ipl_compatible: bool = False
    header: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    source: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    files: tuple[Path, ...] = ()
    unknown: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    assumptions: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape: the size with the slowest axis first, ``(z, y, x)``."""
        return tuple(reversed(self.size))

    @property
    def pixel_count(self) -> int:
        """How many pixels there are."""
        return math.prod(self.size)

    @property
    def byte_count(self) -> int:
        """How many bytes the pixels take when they are raw."""
        return self.pixel_count * self.pixel_type.size

    @property
    def slab_byte_count(self) -> int:
        """How many bytes one step along the slowest axis (a z slice) takes."""
        return self.byte_count // self.size[-1]

    @property
    def size_3d(self) -> tuple[int, int, int]:
        """Pixels along x, y and z; 1 along an axis that the image lacks."""
        by_axis = dict(zip(self.axes, self.size, strict=True))
        return by_axis.get("X", 1), by_axis.get("Y", 1), by_axis.get("Z", 1)

    @property
    def processing_log(self) -> str | None:
        """The processing log as a string, without the NUL that ends it, or None."""
        log = (self.source or {}).get("processing_log")
        return log.partition("\0")[0] if isinstance(log, str) else None

    def calibration(self, unit_type: str) -> Calibration:
        """
        Give the calibration to a unit type; upper and lower case are the same.

        Raises:
            ImageError: The image has none; the message names those that it has.
        """
        for line in self.calibrations:
            if line.unit_type.casefold() == unit_type.casefold():
                return line
        known = ", ".join(line.unit_type for line in self.calibrations) or "none at all"
        raise ImageError(f"{self.path} has no calibration to {unit_type}; it has {known}.")
