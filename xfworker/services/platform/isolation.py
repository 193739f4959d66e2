"""Keeps one record that cannot be handled from stopping what concerns all others."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

import structlog

from xfworker.domain.errors import RecordError
from xfworker.ports.record_store import RecordTransaction

Result = TypeVar("Result")

# What reading a record of an unexpected shape raises. What the database itself raises goes through: it is not the
# record's, and the transaction is over.
_UNUSABLE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, RecordError)

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.platform")


def isolated(
    transaction: RecordTransaction,
    what: str,
    work: Callable[[], Result],
    otherwise: Callable[[str], Result],
    *,
    writes: bool = True,
) -> Result:
    """
    Do one part of a transaction; where a record in it cannot be handled, undo the part and do something else.

    Args:
        transaction: The transaction, which goes on in both cases.
        what: What the part is about, for the log.
        work: The part.
        otherwise: Is given the reason in one line, and does instead what does not need the record.
        writes: Whether the part may write, so that there is something to undo.
    """
    try:
        with transaction.savepoint() if writes else nullcontext():
            return work()
    except _UNUSABLE as error:
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, RecordError) else str(error)
        _log.error("xfworker.record_unusable", what=what, reason=reason, exc_info=error)
        return otherwise(reason)
