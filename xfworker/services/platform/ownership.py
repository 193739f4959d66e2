"""Whose a task type or a worker's record is: whoever made it, and nobody else but administrators, may change it."""

from collections.abc import Mapping
from typing import Any

from xfworker.domain.bookkeeping import Account, PersonalToken
from xfworker.domain.record import Record
from xfworker.domain.records import TaskType, Worker
from xfworker.ports.record_store import RecordTransaction
from xfworker.services.platform.principal import Principal

OWNED = (TaskType, Worker)
"""Records that belong to no project, and yet not to everybody."""


def owner_of(transaction: RecordTransaction, record: Record) -> str | None:
    """Give the :attr:`.Principal.identity` of a record's owner; ``None`` where it is from before records had one."""
    return _owner_in(transaction.entry(owner_key(type(record), record.serial)))


def set_owner(transaction: RecordTransaction, record: Record, principal: Principal) -> None:
    """Give a record to a caller."""
    transaction.put_entry(owner_key(type(record), record.serial), {"owner": principal.identity})


def owns(transaction: RecordTransaction, principal: Principal, record: Record) -> bool:
    """Return whether a record belongs to a caller; to administrators everything does."""
    return principal.is_admin or owner_of(transaction, record) == principal.identity


def is_owner(principal: Principal, kept: Mapping[str, Any] | None) -> bool:
    """Return whether a record belongs to a caller, by what is kept under its :func:`owner_key`."""
    return principal.is_admin or _owner_in(kept) == principal.identity


def is_abandoned(transaction: RecordTransaction, record: Record) -> bool:
    """Return whether a record has no owner, or one who can never come in again because their token was revoked."""
    kind, _, name = (owner_of(transaction, record) or "").partition(":")
    return not kind or (kind == "token" and not transaction.find(PersonalToken, {"key": name}, limit=1))


def owner_name(transaction: RecordTransaction, record: Record) -> str:
    """Say whose a record is, for messages."""
    kind, _, name = (owner_of(transaction, record) or "").partition(":")
    if kind == "account":
        return transaction.get(Account, int(name)).name
    if kind == "token":
        tokens = transaction.find(PersonalToken, {"key": name}, limit=1)
        return f"worker {tokens[0].name}" if tokens else "a worker whose token was revoked"
    return f"job {name}" if kind == "job" else "the administrators"


def owner_key(kind: type[Record], serial: int) -> str:
    """Give the key under which it is kept whose a record is."""
    return f"owner:{kind.collection}/{serial}"


def _owner_in(kept: Mapping[str, Any] | None) -> str | None:
    return None if kept is None else str(kept["owner"])
