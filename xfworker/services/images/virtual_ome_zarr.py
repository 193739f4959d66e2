"""
An image as an OME-Zarr 0.5 that is nowhere on a disk: its documents, and its chunks from the pyramid.

Zarr version 3 (zarr-specs.readthedocs.io) with the metadata of ngff.openmicroscopy.org/0.5. Before the pyramid is there
an image with raw pixels has its finest level only; others have to wait.
"""

from typing import TYPE_CHECKING, Any, Final

from xfworker.domain.errors import UsageError
from xfworker.domain.image.pyramid import Level, ngff_image
from xfworker.services.images.bricks import BRICK
from xfworker.services.images.viewed_image import ViewedImage

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_AXES: Final = "zyx"


def group_document(image: ViewedImage) -> dict[str, Any]:
    """
    Give the ``zarr.json`` of the group: the levels that are there, lengths in mm, calibrations, a first window.

    Raises:
        ServerBusy: No level is there yet.
    """
    info = image.info
    ome = ngff_image(info, _served(image), _AXES)
    window = image.window()
    if window is not None:
        limits = {"min": window.low, "max": window.high, "start": window.low, "end": window.high}
        ome["omero"] = {"channels": [{"label": info.path.name, "color": "FFFFFF", "active": True, "window": limits}]}
    own = {"calibrations": calibrations_of(image), "kind": info.kind, "labels": [dict(label) for label in info.labels]}
    return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, "xfworker": own}}


def array_document(image: ViewedImage, number: int) -> dict[str, Any]:
    """
    Give the ``zarr.json`` of a level's array ``(z, y, x)``.

    Raises:
        UsageError: There is no such level.
        ServerBusy: No level is there yet.
    """
    level = next((level for level in _served(image) if level.number == number), None)
    if level is None:
        raise UsageError(f"{image.info.path.name} has no level {number} (yet); ask for the group's zarr.json again.")
    order = {} if image.dtype.itemsize == 1 else {"configuration": {"endian": "little"}}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(level.shape),
        "data_type": image.info.pixel_type.value,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [BRICK] * 3}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", **order}],
        "attributes": {},
        "dimension_names": list(_AXES),
    }


def chunk_bytes(image: ViewedImage, number: int, z: int, y: int, x: int) -> bytes | None:
    """
    Give the bytes of a chunk; None where all its voxels are 0, which zarr takes of a chunk that is not there.

    Raises:
        UsageError: There is no such chunk.
        ServerBusy: The pyramid is not there (yet).
    """
    import numpy as np

    voxels = image.chunk(number, z, y, x)
    # Compared as bits: -0.0 is not what stands for an absent one.
    if not voxels.view(f"u{voxels.dtype.itemsize}").any():
        return None
    if voxels.shape != (BRICK,) * 3:
        whole: Pixels = np.zeros((BRICK,) * 3, voxels.dtype)
        whole[tuple(slice(count) for count in voxels.shape)] = voxels
        voxels = whole
    return little_endian(voxels)


def little_endian(voxels: "Pixels") -> bytes:
    """Give voxels as they travel: little-endian, in C order."""
    return voxels.astype(voxels.dtype.newbyteorder("<"), copy=False).tobytes()


def calibrations_of(image: ViewedImage) -> list[dict[str, Any]]:
    """Give the straight lines from raw values all the way to each unit."""
    lines = []
    for calibration in image.info.calibrations:
        slope, intercept = calibration.line()
        names = {"unit_type": calibration.unit_type, "unit_name": calibration.unit_name}
        lines.append({**names, "slope": slope, "intercept": intercept})
    return lines


def _served(image: ViewedImage) -> tuple[Level, ...]:
    levels = tuple(level for level in image.levels if image.has_chunks(level.number))
    if not levels:
        raise image.not_prepared()
    return levels
