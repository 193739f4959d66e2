"""
Breaks the code in every small way, one at a time, and says which breaks no test notices.

``python -m tests.mutation FILE... [--tests PATH...] [--write docs/trust.md]``. The score of a file is the part of its
mutants that a test notices. Exits with 1 where a score is below 0.9 or a mutant that nobody noticed is not explained
in ``tests/mutation/explained.toml``, and with 2 where a run was not complete, so that no score is taken for more than
it is. On Linux and macOS.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.running import KILLED, MutationRun
from tests.trust_figures import table, write

FLOOR = 0.9
RESULTS = Path("build/mutation")
EXPLAINED = Path("tests/mutation/explained.toml")
_CONTRACT = "tests/contract/test_memory_platform.py"
_PLATFORM = "xfworker/services/platform"


def _platform(*names):
    return [_CONTRACT, *(f"tests/unit/platform/test_{name}.py" for name in names)]


TESTS_OF = {
    f"{_PLATFORM}/access.py": _platform(
        "access", "accounts", "ownership", "file_rights", "look_alikes", "rights_matrix"
    ),
    f"{_PLATFORM}/leases.py": _platform("lost_leases", "lease_clocks", "bad_records", "ownership"),
    f"{_PLATFORM}/queue.py": _platform("claims", "ownership", "bad_records", "file_rights", "lease_clocks"),
    f"{_PLATFORM}/finishing.py": _platform("bad_records", "file_rights", "workflow_flow"),
    f"{_PLATFORM}/downstream.py": _platform("workflow_flow", "workflow_restarts", "flow_properties", "given_inputs"),
    f"{_PLATFORM}/restarts.py": _platform("workflow_restarts", "flow_properties", "workflow_flow"),
    f"{_PLATFORM}/file_rights.py": _platform("file_rights", "rights_matrix", "ownership"),
    f"{_PLATFORM}/isolation.py": _platform("large_values", "bad_records"),
    _PLATFORM: _platform("accounts", "bad_records", "claims", "file_rights", "ownership", "workflow_flow"),
    "xfworker/domain/scheduling.py": ["tests/unit/domain", *_platform("workflow_flow", "workflow_restarts")],
    "xfworker/domain": ["tests/unit/domain", _CONTRACT],
}
"""The quick tests that concern each part, where none are named; the most exact path counts."""


def main():
    arguments = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    arguments.add_argument("files", nargs="*", type=Path)
    arguments.add_argument("--tests", nargs="+", help="the tests to run; by default those that concern the file")
    arguments.add_argument("--jobs", type=int, default=2, help="how many mutants at once")
    arguments.add_argument("--write", type=Path, help="put the scores of all runs so far into this document")
    arguments.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.one:
        return _run(options.files[0], options.tests, options.jobs)
    worst = 0
    for path in options.files:
        tests = options.tests or _tests_of(path)
        command = [sys.executable, "-m", "tests.mutation", str(path), "--one", "--jobs", str(options.jobs)]
        worst = max(worst, subprocess.run([*command, "--tests", *tests], check=False).returncode)
    if options.write:
        write(options.write, "make mutation", _figures())
    return worst


def _tests_of(path):
    for part, tests in sorted(TESTS_OF.items(), key=lambda item: -len(item[0])):
        if path.is_relative_to(part):
            return tests
    raise SystemExit(f"name the tests that concern {path}: --tests PATH")


def _run(path, tests, jobs):
    run = MutationRun(path, tests, jobs)
    words = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", *tests]
    pytest.main(words, plugins=[run])
    if run.failure or len(run.verdicts) != len(run.found) or not run.found:
        reason = run.failure or f"{len(run.verdicts)} of {len(run.found)} mutants were tried"
        sys.stdout.write(f"NOT COMPLETE: {path}: {reason}\n")
        return 2
    killed = sum(verdict == KILLED for verdict, _ in run.verdicts.values())
    reasons = Counter((item["function"], item["was"], item["becomes"]) for item in _explained(path))
    survivors = [
        (run.found[number], why) for number, (verdict, why) in sorted(run.verdicts.items()) if verdict != KILLED
    ]
    open_ones = []
    for mutant, why in survivors:
        # One reason is good for one of several that look alike.
        if reasons[mutant.key]:
            reasons[mutant.key] -= 1
        else:
            open_ones.append((mutant, why))
    for mutant, why in open_ones:
        sys.stdout.write(f"SURVIVED: {path}, {mutant}{f' ({why})' if why else ''}\n")
    score = killed / len(run.found)
    sys.stdout.write(f"{path}: {killed} of {len(run.found)} mutants are noticed, {score:.3f}; "
                     f"{len(survivors) - len(open_ones)} explained, {len(open_ones)} open\n")  # fmt: skip
    RESULTS.mkdir(parents=True, exist_ok=True)
    figures = {"mutants": len(run.found), "killed": killed, "explained": len(survivors) - len(open_ones)}
    (RESULTS / f"{path.as_posix().replace('/', '.')}.json").write_text(json.dumps({"file": str(path), **figures}))
    return 1 if score < FLOOR or open_ones else 0


def _explained(path):
    with EXPLAINED.open("rb") as file:
        return [item for item in tomllib.load(file).get("mutant", []) if item["file"] == path.as_posix()]


def _figures():
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    rows = []
    for item in results:
        opened = item["mutants"] - item["killed"] - item["explained"]
        score = f"{item['killed'] / item['mutants']:.3f}"
        rows.append([f"`{item['file']}`", item["mutants"], item["killed"], score, item["explained"], opened])
    scores = table(["file", "mutants", "noticed", "score", "explained", "open"], rows)
    reasons = [
        [
            f"`{item['file']}`",
            f"`{item['function'] or 'the module'}`",
            f"`{item['was']}`",
            f"`{item['becomes']}`",
            item["why"],
        ]
        for result in results
        for item in _explained(Path(result["file"]))
    ]
    if not reasons:
        return scores
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in reasons]
    return f"{scores}\n\n{table(['file', 'function', 'was', 'becomes', 'why no test notices'], cells)}"


if __name__ == "__main__":
    sys.exit(main())
