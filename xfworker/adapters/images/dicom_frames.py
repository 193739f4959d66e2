"""
The frames of DICOM files: what each one states of its place, its pixels' size and the scale of its values.

A classic file is one frame and says so at its top level. An enhanced multi-frame file says it in functional groups,
those that all frames share and those of each frame (DICOM PS3.3, C.7.6.16).
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import attrs

from xfworker.domain.errors import ImageFormatError

Triple = tuple[float, float, float]

_GROUP_OF: Final = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
}


@attrs.frozen(kw_only=True)
class Frame:
    """
    One plane of pixels.

    Attributes:
        path: Its file.
        index: Which frame of the file it is.
        number: The file's InstanceNumber, or None.
        position: Where the centre of its first pixel is, in mm, or None.
        orientation: The directions of its rows and columns, six numbers, or None.
        location: SliceLocation in mm, or None.
        pixel_spacing: mm between rows and between columns, or None.
        between: mm between slices (SpacingBetweenSlices), or None.
        thickness: SliceThickness in mm, or None.
        slope: RescaleSlope, or None.
        intercept: RescaleIntercept.
        unit: RescaleType, empty where there is none.
        place_step: How finely the decimals of the position state it, in mm.
        turn_step: How finely the decimals of the orientation state it; 0 where it is exact.
    """

    path: Path
    index: int
    number: int | None
    position: Triple | None
    orientation: tuple[float, ...] | None
    location: float | None
    pixel_spacing: tuple[float, float] | None
    between: float | None
    thickness: float | None
    slope: float | None
    intercept: float
    unit: str
    place_step: float = 0.0
    turn_step: float = 0.0


def frames_of(header: Any, path: Path) -> list[Frame]:
    """
    Give the frames of a file, in its order.

    Raises:
        ImageFormatError: Its groups are not those of its frames.
        ValueError, TypeError: A number is none.
    """
    count = int(header.get("NumberOfFrames", 1) or 1)
    own = header.get("PerFrameFunctionalGroupsSequence") or ()
    if own and len(own) != count:
        raise ImageFormatError(
            f"states {count} frames, and functional groups of {len(own)}.", path=path, field="NumberOfFrames"
        )
    shared = list(header.get("SharedFunctionalGroupsSequence") or ())[:1]
    offsets = [float(value) for value in header.get("GridFrameOffsetVector") or ()]
    number = header.get("InstanceNumber")
    location = header.get("SliceLocation")
    frames = []
    for index in range(count):
        groups = _Groups([*([own[index]] if own else []), *shared], header)
        position, turn = groups.numbers("ImagePositionPatient", 3), groups.numbers("ImageOrientationPatient", 6)
        if count > 1 and not own:
            position = _shifted(position, turn, offsets[index]) if len(offsets) == count else None
        spacing = groups.numbers("PixelSpacing", 2)
        slope = groups.number("RescaleSlope")
        frames.append(
            Frame(
                path=path,
                index=index,
                number=None if number in (None, "") else int(number),
                position=None if position is None else (position[0], position[1], position[2]),
                orientation=turn,
                location=None if location in (None, "") or count > 1 else float(location),
                pixel_spacing=None if spacing is None else (spacing[0], spacing[1]),
                between=_length(groups.number("SpacingBetweenSlices")),
                thickness=_length(groups.number("SliceThickness")),
                slope=slope,
                intercept=groups.number("RescaleIntercept") or 0.0,
                unit=str(groups.value("RescaleType") or "").strip(),
                place_step=_step(groups.value("ImagePositionPatient")),
                turn_step=0.0 if _is_along_the_axes(turn) else _step(groups.value("ImageOrientationPatient")),
            )
        )
    return frames


class _Groups:
    """Looks an attribute up in the groups of a frame, then in those that frames share, then at the file's top level."""

    def __init__(self, groups: Sequence[Any], header: Any) -> None:
        self._groups, self._header = groups, header

    def value(self, name: str) -> Any:
        return next((value for value in self._values(name) if value not in (None, "")), None)

    def _values(self, name: str) -> Iterator[Any]:
        for group in self._groups:
            for item in group.get(_GROUP_OF[name]) or ():
                yield item.get(name)
        yield self._header.get(name)

    def number(self, name: str) -> float | None:
        value = self.value(name)
        return None if value is None else float(value)

    def numbers(self, name: str, count: int) -> tuple[float, ...] | None:
        value = self.value(name)
        if value is None or len(value) == 0:
            return None
        if len(value) != count:
            message = f"{name} has {len(value)} numbers"
            raise ValueError(message)
        return tuple(float(number) for number in value)


def _shifted(position: tuple[float, ...] | None, turn: tuple[float, ...] | None, offset: float) -> Any:
    """Give the place of a frame that lies so many mm along the normal from the first (PS3.3, C.8.8.3.2)."""
    if position is None or turn is None:
        return None
    normal = cross(turn[:3], turn[3:])
    return tuple(at + offset * along for at, along in zip(position, normal, strict=True))


def cross(a: Sequence[float], b: Sequence[float]) -> Triple:
    """Give the cross product of two vectors."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _length(value: float | None) -> float | None:
    """Give a length, or None where it is none; some scanners write a negative distance between slices."""
    return abs(value) if value else None


def _is_along_the_axes(turn: Sequence[float] | None) -> bool:
    return turn is None or all(abs(value) in (0, 1) for value in turn)


def _step(values: Any) -> float:
    """Give the last decimal place of numbers as they are written."""
    if values is None:
        return 0.0
    exponents = [Decimal(str(value).strip()).as_tuple().exponent for value in values]
    finest = min(exponent for exponent in exponents if isinstance(exponent, int))
    return float(10.0**finest)
