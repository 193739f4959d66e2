"""
Says which lines and branches of the rules no test reaches: ``python -m tests.branches [--write DOCUMENT] TEST...``.

The processes that tests start count as well. What is left out, because it cannot run on this system, has its reason
beside it (``# pragma: no cover - REASON``). Exits with 1 where something is not reached, or is left out without a
reason, and with 2 where the run was not complete: a test failed, or what a process reached cannot be read.

A process that a test kills leaves no data, or an empty file where it was about to write some. The run is complete all
the same: what such a process alone has reached counts as not reached, so that no figure is higher for it.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from attrs import define

from tests.trust_figures import table, write

DATA = Path("build/coverage")
PARTS = {
    "`domain/`": "xfworker/domain/",
    "`services/platform/`": "xfworker/services/platform/",
    "the other `services/`": "xfworker/services/",
}
"""The first that a file lies in counts."""
_PRAGMA = re.compile(r"^\s*(?P<code>.*\S)\s+# pragma: no (?:cover|branch)\b[ -]*(?P<reason>.*)$")


@define(frozen=True)
class LeftOut:
    """A line that does not count, with all that belongs to it."""

    place: str
    code: str
    reason: str


def main():
    arguments = argparse.ArgumentParser(prog="python -m tests.branches", description=__doc__)
    arguments.add_argument("--write", type=Path, help="put the figures into this document")
    options, tests = arguments.parse_known_args()
    shutil.rmtree(DATA, ignore_errors=True)
    if _coverage("run", "-m", "pytest", *tests):
        sys.stderr.write("NOT COMPLETE: the tests failed, so that it cannot be said what they reach\n")
        return 2
    _coverage("combine", "--quiet")
    killed, unreadable = unread(DATA)
    if unreadable:
        named = "".join(f"  {path}\n" for path in unreadable)
        sys.stderr.write(f"NOT COMPLETE: what these processes reached cannot be read; run it again:\n{named}")
        return 2
    if killed:
        sys.stdout.write(
            f"processes killed before they wrote what they reached, which counts as not reached: {killed}\n"
        )
    if _coverage("report") or _coverage("json", "--quiet", "-o", str(DATA / "report.json")):
        sys.stderr.write("NOT COMPLETE: there is nothing to report\n")
        return 2
    files = json.loads((DATA / "report.json").read_text("utf-8"))["files"]
    omitted = left_out(map(Path, sorted(files)))
    rows = figures(files)
    result = table(["rules", "files", "statements", "branches", "not reached"], rows)
    sys.stdout.write(f"{result}\n")
    if options.write:
        reasons = [[f"`{item.place}`", f"`{item.code}`", item.reason] for item in omitted]
        listed = table(["left out", "code", "because"], reasons) if reasons else "Nothing is left out."
        write(options.write, "make coverage", f"{result}\n\n{listed}")
    unexplained = [item for item in omitted if not item.reason]
    for item in unexplained:
        sys.stderr.write(f"{item.place}: it is left out without a reason\n")
    missing = sum(row[-1] for row in rows)
    if missing:
        sys.stderr.write(f"no test reaches what is listed above: {missing} in all, of lines and branches\n")
    return 1 if missing or unexplained else 0


def unread(folder):
    """Give how many files of data are empty, and which others are left because they could not be combined."""
    left = [path for path in sorted(folder.glob("data.*")) if not path.name.endswith("-journal")]
    unreadable = [path for path in left if path.stat().st_size]
    return len(left) - len(unreadable), unreadable


def left_out(paths):
    """Give what the comments of these sources leave out."""
    found = []
    for path in paths:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            match = _PRAGMA.match(line)
            if match:
                found.append(LeftOut(f"{path.as_posix()}:{number}", match["code"], match["reason"].strip()))
    return found


def figures(files):
    """Give a row for each part: files, statements, branches, and how many of both are not reached."""
    rows = {part: [0, 0, 0, 0] for part in PARTS}
    for name, file in files.items():
        part = next(part for part, folder in PARTS.items() if Path(name).as_posix().startswith(folder))
        summary = file["summary"]
        counted = (
            1,
            summary["num_statements"],
            summary["num_branches"],
            summary["missing_lines"] + summary["missing_branches"],
        )
        rows[part] = [total + more for total, more in zip(rows[part], counted, strict=True)]
    return [[part, *row] for part, row in rows.items() if row[0]]


def _coverage(*words):
    return subprocess.run([sys.executable, "-m", "coverage", *words], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
