"""The record store in memory, as a disk that fills up and a server that dies at any step of a transaction."""

from contextlib import contextmanager

from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.errors import ServerFault
from xfworker.ports.record_store import Locking


class ServerDiedError(BaseException):
    """The server process ended here; whoever asked gets no answer."""


class SimulatedRecords(MemoryRecordStore):
    """
    Records that outlive the servers.

    Attributes:
        watch: Is shown every record that a transaction wrote, when it has been committed.
        strikes: Whether something goes wrong at a place.
    """

    def __init__(self, luck, watch, chances):
        super().__init__()
        self._luck = luck
        self._watch = watch
        self._chances = chances
        self.serving = 0

    def join(self, settings):
        self.serving += 1
        return self.serving == 1

    @contextmanager
    def transaction(self, *, write=True, locking=Locking.EXCLUSIVE, of=None):
        changed = {}
        with super().transaction(write=write, locking=locking, of=of) as inner:
            self._observe(inner, changed)
            yield inner
            if changed:
                if self._luck.strikes("records/disk full", self._chances["disk full"]):
                    raise ServerFault("the database failed: the disk is full")
                if self._luck.strikes("records/died before commit", self._chances["server dies"]):
                    raise ServerDiedError
        if changed:
            self._watch([self._tables[kind.collection].get(serial) for kind, serial in changed])
            if self._luck.strikes("records/died after commit", self._chances["server dies"]):
                raise ServerDiedError

    def _observe(self, inner, changed):
        replace, insert = inner.replace, inner.insert

        def replacing(record):
            replace(record)
            changed[type(record), record.serial] = True

        def inserting(record):
            made = insert(record)
            changed[type(made), made.serial] = True
            return made

        inner.replace, inner.insert = replacing, inserting

    def all_of(self, kind):
        """Give the records of a kind as they are, to be looked at only."""
        return list(self._tables.get(kind.collection, {}).values())
