import numpy as np
import pytest

HEAD = "import xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\ninputs = worker.job['inputs']\n"
SEGMENT = f"""{HEAD}
import numpy as np

image = worker.get_omni_image(inputs["image"])
mask = np.asarray(image.pixels) > inputs["threshold"]
segments = image.derive_segments(worker.create_temp_path("seg.omni"), worker.create_temp_path("seg.raw"))
segments.pixels = mask.astype(np.uint8)
segments.save()
worker.finish({{"segments": worker.upload_omni_output(segments), "bvtv": float(mask.mean())}})
"""


@pytest.fixture
def array():
    return np.random.default_rng(7).integers(0, 1000, (5, 6, 7)).astype(np.int16)


@pytest.fixture
def segment(tmp_path):
    path = tmp_path / "segment.py"
    path.write_text(SEGMENT)
    return path
