"""A script in the official idiom whose outputs another program holds open, and whose pixels stay mapped."""

import json
import os
import sys

import numpy as np
import pytest

from xfworker.api.cli.main import main
from xfworker.api.facade import omni

pytestmark = pytest.mark.skipif(
    sys.platform != "win32" or "XFWORKER_TEST_SERVERS" not in os.environ,
    reason="elsewhere an open file can be replaced and removed",
)
OFFICIAL = """
import subprocess, sys
from pathlib import Path
import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
worker.progress(5)
inputs = worker.job['inputs']
image = worker.get_omni_image(inputs['image'])
values = image.pixels
seg_path = worker.create_related_path(image.metadata_path, '_seg.omni')
seg = image.derive_segments(seg_path, worker.create_related_path(image.metadata_path, '_seg.raw'))
seg.pixels[...] = values > inputs['threshold']
seg.save()
mask = seg.pixels
seg.pixels = mask * 127
seg.save()
worker.progress(50)
aim = worker.get_ipl_image_path(inputs['image'])
table = worker.create_output_path(image.metadata_path, '_counts.csv')
table.write_text('voxels;label\\n%d;bone\\n' % int((seg.pixels > 0).sum()), encoding='utf-8')
code = 'import sys; files = [open(name) for name in sys.argv[1:]]; print(1, flush=True); sys.stdin.read()'
holder = subprocess.Popen(
    [sys.executable, '-c', code, str(table), str(aim), str(seg_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
holder.stdout.readline()
worker.upload_output_file(table)
worker.upload_output_file(aim)
outputs = {
    'segments': worker.upload_omni_output(seg),
    'table': worker.create_output_csv(table.name),
    'aim': worker.create_output_foreign_file(aim.name),
    'max': int(values.max()),
}
worker.progress(100)
worker.finish(outputs)
"""


def test_outputs_that_another_program_has_open_and_pixels_still_mapped_reach_the_server(tmp_path, capfd):
    script = tmp_path / "segment.py"
    script.write_text(OFFICIAL, "utf-8")
    image = omni.create_image(tmp_path / "scan.omni", size=(6, 5, 4), pixel_type="int16", spacing_mm=(0.1, 0.1, 0.1))
    image.pixels = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    image.save()
    words = [f"image@{tmp_path / 'scan.omni'}", "threshold=99", "--data", str(tmp_path / "data"), "--json"]
    with pytest.raises(SystemExit) as ended:
        sys.exit(main(["run", str(script), *words, "--out", str(tmp_path / "results")]))
    shown = capfd.readouterr()
    assert not ended.value.code, shown.err
    job = json.loads(shown.out)
    assert (job["state"], job["outputs"]["max"]) == ("Done", 119)
    results = {path.suffix.lower(): path for path in (tmp_path / "results").rglob("*") if path.is_file()}
    assert int((omni.open_image(results[".omni"]).pixels == 127).sum()) == 20
    np.testing.assert_array_equal(omni.open_image(results[".aim"]).pixels[...], image.pixels)
    assert results[".csv"].read_text("utf-8").splitlines() == ["voxels;label", "20;bone"]
    assert "the working directory could not be removed" in shown.err
