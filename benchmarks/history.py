"""
Write ``docs/performance.md`` from the runs in ``benchmarks/history.jsonl``: ``python -m benchmarks.history``.

Of each benchmark and machine the newest run counts, and a full one before a quick one.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.goals import HISTORY

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_HEAD = """# Performance

This page is written by `python -m benchmarks.history` from `benchmarks/history.jsonl`, to which each run of a benchmark
with `--json` adds a line. Goals are ratios to other programs, measured side by side in one run, wherever a time or a
rate would say more of the machine than of the code. Measure your own with `python -m benchmarks.NAME [--quick]
[--json]`; a goal missed is exit code 1, and so is one that could not be measured. A figure with a range is the median
of pairs that were measured right behind each other, and the range their quartiles.
"""


def runs(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Give the runs that count, in the order of the benchmarks' names."""
    chosen: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        if not line.strip():
            continue
        run = json.loads(line)
        key = (run["benchmark"], run["machine"])
        if key not in chosen or (not run["quick"], run["date"]) >= (not chosen[key]["quick"], chosen[key]["date"]):
            chosen[key] = run
    return [chosen[key] for key in sorted(chosen)]


def page(chosen: Iterable[Mapping[str, Any]]) -> str:
    """Give the page."""
    return _HEAD + "".join("\n" + "\n".join(_section(run)) + "\n" for run in chosen)


def _section(run: Mapping[str, Any]) -> Iterator[str]:
    yield f"## benchmarks.{run['benchmark']}"
    yield ""
    load = "" if run["load"] is None else f", load {run['load']} at its end"
    yield (
        f"{'Quick run' if run['quick'] else 'Run'} of {run['date'][:10]}, commit `{run['commit']}`, on {run['machine']}"
        f"{load}."
    )
    yield ""
    yield "| goal | figure | limit | |"
    yield "|---|---|---|---|"
    for goal in run["goals"]:
        unit = f" {goal['unit']}" if goal.get("unit") else ""
        figure = f"not measured: {goal['reason']}" if goal["figure"] is None else f"{goal['figure']:.3g}{unit}"
        if "spread" in goal:
            figure += " ({:.3g} to {:.3g})".format(*goal["spread"])
        yield f"| {goal['goal']} | {figure} | {goal['sign']} {goal['limit']:g}{unit} | {_word(goal)} |"


def _word(goal: Mapping[str, Any]) -> str:
    return "met" if goal["met"] else "**missed**"


def main() -> int:
    if not HISTORY.exists():
        print(f"{HISTORY} does not exist; run a benchmark with --json first", file=sys.stderr)
        return 1
    PAGE.write_text(page(runs(HISTORY.read_text("utf-8").splitlines())), "utf-8")
    print(f"wrote {PAGE}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
