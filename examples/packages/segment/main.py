"""Bone is where the density reaches a threshold and most neighbours agree."""

import numpy as np

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]


def majority(mask: np.ndarray) -> np.ndarray:
    """Give for each voxel whether most of its 3 x 3 x 3 neighbourhood is set; beyond the border nothing is."""
    count = mask.astype(np.uint8)
    for axis in range(3):
        width = [(1, 1) if axis == other else (0, 0) for other in range(3)]
        padded = np.pad(count, width)
        length = count.shape[axis]
        count = sum(np.take(padded, range(shift, shift + length), axis=axis) for shift in range(3))
    return count > 13


image = worker.get_omni_image(inputs["image"])
densities = image.pixel_calibrations_of_unit_type("Density")
if not densities:
    worker.error(f"{image.metadata_path.name} has no density calibration, so a threshold in mg HA/ccm means nothing.")
least = densities[0].calibrated_to_raw(inputs["threshold"])

segments = image.derive_segments(
    worker.create_related_path(image.metadata_path, "_seg.omni"),
    worker.create_related_path(image.metadata_path, "_seg.raw"),
    labels=[{"value": 1, "name": "bone"}],
)
for block in image.blocks(halo=1):
    mask = np.greater_equal(block.pixels, least)
    segments.pixels[block.start : block.stop] = block.inner_of(majority(mask) if inputs["smooth"] else mask)
    worker.progress(100 * block.stop / image.size[-1])
segments.save()

worker.finish({"segments": worker.upload_omni_output(segments)})
