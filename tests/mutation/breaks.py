"""
Breaks the product in the places of ``tests/mutation/breaks.toml``, one at a time, and says which no test notices.

``python -m tests.mutation.breaks [WORD...] [--jobs 2] [--write docs/trust.md]``, where words choose the breaks whose
names hold one of them. Each names the tests that are to notice it; they run on a copy of the sources, in a process of
their own, so that the processes that they start are broken as well. Exits with 1 where a break is not noticed, and with
2 where that cannot be said: the text to be changed is not there once, or the tests fail, or are not there, without it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib.util import cache_from_source
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.trust_figures import table, write

BREAKS = Path("tests/mutation/breaks.toml")
_COPIED = ("xfworker", "tests", "examples", "docs", "pyproject.toml", "README.md", "CHANGELOG.md", "Makefile")
_SECONDS = 300
_WORDS = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly")


def listed(root=Path()):
    """Give the breaks: ``name``, ``file``, ``was``, ``becomes`` and ``tests`` of each."""
    with (root / BREAKS).open("rb") as file:
        return tomllib.load(file)["break"]


def broken(text, item):
    """Give a source as it is broken; raises ValueError where the break does not apply to it."""
    if text.count(item["was"]) != 1:
        raise ValueError(f"what it changes stands {text.count(item['was'])} times in {item['file']}")
    changed = text.replace(item["was"], item["becomes"])
    try:
        compile(changed, item["file"], "exec")
    except SyntaxError as error:
        raise ValueError(f"it makes {item['file']} unreadable: {error}") from None
    return changed


def main():
    arguments = argparse.ArgumentParser(prog="python -m tests.mutation.breaks", description=__doc__)
    arguments.add_argument("words", nargs="*", help="only breaks whose names hold one of these")
    arguments.add_argument("--jobs", type=int, default=2, help="how many at once")
    arguments.add_argument("--write", type=Path, help="put the table of all of them into this document")
    options = arguments.parse_args()
    chosen = [item for item in listed() if any(word in item["name"] for word in options.words or [""])]
    if not chosen:
        raise SystemExit("there is no such break")
    try:
        for item in chosen:
            broken(Path(item["file"]).read_text("utf-8"), item)
    except (OSError, ValueError) as error:
        sys.stdout.write(f"NOT COMPLETE: {item['name']}: {error}\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        trees = SimpleQueue()
        for number in range(options.jobs):
            tree = Path(folder) / str(number)
            for name in _COPIED:
                _copy(Path(name), tree / name)
            trees.put(tree)
        tree = trees.get()
        unbroken = _status(tree, sorted({test for item in chosen for test in item["tests"]}), seconds=None)
        trees.put(tree)
        if unbroken != pytest.ExitCode.OK:
            sys.stdout.write("NOT COMPLETE: the tests fail without any break, or are not there\n")
            return 2
        with ThreadPoolExecutor(options.jobs) as threads:
            statuses = list(threads.map(lambda item: _tried(trees, item), chosen))
    if options.write:
        if len(chosen) < len(listed()) or any(status != pytest.ExitCode.TESTS_FAILED for status in statuses):
            sys.stdout.write(f"{options.write} stays as it is: not all of them were tried and noticed\n")
        else:
            rows = [[item["name"], f"`{item['file']}`", *_shown(item["tests"])] for item in chosen]
            write(options.write, "make breaks", table(["break", "in", "noticed by"], rows))
    noticed = sum(status == pytest.ExitCode.TESTS_FAILED for status in statuses)
    sys.stdout.write(f"{noticed} of {len(chosen)} breaks are noticed\n")
    if any(status not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED} for status in statuses):
        return 2
    return 0 if noticed == len(chosen) else 1


def _shown(tests):
    """Give the names of tests as one cell of a table."""
    return ["; ".join(test.rpartition("::")[2].partition("[")[0].replace("_", " ") for test in tests)]


def _copy(source, target):
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    else:
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)


def _tried(trees, item):
    """Run the tests of one break, in a tree that nobody else uses meanwhile, and give their exit status."""
    tree = trees.get()
    path = tree / item["file"]
    text = path.read_text("utf-8")
    try:
        _put(path, broken(text, item))
        status = _status(tree, item["tests"])
    finally:
        _put(path, text)
        trees.put(tree)
    said = {pytest.ExitCode.OK: "NOT NOTICED", pytest.ExitCode.TESTS_FAILED: "noticed"}
    sys.stdout.write(f"{said.get(status, f'NOT COMPLETE ({status})')}: {item['name']}\n")
    sys.stdout.flush()
    return status


def _put(path, text):
    path.write_text(text, "utf-8")
    # Two changes within a second, to sources of one length, would look the same.
    Path(cache_from_source(str(path))).unlink(missing_ok=True)


def _status(tree, tests, *, seconds=_SECONDS):
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    environment.pop("PYTEST_ADDOPTS", None)
    base = tree.with_name(f"{tree.name}-made")
    command = [sys.executable, "-m", "pytest", *_WORDS, f"--basetemp={base}", *tests]
    try:
        run = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return pytest.ExitCode.TESTS_FAILED  # without it they take seconds
    if run.returncode not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        sys.stdout.write(run.stdout[-2000:] + run.stderr[-2000:])
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
