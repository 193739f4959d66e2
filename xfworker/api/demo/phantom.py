"""
A phantom that looks like trabecular bone from afar and whose answers are known exactly.

Plates and rods of one raw value stand in a background of another; seeded noise lies on both, far from reaching across
the threshold. So the bone is known voxel by voxel, and its mean follows from whole numbers, before any file is written.
"""

from pathlib import Path

from attrs import define

from xfworker.domain.image.calibration import ScancoCalibration
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType

SIZE = (120, 100, 80)
"""Voxels along x, y and z; all different, so that swapped axes show."""
SPACING_MM = (0.034, 0.034, 0.034)
THRESHOLD = 320.0
"""mg HA/ccm; halfway between background and bone."""

_BACKGROUND = 1500
_BONE = 6500
_NOISE = 400
_SEED = 20
_CALIBRATION = ScancoCalibration(
    mu_scaling=8192.0, density_slope=1603.51904, density_intercept=-391.209015, mu_water=0.2409
)
_PERIOD = 20
_ROD = 6
_PLATE = 4


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
        What it is known to hold. The count of bone voxels comes from the geometry and the mean from the whole numbers
        that were written, neither from reading the file.
    """
    import numpy as np

    from xfworker.adapters.images.registry import image_formats

    x, y, z = (np.arange(count) % _PERIOD for count in SIZE)
    rods = (y[:, None] < _ROD) & (x[None, :] < _ROD)
    bone = rods[None, :, :] | (z < _PLATE)[:, None, None]
    noise = np.random.default_rng(_SEED).integers(-_NOISE, _NOISE, size=bone.shape, endpoint=True)
    values = (np.where(bone, _BONE, _BACKGROUND) + noise).astype(np.int16)
    voxels = bone_voxels()
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


def bone_voxels() -> int:
    """Count the bone voxels by arithmetic: whole plates, and rods between them."""
    plates = _covered(SIZE[2], _PLATE)
    rods = _covered(SIZE[0], _ROD) * _covered(SIZE[1], _ROD)
    return plates * SIZE[0] * SIZE[1] + (SIZE[2] - plates) * rods


def _covered(length: int, width: int) -> int:
    return length // _PERIOD * width + min(length % _PERIOD, width)
