"""How much bone there is and how dense it is."""

import numpy as np

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]

image = worker.get_omni_image(inputs["image"])
segments = worker.get_omni_image(inputs["segments"])
if image.size != segments.size:
    worker.error(f"The image has size {image.size}, but its segments have size {segments.size}.")
density = image.pixel_calibrations_of_unit_type("Density")[0]

voxels = 0
total = 0.0
for values, labels in zip(image.blocks(slices=16), segments.blocks(slices=16), strict=True):
    bone = labels.inner != 0
    voxels += int(np.count_nonzero(bone))
    total += float(values.inner[bone].sum(dtype=np.float64))
    worker.progress(100 * values.stop / image.size[-1])
if not voxels:
    worker.error("There is no bone in these segments.")

voxel_mm3 = float(np.prod(image.spacing_mm))
worker.finish(
    {
        "volume_fraction": voxels / image.pixels_count,
        "bone_volume": voxels * voxel_mm3,
        "mean_density": density.raw_to_calibrated(total / voxels),
    },
    units={"bone_volume": "mm3", "mean_density": "mg HA/ccm"},
)
