"""
No call of one system is made on another: this project as Windows and macOS see it, on the Linux that plays them.

That each call has its twin is what the type checker says for all three (``make check``); what is tried here is that
nothing is missed at import, and that what has a twin works by it.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.portability.simulated_platform import VARIABLE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux plays the others")
ROOT = Path(__file__).parents[2]
IMPORT_ALL = """
import importlib, os, pkgutil, sys
from tests.portability.simulated_platform import VARIABLE, simulate
simulate(os.environ[VARIABLE])
import xfworker
assert sys.platform != "linux"
for module in pkgutil.walk_packages(xfworker.__path__, "xfworker."):
    if not any(part in module.name for part in ("migrations", "__main__", "script_module", "demo.packages")):
        importlib.import_module(module.name)
import xfworkerutil
print(len(sys.modules))
"""
ON_MACOS = (
    "tests/contract/test_filesystems.py",
    "tests/contract/test_job_runners.py",
    "tests/contract/test_file_stores.py::TestFolderFileStore",
    "tests/unit/transfers/test_spans.py",
    "tests/unit/images/test_images_as_a_whole.py",
)


def run_on(system, *words):
    environment = {**os.environ, VARIABLE: system, "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_every_module_can_be_imported(system):
    done = run_on(system, "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr


def test_macos_works_by_what_it_has(tmp_path):
    # The twins for Windows are calls of Windows, which the tests under a Windows Python make.
    plugin = ("-p", "tests.portability.simulated_platform", "-p", "no:cacheprovider", "-p", "no:xdist")
    done = run_on("darwin", "-m", "pytest", *plugin, f"--basetemp={tmp_path / 'tests'}", *ON_MACOS)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
