"""
A phantom that looks like a bone and whose answers are known exactly.

A cortical shell surrounds a lattice of curved plates (a gyroid, the surface that trabecular bone resembles most).
Bone is one raw value and everything else another; seeded noise lies on both, far from reaching across the threshold. So
the bone is known voxel by voxel, and its mean follows from integers, before any file is written.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define

from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.image.scanco_calibration import ScancoCalibration

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SIZE = (240, 210, 96)
"""Voxels along x, y and z; all different, so that swapped axes show."""
SPACING_MM = (0.034, 0.034, 0.034)
THRESHOLD = 320.0
"""mg HA/ccm; halfway between background and bone."""

_BACKGROUND = 1500
_BONE = 6500
_NOISE = 400
_SEED = 20
_CORTEX_VOXELS = 9.0
_TRABECULAR_PERIOD_VOXELS = 36.0
_LATTICE = ((0.6, 0.64, 0.48), (-0.8, 0.48, 0.36), (0.0, -0.6, 0.8))
"""The directions of the lattice: unit vectors, at right angles to one another."""
_PLATE_LEVEL = 0.33
_CALIBRATION = ScancoCalibration(
    mu_scaling=8192.0, density_slope=1603.51904, density_intercept=-391.209015, mu_water=0.2409
)


@define(frozen=True, kw_only=True)
class KnownAnswer:
    """
    What the statistics of the phantom must be.

    Attributes:
        volume_fraction: Bone voxels per voxel.
        bone_volume: In mm3.
        mean_density: Of bone, in mg HA/ccm.
    """

    volume_fraction: float
    bone_volume: float
    mean_density: float


def write_phantom(path: Path) -> KnownAnswer:
    """
    Write the phantom as an AIM file (int16).

    Returns:
        What it is known to hold. The count of bone voxels comes from the geometry and the mean from the integers
        that are written, neither from reading the file.
    """
    import numpy as np

    from xfworker.adapters.images.registry import image_formats

    bone = bone_mask()
    noise = np.random.default_rng(_SEED).integers(-_NOISE, _NOISE, size=bone.shape, dtype=np.int16, endpoint=True)
    values = np.where(bone, np.int16(_BONE), np.int16(_BACKGROUND)) + noise
    voxels = int(np.count_nonzero(bone))
    mean = int(values[bone].sum(dtype=np.int64)) / voxels

    info = ImageInfo(
        path=path,
        format="AIM",
        size=SIZE,
        pixel_type=PixelType.INT16,
        pixels_path=path,
        spacing_mm=SPACING_MM,
        calibrations=_CALIBRATION.calibrations(),
        default_unit_type="Density",
    )
    with image_formats().writer(path, info) as writer:
        writer.write(values)
    assert _CALIBRATION.density_slope is not None
    assert _CALIBRATION.density_intercept is not None
    return KnownAnswer(
        volume_fraction=voxels / (SIZE[0] * SIZE[1] * SIZE[2]),
        bone_volume=voxels * SPACING_MM[0] * SPACING_MM[1] * SPACING_MM[2],
        mean_density=mean / _CALIBRATION.mu_scaling * _CALIBRATION.density_slope + _CALIBRATION.density_intercept,
    )


def bone_mask() -> "npt.NDArray[np.bool_]":
    """Give where bone is, shape ``(z, y, x)``."""
    import numpy as np

    x, y, z = (np.arange(count) - (count - 1) / 2 for count in SIZE)
    radius = np.hypot(y[:, None], x[None, :])
    angle = np.arctan2(y[:, None], x[None, :])
    outer = 0.46 * min(SIZE[0], SIZE[1]) * (1 + 0.07 * np.cos(angle) + 0.05 * np.cos(2 * angle - 1))
    shell = (radius <= outer) & (radius > outer - _CORTEX_VOXELS)
    marrow = radius <= outer - _CORTEX_VOXELS
    # Turned against the axes, so that no slice meets the lattice straight on.
    turn = np.float32(2 * np.pi / _TRABECULAR_PERIOD_VOXELS)
    position = (
        x[None, None, :].astype(np.float32),
        y[None, :, None].astype(np.float32),
        z[:, None, None].astype(np.float32),
    )
    a, b, c = (
        sum(turn * np.float32(part) * axis for part, axis in zip(row, position, strict=True)) for row in _LATTICE
    )
    gyroid = np.sin(a) * np.cos(b) + np.sin(b) * np.cos(c) + np.sin(c) * np.cos(a)
    return np.asarray(shell[None, :, :] | (marrow[None, :, :] & (np.abs(gyroid) < _PLATE_LEVEL)), np.bool_)
