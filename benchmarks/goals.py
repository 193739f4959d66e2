"""
Goals of the benchmarks: a figure, what it is held to, whether it is met; and the file that keeps the runs.

Every benchmark ends with one line per goal and exits with 1 when one is missed. What a benchmark could not measure,
because a program that it is held against is not installed, is a goal missed. ``--json`` prints one JSON document and
adds a line to ``benchmarks/history.jsonl``; ``python -m benchmarks.history`` writes ``docs/performance.md`` from it.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import define

from benchmarks.commit import commit

HISTORY = Path(__file__).with_name("history.jsonl")


@define(frozen=True)
class Goal:
    """
    One goal.

    Attributes:
        name: What is held against what.
        figure: What was measured; ``None`` where it could not be.
        limit: What it is held to.
        at_least: Whether more is better; otherwise less is.
        unit: The figure's unit; a ratio has none.
        reason: Why it could not be measured.
        spread: The quartiles of what the figure is the median of.
    """

    name: str
    figure: float | None
    limit: float
    at_least: bool = False
    unit: str = ""
    reason: str = ""
    spread: tuple[float, float] | None = None

    @property
    def met(self) -> bool:
        """Whether it is met; what was not measured is not."""
        if self.figure is None:
            return False
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    @property
    def sign(self) -> str:
        """``>=`` or ``<=``."""
        return ">=" if self.at_least else "<="

    def line(self) -> str:
        """Say all of it in a line."""
        unit = f" {self.unit}" if self.unit else ""
        measured = f"not measured ({self.reason})" if self.figure is None else f"{self.figure:.3g}{unit}"
        if self.spread is not None:
            measured += f" (quartiles {self.spread[0]:.3g} to {self.spread[1]:.3g})"
        return f"{self.name}: {measured}, goal {self.sign} {self.limit:g}{unit}: {'met' if self.met else 'MISSED'}"

    def document(self) -> dict[str, Any]:
        """Give what is written of it as JSON."""
        figure = None if self.figure is None else float(f"{self.figure:.4g}")
        named = {"goal": self.name, "figure": figure, "sign": self.sign, "limit": self.limit, "met": self.met}
        spread = {} if self.spread is None else {"spread": [float(f"{figure:.4g}") for figure in self.spread]}
        unit, reason = {"unit": self.unit} if self.unit else {}, {"reason": self.reason} if self.reason else {}
        return named | spread | unit | reason


def benchmark_parser(description: str | None) -> argparse.ArgumentParser:
    """Give the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything; figures are rougher")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document, and add this run to benchmarks/history.jsonl"
    )
    return parser


def conclude(
    benchmark: str, goals: Sequence[Goal], options: argparse.Namespace, figures: Mapping[str, Any] | None = None
) -> int:
    """
    End a benchmark: print its goals, and with ``--json`` the document, which is kept.

    Args:
        benchmark: Its name, as in ``python -m benchmarks.NAME``.
        goals: What was measured.
        options: As :func:`benchmark_parser` gave them.
        figures: What else belongs in the document.

    Returns:
        The exit code: 0 where all goals are met, else 1.
    """
    if options.json:
        run = _run(benchmark, goals, quick=options.quick)
        print(json.dumps({**run, "figures": figures or {}}, indent=1))
        with HISTORY.open("a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")
    for goal in goals:
        print(goal.line(), file=sys.stderr if options.json else sys.stdout)
    return 0 if all(goal.met for goal in goals) else 1


def _run(benchmark: str, goals: Sequence[Goal], *, quick: bool) -> dict[str, Any]:
    return {
        "benchmark": benchmark,
        "quick": quick,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "goals": [goal.document() for goal in goals],
    }


def machine() -> str:
    """Name this machine by what makes figures differ, not by what it is called."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.partition(":") for line in info.read_text("utf-8").splitlines())
        model = next((value.strip() for name, _, value in lines if name.strip() == "model name"), model)
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def with_byte_code(**more: str) -> dict[str, str]:
    """Give the environment of a measured process: this one's, but byte code is kept as an installed package has it."""
    return {**{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}, **more}
