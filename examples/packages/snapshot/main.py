"""A slice as a picture, with bone in colour."""

import numpy as np
from PIL import Image

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]

image = worker.get_omni_image(inputs["image"])
segments = worker.get_omni_image(inputs["segments"])
slices = image.size[-1]
index = slices // 2 if inputs["slice"] is None else inputs["slice"]
if index >= slices:
    worker.error(f"There is no slice {index}; the image has {slices}.")

values = np.asarray(image.pixels[index], dtype=np.float32)
bone = np.asarray(segments.pixels[index]) != 0
low, high = float(values.min()), float(values.max())
grey = ((values - low) * (255.0 / max(high - low, 1.0))).astype(np.uint8)
picture = np.stack([grey, grey, grey], axis=-1)
picture[bone] = picture[bone] * 0.6 + np.array([255, 190, 90]) * 0.4

path = worker.create_output_path(image.metadata_path, f"_z{index}.png")
Image.fromarray(picture, mode="RGB").save(path)
worker.upload_output_file(path)
worker.finish({"snapshot": worker.create_output_bitmap(path.name)})
