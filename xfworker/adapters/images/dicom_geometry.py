"""The volume that the frames of a DICOM series make: exactly regular, or refused with what does not fit."""

import itertools
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from xfworker.adapters.images.dicom_frames import Frame, Triple, cross
from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image.description import ALONG_THE_AXES

_SAME_TURN: Final = 1e-4
_MOST_TURN_STEP: Final = 1e-3
_SHARE_OF_STEP: Final = 0.01
_MOST_SHARE_OF_STEP: Final = 0.2
"""How far a slice may be from its place, as a share of the distance: below what one slice missing of five makes."""

_SHOWN: Final = 5
_DIGITS: Final = 12
"""What differences of decimals are exact to: 3.55 - 3.0 over 11 gaps is 0.05, not 0.04999999999999998."""


@attrs.frozen
class Volume:
    """
    Frames as a volume.

    Attributes:
        frames: The frames in the order of their places.
        spacing_mm: Along x, y and z.
        origin_mm: The position of the first voxel.
        direction: As ``ImageInfo.direction``.
        assumptions: What the files do not state.
    """

    frames: tuple[Frame, ...]
    spacing_mm: Triple
    origin_mm: Triple
    direction: tuple[float, ...]
    assumptions: tuple[str, ...]


def volume_of(frames: Sequence[Frame], path: Path) -> Volume:
    """
    Order frames by their places and give the volume that they make.

    Raises:
        UnsupportedImage: They do not lie behind one another at equal distances, or nothing says where they lie.
    """
    first = frames[0]
    assumptions: list[str] = []
    rows_mm, columns_mm = _pixel_spacing(frames, path, assumptions)
    placed = [frame for frame in frames if frame.position is not None]
    if placed and len(placed) < len(frames):
        raise UnsupportedImage(
            f"{path}: {len(frames) - len(placed)} of {len(frames)} slices state no position (ImagePositionPatient),"
            f" such as {next(frame.path.name for frame in frames if frame.position is None)}; the others do."
        )
    direction: tuple[float, ...] = ALONG_THE_AXES
    a, b, normal = _axes(frames, path)
    if first.orientation is not None:
        direction = tuple(axis[row] for row in range(3) for axis in (a, b, normal))
    elif placed:
        assumptions.append("states no orientation (ImageOrientationPatient); axes taken as those of space")
    if not placed:
        ordered, between = _without_positions(frames, path, assumptions)
        return Volume(tuple(ordered), (columns_mm, rows_mm, between), (0.0, 0.0, 0.0), direction, tuple(assumptions))
    along = {id(frame): _dot(frame.position or (0, 0, 0), normal) for frame in frames}
    ordered = sorted(frames, key=lambda frame: along[id(frame)])
    places = [along[id(frame)] for frame in ordered]
    if len(ordered) == 1:
        between = _stated_distance(first, assumptions)
    else:
        between = _distance(places, ordered, path, min(frame.place_step for frame in frames))
        _check_straight(ordered, (a, b, normal), path, min(rows_mm, columns_mm))
    origin = ordered[0].position
    assert origin is not None
    return Volume(tuple(ordered), (columns_mm, rows_mm, between), origin, direction, tuple(assumptions))


def _pixel_spacing(frames: Sequence[Frame], path: Path, assumptions: list[str]) -> tuple[float, float]:
    stated = {frame.pixel_spacing for frame in frames}
    if len(stated) > 1:
        formatted = ", ".join(sorted(str(one) for one in stated)[:_SHOWN])
        raise UnsupportedImage(
            f"{path}: slices have different pixel spacings ({formatted}); put equal ones into a folder."
        )
    (spacing,) = stated
    if spacing is None:
        assumptions.append("states no spacing (PixelSpacing); 1 mm is taken")
        return 1.0, 1.0
    if not all(math.isfinite(step) and step > 0 for step in spacing):
        raise UnsupportedImage(f"{path}: a pixel spacing of {spacing} mm cannot be right.")
    return spacing


def _axes(frames: Sequence[Frame], path: Path) -> tuple[Triple, Triple, Triple]:
    """Give the directions of rows and columns, which all frames must share, and their normal, as unit vectors."""
    first = frames[0].orientation
    for frame in frames:
        turn = frame.orientation
        same = (turn is None) == (first is None) and (
            turn is None
            or first is None
            or all(math.isclose(one, other, abs_tol=_SAME_TURN) for one, other in zip(turn, first, strict=True))
        )
        if not same:
            raise UnsupportedImage(
                f"{path} holds slices of several orientations: {frames[0].path.name} has {_numbers(first)},"
                f" {frame.path.name} has {_numbers(turn)}. Put those of one orientation into a folder of their own."
            )
    a, b = (first[:3], first[3:]) if first is not None else ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    lengths = math.hypot(*a), math.hypot(*b)
    if not all(abs(length - 1) < 10 * _MOST_TURN_STEP for length in lengths) or abs(_dot(a, b)) > _MOST_TURN_STEP:
        raise UnsupportedImage(f"{path}: rows and columns along {_numbers(first)} are not at right angles.")
    normal = cross(a, b)
    length = math.hypot(*normal)
    unit_a, unit_b, unit_normal = (
        (vector[0] / size, vector[1] / size, vector[2] / size)
        for vector, size in ((a, lengths[0]), (b, lengths[1]), (normal, length))
    )
    return unit_a, unit_b, unit_normal


