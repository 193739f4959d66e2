"""
Fuzzes every parser: ``python -m tests.fuzz [--seconds N] [--up-to N] [--parser NAME] [--write docs/trust.md]``.
With ``--turn COMMIT`` it is the one parser whose turn that is. What is written is also kept, in ``executions.json``.

Each parser has a process of its own, guided by what its code has reached (atheris). The inputs that reached something
new are kept in ``build/fuzz`` and begun from the next time. Exits with 1 at the first finding, whose input is kept;
put it into ``tests/fuzz/findings/NAME``, where every run of the tests reads it again.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.parsers import PARSERS
from tests.trust_figures import table, write

CORPUS = Path("build/fuzz")
TOTALS = Path("tests/fuzz/executions.json")
"""How often each was run; a part of the repository, so that they can be counted on any computer."""
_NO_LIMIT = -1
_DONE = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


def main():
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    arguments.add_argument("--seconds", type=int, default=60, help="how long each parser is fuzzed")
    arguments.add_argument("--up-to", type=int, help="go on with a parser only until it had so many executions")
    which = arguments.add_mutually_exclusive_group()
    which.add_argument("--parser", action="append", choices=PARSERS, help="only this one; may be given again")
    which.add_argument(
        "--turn",
        type=_commit,
        help="only one, which this commit chooses, so that each has its turn",
    )
    arguments.add_argument("--write", type=Path, help="put the executions of all runs so far into this document")
    options = arguments.parse_args()
    if find_spec("atheris") is None:
        sys.stderr.write("atheris is not installed; it is in the extra: pip install -e '.[fuzz]' (Linux only)\n")
        return 1
    totals = json.loads(TOTALS.read_text()) if TOTALS.exists() else {}
    names = options.parser or list(PARSERS)
    if options.turn is not None:
        names = [names[options.turn % len(names)]]
    for name in names:
        remaining = _NO_LIMIT if options.up_to is None else options.up_to - totals.get(name, 0)
        if remaining != _NO_LIMIT and remaining <= 0:
            continue
        executions, output = fuzz(name, options.seconds, remaining)
        totals[name] = totals.get(name, 0) + (executions or 0)
        if options.write:
            TOTALS.write_text(json.dumps(totals, indent=2) + "\n")
        if executions is None:
            found = "ERROR: libFuzzer" in output or "Uncaught Python exception" in output
            end = f"FINDING in {name}; its input is in {CORPUS / name}-findings" if found else f"NOT RUN: {name}"
            sys.stdout.write(f"{output[-6000:]}\n{end}\n")
            return 1
        sys.stdout.write(f"{name}: {executions:,} executions, {totals[name]:,} in all\n")
        sys.stdout.flush()
    if options.write:
        rows = [[name, f"{totals.get(name, 0):,}"] for name in PARSERS]
        write(options.write, "make fuzz", table(["parser", "executions"], rows))
    return 0


def _commit(name):
    try:
        return int(name, 16)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{name!r} is not the hexadecimal name of a commit") from None


def fuzz(name, seconds, runs):
    """Give the number of executions, or ``None`` where the run did not come to its end; and what it printed."""
    memory = Path("/dev/shm")
    # Made and removed here: libFuzzer ends its process without letting it clean up.
    with tempfile.TemporaryDirectory(prefix="xfworker-fuzz-", dir=memory if memory.is_dir() else None) as scratch:
        words = [name, str(seconds), str(runs), str(CORPUS / name), scratch]
        command = [sys.executable, "-m", "tests.fuzz.one", *words]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    output = done.stdout + done.stderr
    match = _DONE.search(output)
    return (int(match[1]) if match and done.returncode == 0 else None), output


if __name__ == "__main__":
    sys.exit(main())
