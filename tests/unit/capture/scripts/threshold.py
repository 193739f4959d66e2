"""Segments an image above a threshold that is stated in a unit, as official scripts do."""

import numpy as np
import xfcapture  # noqa: F401  the recorder

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]
image = worker.get_omni_image(inputs["image"])
calibrations = image.pixel_calibrations_of_unit_type(inputs["unit"])
if not calibrations:
    worker.error(f"The image has no calibration to {inputs['unit']}.")
threshold = calibrations[0].calibrated_to_raw(inputs["threshold"])
seg_omni = worker.create_related_path(image.metadata_path, "_seg.omni")
seg_raw = worker.create_related_path(image.metadata_path, "_seg.raw")
segments = image.derive_segments(seg_omni, seg_raw)
x, y, z = image.size_3d_tuple
pixels = np.fromfile(image.metadata_path.with_suffix(".raw"), np.int16).reshape(z, y, x)
(pixels >= threshold).astype(np.uint8).tofile(seg_raw)
segments.save()
worker.progress(90)
print("above", threshold, int((pixels >= threshold).sum()))
out = worker.upload_omni_output(segments)
worker.finish({"segments": out, "voxels": int((pixels >= threshold).sum())}, {"voxels": "1"})
