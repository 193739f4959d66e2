import subprocess
import sys
from importlib.metadata import entry_points
from textwrap import dedent

import pytest

pytest_plugins = ("pytester",)

SCRIPT = """
import numpy as np
import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
image = worker.get_omni_image(worker.job["inputs"]["image"])
mask = np.asarray(image.pixels) > worker.job["inputs"]["threshold"]
segments = image.derive_segments(worker.create_temp_path("seg.omni"), worker.create_temp_path("seg.raw"))
segments.pixels = mask.astype(np.uint8)
segments.save()
worker.finish({"segments": worker.upload_omni_output(segments), "bvtv": float(mask.mean())})
"""
TEST = """
import numpy as np

def test_threshold(run_task, xf_snapshot):
    image = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    xf_snapshot(run_task("segment.py", image=image, threshold={threshold}))
"""


@pytest.fixture
def project(pytester, monkeypatch):
    pytester.makepyfile(segment=SCRIPT)
    # Other plugins take longer to load than the test takes.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(threshold, *options):
        pytester.makepyfile(test_segment=TEST.format(threshold=threshold))
        # A process of its own, because the plugin is loaded in this one already.
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "xfworker.testing.pytest_plugin", *options)

    return run


def test_a_snapshot_is_written_once_and_compared_from_then_on(project, pytester):
    missing = project(30)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*there is no snapshot*--xf-update-snapshots*"])
    project(30, "--xf-update-snapshots").assert_outcomes(passed=1)
    place = pytester.path / "__snapshots__" / "test_segment" / "test_threshold" / "outputs"
    assert sorted(path.name for path in (place / "files").iterdir()) == ["seg.omni", "seg.raw"]
    project(30).assert_outcomes(passed=1)
    different = project(33)
    different.assert_outcomes(failed=1)
    different.stdout.fnmatch_lines(
        ["*outputs.bvtv: expected 0.48*, got 0.43*", "*files?'seg.omni'?: 3 of 60 voxels differ (5 %)*"]
    )
    # A failed comparison changes nothing.
    project(30).assert_outcomes(passed=1)


def test_a_snapshot_does_not_hold_serials(project, pytester):
    project(30, "--xf-update-snapshots").assert_outcomes(passed=1)
    text = next(pytester.path.glob("__snapshots__/**/outputs.json")).read_text()
    assert '"job_serial": "this job"' in text


def test_pytest_finds_the_plugin_by_itself():
    (found,) = entry_points(group="pytest11", name="xfworker")
    assert found.value == "xfworker.testing.pytest_plugin"


def test_loading_the_plugin_imports_nothing_heavy():
    code = dedent(
        """
        import sys
        import pytest
        before = set(sys.modules)
        import xfworker.testing.pytest_plugin
        loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(*sorted(loaded & {"numpy", "urllib3", "structlog", "attrs", "attr", "cattrs", "litestar", "PIL", "ssl"}))
        """
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""


def test_every_published_name_can_be_imported():
    import xfworker.testing

    for name in xfworker.testing.__all__:
        assert getattr(xfworker.testing, name).__module__.startswith("xfworker.testing.")
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = xfworker.testing.no_such_name
