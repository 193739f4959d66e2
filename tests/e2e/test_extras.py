"""What an extra of the package brings suffices for what it is for: nothing else is needed to be installed."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import xfworkerutil
worker = xfworkerutil.XFWorkerJob()
worker.finish({"doubled": 2 * worker.job["inputs"]["n"]})
"""
TESTS = """
def test_in_process(run_task):
    assert run_task("double.py", n=2).outputs["doubled"] == 4

def test_as_a_process(run_task):
    assert run_task("double.py", n=2, subprocess=True).outputs["doubled"] == 4
"""
BLOCKER = """
import importlib.abc, json, os, sys

class Blocked(importlib.abc.MetaPathFinder):
    names = frozenset(json.loads(os.environ["BLOCKED_MODULES"]))

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r} (not part of the extra)", name=name)

sys.meta_path.insert(0, Blocked())
"""


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def own_requirements():
    """Read them where they are written: what is installed in place may be older."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield from project["dependencies"]
    for extra, needs in project["optional-dependencies"].items():
        for need in needs:
            words, marker = need.partition(";")[::2]
            yield f"{words}; extra == '{extra}'" + (f" and ({marker})" if marker else "")


def requirements(name):
    try:
        return distribution(name).requires or ()
    except PackageNotFoundError:  # for another system or version of Python
        return ()


def brought(*extras):
    """Give the distributions that ``pip install xfworker[extras]`` installs, by what each says of itself."""
    found, open_ends = set(), [("xfworker", frozenset(extras))]
    while open_ends:
        name, chosen = end = open_ends.pop()
        if end in found:
            continue
        found.add(end)
        needs = own_requirements() if name == "xfworker" else requirements(name)
        for need in map(Requirement, needs):
            markers = [{"extra": extra} for extra in chosen or {""}]
            if need.marker is None or any(need.marker.evaluate(marker) for marker in markers):
                open_ends.append((normal(need.name), frozenset(need.extras)))
    return {name for name, _ in found}


@pytest.fixture
def only(tmp_path):
    """Run Python with nothing but the distributions of some extras."""
    (tmp_path / "blocker").mkdir()
    (tmp_path / "blocker" / "sitecustomize.py").write_text(BLOCKER)
    (tmp_path / "double.py").write_text(SCRIPT)
    (tmp_path / "test_double.py").write_text(TESTS)

    def run(extras, *words):
        here = brought(*extras)
        blocked = [
            module
            for module, owners in packages_distributions().items()
            if not here & {normal(owner) for owner in owners}
        ]
        assert "hypothesis" in blocked
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("XF", "PYTEST"))}
        environment |= {
            "BLOCKED_MODULES": json.dumps(blocked),
            "PYTHONPATH": os.pathsep.join([str(tmp_path / "blocker"), str(ROOT)]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_the_command_line_and_the_server_run_a_script(only):
    done = only(["cli", "server"], "xfworker", "run", "double.py", "n=4", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"] == {"doubled": 8}


def test_the_test_kit_runs_scripts_in_both_ways(only):
    done = only(["test-kit"], "pytest", "-p", "xfworker.testing.pytest_plugin", "test_double.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_without_the_server_a_sentence_says_what_to_install(only):
    done = only(["cli"], "xfworker", "run", "double.py", "n=4")
    assert done.returncode == 1
    assert "pip install 'xfworker[server]'" in done.stderr
    assert "Traceback" not in done.stderr
