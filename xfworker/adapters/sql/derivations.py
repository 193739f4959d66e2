"""What services derive from a workflow's tasks, kept as long as the tasks and their task types stay as they are."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import text

from xfworker.adapters.sql.prepared import Prepared, Runner
from xfworker.domain.records import Record, Task, TaskState, TaskType

Derived = TypeVar("Derived")

_MOST_WORKFLOWS = 256

# Every change of a record has a later time or a higher version; a task that comes or goes changes the sums.
_STATE = f"""
    SELECT count(*), sum(tasks.serial), sum(tasks.occ_lock_version), max(tasks.modified_at), sum(length(tasks.inputs)),
        sum(task_types.serial), sum(task_types.occ_lock_version), max(task_types.modified_at),
        sum(length(task_types.interface))
    FROM tasks LEFT JOIN task_types ON task_types.serial = tasks.task_type_serial
    WHERE tasks.workflow_serial = :workflow AND tasks.state = '{TaskState.ACTIVE.value}'
    """  # noqa: S608  made of constants
_STATE_OF_TASKS = Prepared(text(_STATE))


class KeptDerivations:
    """What was derived from the workflows that were asked for last, with the state of the tasks that it is made of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[Sequence[Any], Any]] = OrderedDict()

    def get(self, workflow_serial: int, state: Sequence[Any]) -> tuple[Any] | None:
        with self._lock:
            kept = self._kept.get(workflow_serial)
            if kept is None or kept[0] != state:
                return None
            self._kept.move_to_end(workflow_serial)
            return (kept[1],)

    def put(self, workflow_serial: int, state: Sequence[Any], derived: Any) -> None:
        with self._lock:
            self._kept[workflow_serial] = (state, derived)
            self._kept.move_to_end(workflow_serial)
            if len(self._kept) > _MOST_WORKFLOWS:
                self._kept.popitem(last=False)


class Derivations:
    """The same as one transaction sees it: what it wrote itself is not kept, because it may be undone."""

    def __init__(self, kept: KeptDerivations) -> None:
        self._kept = kept
        self._now: dict[int, Any] = {}
        self._has_written = False

    def note_write(self, record: Record) -> None:
        """Record that the transaction writes a record."""
        if isinstance(record, Task | TaskType):
            self._has_written = True
            self._now.clear()

    def derived(self, runner: Runner, workflow_serial: int, make: Callable[[], Derived]) -> Derived:
        """Give what was made of a workflow's tasks, made anew where they have changed."""
        if self._has_written:
            return make()
        if workflow_serial not in self._now:
            self._now[workflow_serial] = self._of_before(runner, workflow_serial, make)
        return cast("Derived", self._now[workflow_serial])

    def _of_before(self, runner: Runner, workflow_serial: int, make: Callable[[], Any]) -> Any:
        [state] = runner.rows(_STATE_OF_TASKS, {"workflow": workflow_serial})
        kept = self._kept.get(workflow_serial, state)
        if kept is not None:
            return kept[0]
        derived = make()
        self._kept.put(workflow_serial, state, derived)
        return derived
