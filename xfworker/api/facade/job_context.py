"""What the methods of a job share: its session, its record and the way it is saved."""

import os
import sys
import threading
import weakref
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from xfworker.api.facade.connection import Connection, ServerConnection
from xfworker.api.facade.record_dict import RecordDict, record_dict
from xfworker.api.facade.working_directory import TemporaryWorkingDirectory
from xfworker.domain.change import SERVER_FIELDS, Change
from xfworker.domain.conversion import field_names, to_json
from xfworker.domain.errors import UsageError
from xfworker.domain.job import Job
from xfworker.domain.record import Record
from xfworker.services.script.saving import save_intent
from xfworker.services.script.session import Session


class JobContext:
    """
    One job and what it works with.

    Attributes:
        job: The job's record. Edits of it are saved by the next save.
        working_dir: The job's temporary directory.
    """

    job: RecordDict
    working_dir: TemporaryWorkingDirectory

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.RLock()
        _fork_between_uses(self._lock)
        self._ended = False
        self._units: dict[str, str] = {}
        self.job = record_dict(session.server.get(Job, session.arguments.job_serial))
        self.working_dir = TemporaryWorkingDirectory.on(session.filesystem, f"xf-job-{session.arguments.job_serial}-")

    @property
    def session(self) -> Session:
        """The ports that the job works with."""
        return self._session

    def _connection(self) -> Connection:
        return ServerConnection(self._session)

    def _metadata(self) -> dict[str, Any]:
        metadata = self.job.get("metadata")
        if not isinstance(metadata, dict):
            metadata = self.job["metadata"] = {}
        return metadata

    def _save(self, values: Mapping[str, Any] | None = None) -> RecordDict:
        with self._lock:
            check_fields(Job, self.job.came, {**self.job.added(), **(values or {})}, "save_job")
            edits = self.job.edits(values)
            if edits:
                intent = Change(
                    values=edits.values, removals=edits.removals, expected_version=self.job["occ_lock_version"]
                )
                fresh = save_intent(self._session.server, self._session.clock, Job, self.job["serial"], intent)
                self.job.take(to_json(fresh), saved=intent)
            return self.job


def _fork_between_uses(lock: AbstractContextManager[bool]) -> None:
    """Let a fork wait for the lock: a child would find it held for ever by a thread that it does not have."""
    if not hasattr(os, "register_at_fork"):
        return
    still = weakref.ref(lock)

    def acquire() -> None:
        held = still()
        if held is not None:
            held.__enter__()

    def release() -> None:
        held = still()
        if held is not None:
            held.__exit__(None, None, None)

    os.register_at_fork(before=acquire, after_in_parent=release, after_in_child=release)


def check_fields(kind: type[Record], record: Mapping[str, Any], values: Mapping[str, Any], what: str) -> None:
    """
    Refuse names that are not fields of the record, before a typing error is saved beside the field that was meant.

    A name that the record came with is allowed, since a server may be newer than this package.

    Raises:
        UsageError: Naming the fields there are.
    """
    for name in values:
        if name in SERVER_FIELDS:
            raise UsageError(f"{what}: {name} of {kind.a_noun()} is set by the server only")
        known = field_names(kind) - SERVER_FIELDS
        if name not in known and name not in record:
            raise UsageError(
                f"{what}: {kind.a_noun()} has no field {name!r}; its fields are {', '.join(sorted(known))}"
            )


def log_line(line: str) -> None:
    """Write a line to the script's log."""
    sys.stderr.write(f"xfworker: {line}\n")
