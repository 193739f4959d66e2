"""What a script meets when it asks a capture for what is not in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from xfworker.domain.errors import XFWorkerError
from xfworker.services.capture.calls import described


class NotRecorded(XFWorkerError):
    """A script asked for something that its job did not ask when it was captured."""

    code = "not-recorded"


def not_recorded(name: str, args: Mapping[str, Any], nearest: Sequence[str]) -> NotRecorded:
    """Say which call was never recorded, and which recorded ones are the nearest."""
    known = "the nearest recorded calls: " + "; ".join(nearest) if nearest else "no call like it was recorded"
    return NotRecorded(f"{described(name, args)} was never asked when the job was captured; {known}")
