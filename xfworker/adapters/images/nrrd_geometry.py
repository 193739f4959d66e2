"""The place of a NRRD in space: directions with units, or spacings and least places of its axes."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image.description import Triple
from xfworker.domain.image.length_units import MILLIMETRE, LengthUnit, is_not_a_unit, length_unit

if TYPE_CHECKING:
    import numpy.typing as npt

    Matrix = npt.NDArray[Any]

_SPACE: Final = 3


Place = tuple[Triple, Triple, tuple[float, ...], tuple[str, ...]]


def place_of(header: dict[str, Any], count: int, path: Path) -> Place:
    """
    Give spacing, origin and direction of a NRRD, and what its header does not state of them.

    A space that points to the right and front is turned to the left and back.

    Args:
        header: pynrrd's header.
        count: How many axes there are.
        path: For messages.

    Raises:
        ImageFormatError: A unit of length is not known.
        UnsupportedImage: An axis is not one of space.
    """
    import numpy as np

    sides = np.asarray(_sides(str(header.get("space", "")).lower()))
    if header.get("space directions") is not None:
        rows, origin = _directed(header, count, path)
    else:
        rows, origin = _spaced(header, count, path)
    lengths = np.linalg.norm(rows, axis=1)
    missing = lengths == 0
    rows[missing], lengths[missing] = np.eye(_SPACE)[missing], 1.0
    turned = (sides[:, None] * (rows / lengths[:, None]).T) + 0.0
    assumptions = []
    if bool(missing[:count].any()):
        assumptions.append("states no spacing (space directions, spacings); 1 mm is taken")
    if count < _SPACE:
        if bool(np.any(rows[:count, count:])):
            # A plane that is turned out of itself has a normal that is not stated.
            turned = np.eye(_SPACE)
            assumptions.append("states where its axes point in space, which is not kept of fewer than three")
        turned[:, count:] = np.eye(_SPACE)[:, count:]
    # Of a row along an axis the very number, not the root of its square.
    spacing = [
        float(np.abs(row).max() if np.count_nonzero(row) == 1 else size)
        for row, size in zip(rows, lengths, strict=True)
    ]
    x, y, z = (float(at) for at in sides * origin + 0.0)
    return (spacing[0], spacing[1], spacing[2]), (x, y, z), tuple(turned.ravel().tolist()), tuple(assumptions)


def _directed(header: dict[str, Any], count: int, path: Path) -> "tuple[Matrix, Matrix]":
    """Give a row per axis, in mm, and the origin; a row of zeros where nothing is stated."""
    import numpy as np

    units = _units(header.get("space units"), path, "space units")
    rows, origin = np.zeros((_SPACE, _SPACE)), np.zeros(_SPACE)
    directions = np.asarray(header["space directions"], np.float64)[:count, :_SPACE]
    if not bool(np.all(np.isfinite(directions))):
        raise UnsupportedImage(f"{path} has an axis without a direction in space, which is not one of a volume.")
    for axis, row in enumerate(directions):
        rows[axis, : len(row)] = [units[part].mm(float(value)) for part, value in enumerate(row)]
    stated = header.get("space origin")
    for part, value in enumerate([] if stated is None else list(stated)[:_SPACE]):
        origin[part] = units[part].mm(float(value)) if math.isfinite(float(value)) else 0.0
    return rows, origin


def _spaced(header: dict[str, Any], count: int, path: Path) -> "tuple[Matrix, Matrix]":
    """Give the same of a header that states spacings, and the least places of its axes, without a space."""
    import numpy as np

    units = _units(header.get("units"), path, "units")
    rows, origin = np.zeros((_SPACE, _SPACE)), np.zeros(_SPACE)
    steps = [float(step) for step in header.get("spacings", ())][:count]
    least = [float(value) for value in header.get("axis mins", header.get("axismins", ()))][:count]
    centers = [str(word).lower() for word in header.get("centerings", header.get("centers")) or ()]
    for axis, step in enumerate(steps):
        if not math.isfinite(step):
            continue
        rows[axis, axis] = units[axis].mm(step)
        if axis < len(least) and math.isfinite(least[axis]):
            # The least place is the edge of a cell, and the centre of a node; without a word it is a cell's.
            half = 0.0 if centers[axis : axis + 1] == ["node"] else 0.5
            origin[axis] = units[axis].mm(least[axis] + half * step)
    return rows, origin


def _units(stated: Any, path: Path, field: str) -> list[LengthUnit]:
    """Give the unit of every axis; mm where none is stated, as other programs take it."""
    words = ["" if word is None else str(word) for word in (() if stated is None else stated)]
    units = [MILLIMETRE if is_not_a_unit(word) or word == "nan" else length_unit(word, path, field) for word in words]
    return [*units, *[MILLIMETRE] * (_SPACE + 1)]


def _sides(space: str) -> tuple[float, float, float]:
    """Give the signs that turn a named space to one that points to the left, the back and up."""
    right = space.startswith(("right", "ra", "rp"))
    front = "anterior" in space or space in ("ras", "las")
    return (-1.0 if right else 1.0, -1.0 if front else 1.0, 1.0)
