"""Takes a scan of any format that is read here and makes an OMNI image of it."""

import uuid

import omni

import xfworkerutil
from xfworker.domain.errors import ImageError

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]

path = worker.download_input_file(inputs["scan"])
try:
    scan = omni.open_image(path)
except ImageError as error:
    worker.error(f"The scan cannot be imported: {error}")

image = scan.derive_image(worker.create_related_path(path, ".omni"), worker.create_related_path(path, ".raw"))
for block in scan.blocks():
    image.pixels[block.start : block.stop] = block.inner
    worker.progress(100 * block.stop / scan.size[-1])
image.save()

name = inputs["sample"] or path.stem
worker.finish(
    {
        "image": worker.upload_omni_output(image),
        "sample": worker.create_output_entity(str(uuid.uuid4()), name),
    }
)
