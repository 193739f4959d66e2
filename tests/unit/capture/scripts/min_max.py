"""The smallest and largest value within a mask, by way of a JSON file as a program would write it."""

import json

import numpy as np
import xfcapture  # noqa: F401  the recorder

import xfworkerutil


class Job(xfworkerutil.XFWorkerJob):
    """A class of the script's own."""

    def both(self, *keys):
        return [self.job["inputs"][key] for key in keys]


worker = Job()
assert worker.both("unit", "mode") == ["density", "dirname"]
inputs = worker.job["inputs"]
image = worker.get_omni_image(inputs["image"])
values = np.fromfile(image.metadata_path.with_suffix(".raw"), np.int16)
if inputs["mask"] is not None:
    mask = worker.get_omni_image(inputs["mask"])
    values = values[np.fromfile(mask.metadata_path.with_suffix(".raw"), np.uint8) != 0]
path = worker.create_temp_path("minmax.json")
path.write_text(json.dumps({"min": float(values.min()), "max": float(values.max())}), encoding="utf-8")
found = json.loads(path.read_text(encoding="utf-8"))
worker.upload_output_file(path)
worker.finish({**found, "report": worker.create_output_foreign_file(path.name)})
