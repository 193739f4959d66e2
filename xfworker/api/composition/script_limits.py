"""What keeps the scripts of a worker to their memory and cores on this computer: the system, or the worker itself."""

import sys

from attrs import define

from xfworker.adapters.process.control_groups import ControlGroups, usable_control_groups


@define(frozen=True)
class ScriptLimits:
    """
    What keeps scripts to their limits.

    Attributes:
        control_groups: The control groups that do, or ``None``.
        description: The same for people, and why there are no groups where there are none.
    """

    control_groups: ControlGroups | None
    description: str


def script_limits(*, allowed: bool = True, prepare: bool = False) -> ScriptLimits:
    """
    Find what keeps scripts to their limits.

    Args:
        allowed: Whether control groups may be used.
        prepare: Make them usable for the worker that this process is; else nothing is changed.
    """
    if sys.platform == "win32":
        return ScriptLimits(None, "job objects (memory)")
    groups = usable_control_groups() if allowed else "worker.control_groups is false"
    refused = groups if isinstance(groups, str) else (groups.prepare() if prepare else None)
    if isinstance(groups, str) or refused is not None:
        return ScriptLimits(None, f"the worker, which looks at their memory ten times a second; {refused}")
    return ScriptLimits(groups, str(groups))
