"""
Segment an image between two thresholds that are stated in a unit.

Inputs: image (Image), unit_type (String), lower and upper (Float; upper may be unset). Output: segments (Image).
"""

import numpy as np

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]

image = worker.get_omni_image(inputs["image"])
unit_type = inputs["unit_type"] or image.default_pixel_calibration_unit_type
calibrations = image.pixel_calibrations_of_unit_type(unit_type) if unit_type else []
if not calibrations:
    worker.error(f"The image has no calibration to {unit_type}.")
lower = calibrations[0].calibrated_to_raw(inputs["lower"])
upper = np.inf if inputs["upper"] is None else calibrations[0].calibrated_to_raw(inputs["upper"])

segments = image.derive_segments(
    worker.create_related_path(image.metadata_path, "_seg.omni"),
    worker.create_related_path(image.metadata_path, "_seg.raw"),
    labels=[{"value": 1, "name": "inside"}],
)
for block in image.blocks():
    segments.pixels[block.start : block.stop] = (block.inner >= lower) & (block.inner <= upper)
    worker.progress(block.stop / image.size[-1] * 100)
segments.save()

worker.finish({"segments": worker.upload_omni_output(segments)})
