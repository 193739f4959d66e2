"""
The smallest and the largest value of an image, within a mask where there is one.

Inputs: image (Image), mask (Image; may be unset). Outputs: min and max (Float), report (ForeignFile).
"""

import json

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]

image = worker.get_omni_image(inputs["image"])
values = image.pixels[:]
if inputs["mask"] is not None:
    mask = worker.get_omni_image(inputs["mask"])
    if mask.size_3d_tuple != image.size_3d_tuple:
        raise ValueError(f"The mask has {mask.size_3d_tuple} voxels, the image {image.size_3d_tuple}.")
    values = values[mask.pixels[:] != 0]
    if values.size == 0:
        raise ValueError("The mask is empty.")
lo, hi = values.min(), values.max()

path = worker.create_temp_path("minmax.json")
path.write_text(json.dumps({"min": float(lo), "max": float(hi)}), encoding="utf-8")
worker.upload_output_file(path)

worker.finish({"min": lo, "max": hi, "report": worker.create_output_foreign_file(path.name)})
