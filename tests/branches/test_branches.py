"""The command that says what no test reaches: what it counts, what it leaves out, and when it says nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.branches.__main__ import figures, left_out, unread

ROOT = Path(__file__).parents[2]
DOCUMENT = "<!-- begin of what make coverage wrote -->\nold\n<!-- end of what make coverage wrote -->\n"
CONFIGURATION = """
[tool.coverage.run]
branch = true
source = ["xfworker"]
data_file = "build/coverage/data"
relative_files = true
parallel = true
[tool.coverage.report]
show_missing = true
"""
RULE = """
def rule(number):
    if number:
        return number
    return -1
    {more}
"""
TESTS = """
from pathlib import Path
from runpy import run_path

def test_a():
    rule = run_path("xfworker/domain/a.py")["rule"]
    {body}
"""


def measured(folder, body, more=""):
    """Measure a project of one rule; gives the exit status, what was printed, and the document."""
    files = {
        "xfworker/domain/a.py": RULE.format(more=more),
        "checks/test_a.py": TESTS.format(body=body),
        "pyproject.toml": CONFIGURATION,
        "trust.md": DOCUMENT,
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    words = ["-m", "tests.branches", "--write", "trust.md", "-p", "no:cacheprovider", "checks"]
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST_XDIST"))}
    environment = {**outer, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr, (folder / "trust.md").read_text()


def test_what_is_reached_is_written_and_a_killed_process_is_said(tmp_path):
    body = 'Path("build/coverage/data.x.pid1.Xa").touch()\n'
    body += "    assert (rule(1), rule(0)) == (1, -1)"
    status, output, document = measured(tmp_path, body, "spare()  # pragma: no cover - nothing comes here")
    assert status == 0, output
    assert "processes killed before they wrote what they reached, which counts as not reached: 1\n" in output
    assert "| `domain/` | 1 | 4 | 2 | 0 |" in document
    assert "| `xfworker/domain/a.py:6` | `spare()` | nothing comes here |" in document


def test_what_no_test_reaches_and_what_is_left_out_without_a_reason_fails(tmp_path):
    status, output, document = measured(tmp_path, "assert rule(1) == 1", "spare()  # pragma: no cover")
    assert status == 1
    assert re.search(r"^xfworker/domain/a\.py .* 5$", output, re.MULTILINE)
    assert "xfworker/domain/a.py:6: it is left out without a reason" in output
    assert "no test reaches what is listed above: 2 in all" in output
    assert "| `domain/` | 1 | 4 | 2 | 2 |" in document


def test_nothing_is_said_of_tests_that_fail(tmp_path):
    status, output, document = measured(tmp_path, "assert rule(1) == 2")
    assert status == 2
    assert "NOT COMPLETE: the tests failed" in output
    assert document == DOCUMENT


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", (1, 0)), (b"half of a database", (0, 1))],
)
def test_data_that_cannot_be_read_is_told_from_data_that_was_never_written(tmp_path, content, expected):
    (tmp_path / "data").write_bytes(b"combined")
    (tmp_path / "data.vm.pid1.Xa").write_bytes(content)
    (tmp_path / "data.vm.pid1.Xa-journal").write_bytes(b"x")
    killed, unreadable = unread(tmp_path)
    assert (killed, len(unreadable)) == expected


def test_a_reason_is_what_stands_behind_the_pragma(tmp_path):
    path = tmp_path / "a.py"
    path.write_text('if x:  # pragma: no cover - Windows only\nx = "pragma: no cover"\nwhile y:  # pragma: no branch\n')
    assert [(item.code, item.reason) for item in left_out([path])] == [("if x:", "Windows only"), ("while y:", "")]


def test_each_file_counts_once_in_the_part_that_it_lies_in():
    summary = {"num_statements": 3, "num_branches": 2, "missing_lines": 1, "missing_branches": 1}
    names = ("xfworker/domain/image/a.py", "xfworker/services/platform/a.py", "xfworker/services/a.py")
    assert [row[1:] for row in figures({name: {"summary": summary} for name in names})] == [[1, 3, 2, 2]] * 3
