"""
What transactions keep each other from on a PostgreSQL that several processes share.

All locks are advisory ones of the transaction, so they end with it, however the process ends. A writer of one workflow
holds the lock of all records together with other such writers, and that of its workflow alone; a writer of anything
else holds the lock of all records alone. Both are taken in this order, so nobody waits in a circle.
"""

from functools import cache

from sqlalchemy import text

from xfworker.adapters.sql.prepared import Prepared, Runner
from xfworker.adapters.sql.tables import table_name
from xfworker.domain.records import Record, Workflow
from xfworker.ports.record_store import Locking

# Any numbers that no other program on the same database is likely to choose.
_ALL = 0x78667772
_WORKFLOWS = 0x7866 << 48
_NAMES = 0x78666E6D
_MAX_SERIAL = 2**63

Owner = tuple[type[Record], int]
"""A workflow, or something that is in one."""


def lock(runner: Runner, locking: Locking, of: Owner | None) -> bool:
    """
    Wait for the locks of a transaction that begins, and give whether it has them.

    It has not where ``of`` is not there: what is in no workflow is locked with all records only.
    """
    if locking is Locking.ROWS:
        return True
    shared = locking is Locking.SHARED
    if of is None:
        runner.rows(_all(shared=shared), {"all": _ALL})
        return True
    if not -_MAX_SERIAL <= of[1] < _MAX_SERIAL:
        return False
    values = {"all": _ALL, "workflows": _WORKFLOWS, "serial": of[1]}
    [(workflow, *_)] = runner.rows(_workflow(table_name(of[0]), shared=shared), values)
    return workflow is not None


def lock_name(runner: Runner, name: str) -> None:
    """Wait for the lock of a name before anything else is read."""
    runner.later(_NAME, {"names": _NAMES, "name": name})


@cache
def _all(*, shared: bool) -> Prepared:
    return Prepared(text(f"SELECT pg_advisory_xact_lock{'_shared' if shared else ''}(:all)"))


@cache
def _workflow(table: str, *, shared: bool) -> Prepared:
    serial = "serial" if table == table_name(Workflow) else "workflow_serial"
    # The record is looked for first, and which workflow it is in never changes.
    statement = f"""
        WITH owner AS MATERIALIZED (SELECT {serial} AS workflow FROM {table} WHERE serial = :serial)
        SELECT workflow, everything, pg_advisory_xact_lock{"_shared" if shared else ""}(:workflows + workflow)
        FROM (
            SELECT (SELECT workflow FROM owner) AS workflow, pg_advisory_xact_lock_shared(:all)::text AS everything
            OFFSET 0
        ) AS first
        """  # noqa: S608  made of constants
    return Prepared(text(statement))


_NAME = Prepared(text("SELECT pg_advisory_xact_lock(:names, hashtext(:name))"))
