"""Messages about what files take; the answers are the domain's own classes."""

from typing import ClassVar

from attrs import define, field

from xfworker.adapters.wire.codec import Message
from xfworker.adapters.wire.field_types import Serial


@define(frozen=True, kw_only=True)
class FileDeletionRequest(Message):
    """Whose files are to go: those of runs, and those of the jobs of no run of obsolete workflows."""

    closed: ClassVar[bool] = True

    runs: list[Serial] = field(factory=list)
    workflows: list[Serial] = field(factory=list)
    dry_run: bool = False
    make_obsolete: bool = False
