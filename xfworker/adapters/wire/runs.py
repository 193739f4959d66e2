"""Messages of workflow control."""

from typing import Any, ClassVar

from attrs import define, field
from attrs.converters import optional

from xfworker.adapters.wire.codec import Message
from xfworker.adapters.wire.field_types import Serial
from xfworker.domain.records import RunPriority


@define(frozen=True, kw_only=True)
class RunCopy(Message):
    """How the copy of a run is called; by default as the run."""

    closed: ClassVar[bool] = True

    name: str = ""


@define(frozen=True, kw_only=True)
class AppendedTask(Message):
    """A task that is to follow a job."""

    closed: ClassVar[bool] = True

    task_type_serial: Serial
    inputs: list[dict[str, Any]]
    name: str = ""


@define(frozen=True, kw_only=True)
class RunStart(Message):
    """What a run is started with."""

    closed: ClassVar[bool] = True

    inputs: dict[str, Any] | None = field(default=None, converter=optional(dict))
    outputs: dict[str, Any] | None = field(default=None, converter=optional(dict))
    entity: dict[str, Any] | None = field(default=None, converter=optional(dict))
    task_serial: Serial | None = None
    name: str = ""
    priority: RunPriority = RunPriority.NORMAL
