"""Segments slab by slab, with methods of images that no documentation names."""

import numpy as np
import xfcapture  # noqa: F401  the recorder

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
with worker.working_dir as folder:
    assert folder == worker.working_dir.path
inputs = worker.job["inputs"]
image = worker.get_omni_image(inputs["image"])
raw = image.pixel_calibrations_of_unit_type("density")[0].calibrated_to_raw(inputs["threshold"])
whole, kind = image.load()
mask = np.zeros(whole.shape, np.uint8)
for index, slab in image.slabs():
    mask[index] = slab >= raw
segments = image.derive_segments(
    worker.create_related_path(image.metadata_path, "_seg.omni"),
    worker.create_related_path(image.metadata_path, "_seg.raw"),
)
segments.store(mask)
worker.finish({"segments": worker.upload_omni_output(segments), "voxels": int(mask.sum()), "kind": kind})
