"""Bone is where the density reaches a threshold."""

import numpy as np

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]

image = worker.get_omni_image(inputs["image"])
densities = image.pixel_calibrations_of_unit_type("Density")
if not densities:
    worker.error(f"{image.metadata_path.name} has no density calibration, so a threshold in mg HA/ccm means nothing.")
least = densities[0].calibrated_to_raw(inputs["threshold"])

segments = image.derive_segments(
    worker.create_output_path(image.metadata_path, "_seg.omni"),
    worker.create_output_path(image.metadata_path, "_seg.raw"),
    labels=[{"value": 1, "name": "bone"}],
)
for block in image.blocks():
    segments.pixels[block.start : block.stop] = np.greater_equal(block.inner, least)
    worker.progress(100 * block.stop / image.size[-1])
segments.save()

worker.finish({"segments": worker.upload_omni_output(segments)})
