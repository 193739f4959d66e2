"""Registers two images; the transform comes from their sizes."""

import xfcapture  # noqa: F401  the recorder

import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]
fixed, moving = (worker.get_omni_image(inputs[key], download_only_metadata=True) for key in ("image", "image2"))
shift = [a - b for a, b in zip(fixed.size_3d_tuple, moving.size_3d_tuple)]
transform = [1.0, 0.0, 0.0, shift[0], 0.0, 1.0, 0.0, shift[1], 0.0, 0.0, 1.0, shift[2], 0.0, 0.0, 0.0, 1.0]
with worker.working_dir.subdir("registration"):
    path = worker.create_temp_path("transform.txt")
    path.write_text(" ".join(map(str, transform)))
worker.upload_output_file(path)
result = worker.create_output_registration_result(transform, image1=inputs["image"], image2=inputs["image2"])
worker.finish({"registration": result})
