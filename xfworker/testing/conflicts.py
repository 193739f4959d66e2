"""Lost races on demand: another client changes a record just before a script does."""

from typing import Any

from xfworker.domain.change import Change, pointer
from xfworker.domain.records import Record, Task, Workflow
from xfworker.ports.xf_server import XFServer

_COUNT = "changed_by_somebody_else"
"""The key in a record's metadata that counts the changes which a test asked for."""


def get_ahead(server: XFServer, kind: type[Record], serial: int) -> None:
    """
    Change a record as another client would, so that its lock version moves on and the next guarded change is too late.

    Args:
        server: With rights to change it.
        kind: The class of the record.
        serial: Which record. A task is guarded by its workflow, so that is what changes.
    """
    record: Any = server.get(kind, serial)
    guarded: Any = server.get(Workflow, record.workflow_serial) if isinstance(record, Task) else record
    count = guarded.metadata.get(_COUNT, 0) + 1
    server.update(type(guarded), guarded.serial, Change(values={pointer("metadata", _COUNT): count}))
