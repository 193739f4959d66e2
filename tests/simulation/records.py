"""The record store in memory, as a disk that fills up and a server that dies at any step of a transaction."""

from collections import Counter
from contextlib import contextmanager

import attrs

from tests.simulation.frozen import frozen, frozen_value
from tests.simulation.luck import Risks
from xfworker.adapters.memory.records import MemoryRecordStore, MemoryTransaction, _Kept
from xfworker.adapters.memory.table import Table
from xfworker.domain.errors import ServerFault
from xfworker.ports.record_store import Locking


class ServerDiedError(BaseException):
    """The server process ended here; whoever asked gets no answer."""


class SimulatedTransaction(MemoryTransaction):
    """Remembers what it wrote, and shares what it keeps, which nobody can change, in place of copies."""

    def __init__(self, kept, *, may_write):
        super().__init__(kept, may_write=may_write)
        self.changed = {}
        self.may_write = may_write

    def _table(self, kind):
        table = self._kept.tables.get(kind.collection)
        if table is None:
            table = self._kept.tables[kind.collection] = CountingTable(kind)
        return table

    _own = staticmethod(lambda record: record)
    _to_keep = staticmethod(frozen)

    def find(self, kind, where=None, *, after=None, limit=None):
        if where:
            return super().find(kind, where, after=after, limit=limit)
        table = self._table(kind)
        with table.uncounted():
            found = super().find(kind, where, after=after, limit=limit)
        # A database reads no more of them than one page.
        table.count((), len(found))
        return found

    def insert(self, record):
        made = super().insert(record)
        self.changed[type(made), made.serial] = True
        return made

    def replace(self, record):
        super().replace(record)
        self.changed[type(record), record.serial] = True

    def entry(self, key):
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def put_entry(self, key, value, *, at=None):
        super().put_entry(key, value, at=at)
        self._entries[key] = frozen_value(value), at


class CountingTable(Table):
    """
    Counts the records that are looked at, beside those that are asked for by their serial.

    Attributes:
        asked: How often the records were asked for by which fields.
        looked_at: How many that looked at.
        counts: Whether who asks now is counted.
    """

    def __init__(self, kind):
        super().__init__(kind)
        self.asked, self.looked_at = Counter(), Counter()
        self.counts = True

    def emptied(self):
        made = CountingTable(self._kind)
        made.asked, made.looked_at = self.asked, self.looked_at
        return made

    def matching(self, where):
        if not where:
            self.count((), len(self._records))
        return super().matching(where)

    def _candidates(self, conditions):
        found, decided = super()._candidates(conditions)
        self.count(tuple(name for name, _ in conditions), len(found))
        return found, decided

    def count(self, names, looked_at):
        if self.counts:
            self.asked[names] += 1
            self.looked_at[names] += looked_at

    @contextmanager
    def uncounted(self):
        """Let questions count for nobody meanwhile."""
        self.counts = False
        try:
            yield
        finally:
            self.counts = True


class _Transacting:
    """A transaction as a block: committed at its end, undone where it ends by an exception."""

    __slots__ = ("_records", "_transaction")

    def __init__(self, records, transaction):
        self._records, self._transaction = records, transaction

    def __enter__(self):
        return self._transaction

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self._transaction.undo()
            return
        trouble = None
        if self._transaction.changed:
            try:
                trouble = self._records.before_commit()
            except BaseException:
                self._transaction.undo()
                raise
        self._records.committed(self._transaction)
        if trouble is not None:
            raise ServerDiedError


class SimulatedRecords(MemoryRecordStore):
    """
    Records that outlive the servers.

    Attributes:
        watch: Is shown every record that a transaction wrote, when it has been committed.
        risks: What may go wrong where a transaction is committed.
        transactions: How many there were.
    """

    def __init__(self, luck, watch):
        super().__init__()
        self._luck = luck
        self._watch = watch
        self.risks = Risks(())
        self.serving = 0
        self.transactions = 0

    def join(self, settings):
        self.serving += 1
        return self.serving == 1

    def transaction(self, *, write=True, locking=Locking.EXCLUSIVE, of=None):
        return _Transacting(self, SimulatedTransaction(self._kept, may_write=write and locking is not Locking.SHARED))

    def before_commit(self):
        """Let the commit of what was written fail, now and then; what is given is to happen behind it."""
        trouble, _ = self._luck.befalls("records", self.risks)
        if trouble == "disk full":
            raise ServerFault("the database failed: the disk is full")
        if trouble == "server dies before commit":
            raise ServerDiedError
        return trouble

    def committed(self, transaction):
        """Show what was written to the ledger."""
        self._ready_count += transaction.may_write
        self.transactions += 1
        if transaction.changed:
            tables = self._kept.tables
            self._watch([tables[kind.collection].get(serial) for kind, serial in transaction.changed])

    def snapshot(self):
        """Give what is kept, as it is now."""
        kept = self._kept
        tables = {name: list(table.all()) for name, table in kept.tables.items()}
        return tables, dict(kept.last_serials), dict(kept.entries)

    def bring_back(self, snapshot, *, keep_serials, skipped):
        """
        Replace all that is kept by what a snapshot holds.

        Lock versions go on behind so many that may have been given since; serials behind those that were given, or, as
        on a new database, behind so many.
        """
        before, (tables, last_serials, entries) = self._kept, snapshot
        self._kept = kept = _Kept()
        skipping = {name: last + skipped for name, last in last_serials.items()}
        kept.last_serials.update(before.last_serials if keep_serials else skipping)
        kept.entries.update(entries)
        for name, table in before.tables.items():
            kept.tables[name] = emptied = table.emptied()
            for record in tables.get(name, ()):
                emptied.put(attrs.evolve(record, occ_lock_version=record.occ_lock_version + skipped))
        self._ready_count += 1

    def all_of(self, kind):
        """Give the records of a kind as they are, to be looked at only."""
        table = self._kept.tables.get(kind.collection)
        return [] if table is None else list(table.all())

    def questions(self):
        """Give how often which records were asked for by which fields, and how many of them that looked at."""
        asked, looked_at = Counter(), Counter()
        for name, table in self._kept.tables.items():
            for fields, times in table.asked.items():
                question = f"{name} by {' and '.join(fields)}" if fields else f"all {name}"
                asked[question], looked_at[question] = times, table.looked_at[fields]
        return asked, looked_at

    def count(self):
        """Give how many records there are."""
        return sum(len(table.all()) for table in self._kept.tables.values())

    def entry_keys(self):
        """Give what entries are kept under, and as of when."""
        return {key: at for key, (_, at) in self._kept.entries.items()}

    def matching(self, kind, **where):
        """Give the records of a kind that have these values, to be looked at only, which no job is charged with."""
        table = self._kept.tables.get(kind.collection)
        if table is None:
            return []
        with table.uncounted():
            return list(table.matching(where))
