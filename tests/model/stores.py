"""The machine over every kind of record store."""

from contextlib import ExitStack, contextmanager

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import text

from tests.contract.suites.postgresql import postgresql_server
from tests.model.machine import machine_over
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.sql.tables import METADATA
from xfworker.api.composition.platform import PlatformStorage, opened_records


@contextmanager
def over_memory(_):
    yield machine_over(MemoryRecordStore)


@contextmanager
def over_sqlite(folder):
    with _over(PlatformStorage(data=folder)) as machine:
        yield machine


@contextmanager
def over_postgresql(folder):
    with postgresql_storage(folder) as storage, _over(storage, announces_later=True) as machine:
        yield machine


@contextmanager
def postgresql_storage(folder):
    """Run PostgreSQL from its wheel; skips the test where that is not installed."""
    with postgresql_server() as server:
        yield PlatformStorage(data=folder, database=server.get_uri())


@contextmanager
def opened(storage, count):
    """Open the records as so many servers do."""
    with ExitStack() as stack:
        stores = [opened_records(storage) for _ in range(count)]
        for store in stores:
            stack.callback(store.close)
        yield stores


@contextmanager
def _over(storage, **options):
    records = opened_records(storage)

    def emptied():
        with records.engine.begin() as connection:
            for table in reversed(METADATA.sorted_tables):
                connection.execute(text(f"DELETE FROM {table.name}"))
        return records

    try:
        yield machine_over(emptied, lambda _: None, **options)
    finally:
        records.close()


STORES = {"memory": over_memory, "SQLite": over_sqlite, "PostgreSQL": over_postgresql}


def play(machine, examples, *, always_the_same, phases=tuple(Phase)):
    """Play random commands, so many times anew, and raise what the model did not expect as the shortest story."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=always_the_same,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=phases,
            report_multiple_bugs=False,
        ),
    )
