"""Segments into an array that the image writes when it is saved."""

import xfcapture  # noqa: F401  the recorder

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
image = worker.get_omni_image(worker.job["inputs"]["image"])
raw = image.pixel_calibrations_of_unit_type("density")[0].calibrated_to_raw(worker.job["inputs"]["threshold"])
segments = image.derive_segments(
    worker.create_related_path(image.metadata_path, "_seg.omni"),
    worker.create_related_path(image.metadata_path, "_seg.raw"),
)
pixels = segments.array
pixels[:] = image.pixels >= raw
segments.save()
worker.finish({"segments": worker.upload_omni_output(segments), "voxels": int(pixels.sum())})
