"""``xfworker run`` from the command line: a script in the documented idiom, its server, its results on this disk."""

import json
import os
import sys

import numpy as np
import pytest

from xfworker.api.cli.main import main
from xfworker.api.facade import omni

pytestmark = pytest.mark.skipif(
    sys.platform != "win32" or "XFWORKER_TEST_SERVERS" not in os.environ,
    reason="elsewhere tests/e2e/test_run_command.py does this, with a server of its own",
)
SCRIPT = """
import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
inputs = worker.job["inputs"]
image = worker.get_omni_image(inputs["image"])
path = worker.create_related_path(image.metadata_path, "_mask.omni")
mask = image.derive_segments(path, path.with_suffix(".raw"))
mask.pixels[...] = image.pixels > inputs["threshold"]
mask.save()
count = int(mask.pixels.sum())
table = worker.create_temp_path("table ≤ 3.csv")
table.write_text("voxels;limit\\n%d;≤ 3 mm³\\n" % count, encoding="utf-8")
print("≤", count)
outputs = {
    "mask": worker.upload_omni_output(mask),
    "voxels": count,
    "table": worker.upload_output_file(table),
}
del image, mask
worker.finish(outputs)
"""


def test_a_script_in_the_documented_idiom_runs_from_the_command_line(tmp_path, capfd):
    folder = tmp_path / "Müller's scans"
    folder.mkdir()
    script = folder / "my threshold.py"
    script.write_text(SCRIPT, "utf-8")
    image = omni.create_image(folder / "scan.omni", size=(6, 5, 4), pixel_type="int16", spacing_mm=(0.1, 0.1, 0.1))
    image.pixels = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    image.save()
    del image
    words = [f"image@{folder / 'scan.omni'}", "threshold=99", "--data", str(tmp_path / "data"), "--json"]
    with pytest.raises(SystemExit) as ended:
        sys.exit(main(["run", str(script), *words, "--out", str(folder / "results")]))
    shown = capfd.readouterr()
    assert not ended.value.code, shown.err
    job = json.loads(shown.out)
    assert job["outputs"]["voxels"] == 20
    mask = next((folder / "results").rglob("*_mask.omni"))
    assert int(omni.open_image(mask).pixels.sum()) == 20
    assert "the working directory could not be removed" not in shown.err
