"""
How a script's process reports to its runner how it ended, beyond what it saved on the job.

The codes are this project's; they lie where neither Python (1, 2), shells (126-165) nor ``sysexits.h`` (64-78) put
theirs.
"""

from enum import IntEnum


class ScriptExit(IntEnum):
    """Exit codes of a task script."""

    FINISHED = 0
    """``finish`` was called and the server has the outputs."""
    ERROR_REPORTED = 81
    """``error`` was called: the script said itself what is wrong."""
    HANDED_OVER = 83
    """``switch_to_interactive_mode`` was called: a person goes on."""