def _without_positions(frames: Sequence[Frame], path: Path, assumptions: list[str]) -> tuple[list[Frame], float]:
    """Order frames that state no position, by what else they state, and name it."""
    first = frames[0]
    if len(frames) == 1:
        assumptions.append("states no position (ImagePositionPatient); its origin is taken as 0 0 0")
        return list(frames), _stated_distance(first, assumptions)
    if all(frame.location is not None for frame in frames):
        ordered = sorted(frames, key=lambda frame: frame.location or 0.0)
        places = [frame.location or 0.0 for frame in ordered]
        between = _distance(places, ordered, path, 0.0)
        assumptions.append(
            f"states no positions (ImagePositionPatient); slices are ordered and {between:.9g} mm apart by"
            " SliceLocation, the origin is taken as 0 0 0"
        )
        return ordered, between
    numbers = sorted(frame.number for frame in frames if frame.number is not None)
    in_one_file = len({frame.path for frame in frames}) == 1
    stated = {frame.between or frame.thickness for frame in frames}
    between = next(iter(stated)) or 0.0
    unbroken = in_one_file or (
        len(numbers) == len(frames) and numbers == list(range(numbers[0], numbers[0] + len(frames)))
    )
    if len(stated) > 1 or not between or not unbroken:
        raise UnsupportedImage(
            f"{path}: slices state no position (ImagePositionPatient or SliceLocation), and not one distance"
            " between them with unbroken numbers either, so that their order and distance are not known. Export them"
            " with positions."
        )
    ordered = list(frames) if in_one_file else sorted(frames, key=lambda frame: frame.number or 0)
    word = "SpacingBetweenSlices" if first.between else "SliceThickness"
    order = "as they stand in the file" if in_one_file else "by InstanceNumber"
    assumptions.append(
        f"states no positions (ImagePositionPatient); slices are ordered {order} and {between:.9g} mm apart by"
        f" {word}, the origin is taken as 0 0 0"
    )
    return ordered, between


def _stated_distance(frame: Frame, assumptions: list[str]) -> float:
    """Give the thickness of a single slice."""
    distance = frame.between or frame.thickness
    if distance is None:
        assumptions.append("states no thickness of its slice; 1 mm is taken")
    return distance or 1.0


def _distance(places: Sequence[float], frames: Sequence[Frame], path: Path, step: float) -> float:
    """Give the distance of slices whose places rise; they have to be equal as far as the places are stated."""
    gaps = [after - before for before, after in itertools.pairwise(places)]
    usual = statistics.median(gaps)
    for index, gap in enumerate(gaps):
        if gap <= usual * _SHARE_OF_STEP or gap <= 0:
            raise UnsupportedImage(
                f"{path}: {_named(frames[index])} and {_named(frames[index + 1])} are both at {places[index]:.6g} mm."
                " Put the slices of one acquisition into a folder of their own."
            )
    between = float(f"{(places[-1] - places[0]) / len(gaps):.{_DIGITS}g}")
    limit = max(_SHARE_OF_STEP * between, min(step, _MOST_SHARE_OF_STEP * between))
    if all(math.isclose(at, places[0] + index * between, abs_tol=limit) for index, at in enumerate(places)):
        return between
    wrong = [index for index, gap in enumerate(gaps) if not math.isclose(gap, usual, abs_tol=limit)]
    formatted = ", ".join(
        f"{gaps[index]:.6g} mm from {places[index]:.6g} ({_named(frames[index])}) to {places[index + 1]:.6g}"
        f" ({_named(frames[index + 1])})"
        for index in wrong[:_SHOWN]
    )
    raise UnsupportedImage(
        f"{path}: the distances between slices are not equal: {formatted or 'they grow slowly'}; the usual one is"
        f" {usual:.6g} mm. A slice may be missing. Nothing is resampled or averaged here: add the slices that are"
        " missing, or put the regular ones into a folder of their own."
    )


def _check_straight(frames: Sequence[Frame], axes: tuple[Triple, Triple, Triple], path: Path, pixel_mm: float) -> None:
    """Refuse slices that are shifted sideways against each other, as those of a tilted gantry are."""
    a, b, normal = axes
    begin, end = frames[0], frames[-1]
    turn_step = min(_MOST_TURN_STEP, max(frame.turn_step for frame in frames))
    place_step = min(*(frame.place_step for frame in frames), _MOST_SHARE_OF_STEP * pixel_mm)
    for frame in frames:
        moved = [at - was for at, was in zip(frame.position or (), begin.position or (), strict=True)]
        along = abs(_dot(moved, normal))
        aside = math.hypot(_dot(moved, a), _dot(moved, b))
        if aside > max(_SHARE_OF_STEP * pixel_mm, 1.5 * place_step, 2 * turn_step * along):
            last = [at - was for at, was in zip(end.position or (), begin.position or (), strict=True)]
            shear = math.hypot(_dot(last, a), _dot(last, b)) / (len(frames) - 1)
            raise UnsupportedImage(
                f"{path}: slices are shifted against each other, {_named(frame)} by {aside:.6g} mm from {_named(begin)}"
                f" (on average {shear:.6g} mm a slice), as with a tilted gantry. Nothing is resampled here; straighten"
                " the series with a tool that does."
            )


def _named(frame: Frame) -> str:
    return frame.path.name + (f" frame {frame.index + 1}" if frame.index else "")


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(one * other for one, other in zip(a, b, strict=True))


def _numbers(values: Sequence[float] | None) -> str:
    return "none" if values is None else " ".join(f"{value:.6g}" for value in values)
