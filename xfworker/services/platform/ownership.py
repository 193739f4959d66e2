"""Whose a task type or a worker's record is: whoever made it, and nobody else but administrators, may change it."""

from xfworker.domain.bookkeeping import Account, PersonalToken
from xfworker.domain.record import Record
from xfworker.domain.records import TaskType, Worker
from xfworker.ports.record_store import RecordTransaction
from xfworker.services.platform.principal import Principal

OWNED = (TaskType, Worker)
"""Records that belong to no project, and yet not to everybody."""


def owner_of(transaction: RecordTransaction, record: Record) -> str | None:
    """Give the :attr:`.Principal.identity` of a record's owner; ``None`` where it is from before records had one."""
    kept = transaction.entry(_key(record))
    return None if kept is None else str(kept["owner"])


def set_owner(transaction: RecordTransaction, record: Record, principal: Principal) -> None:
    """Give a record to a caller."""
    transaction.put_entry(_key(record), {"owner": principal.identity})


def owns(transaction: RecordTransaction, principal: Principal, record: Record) -> bool:
    """Return whether a record belongs to a caller; to administrators everything does."""
    return principal.is_admin or owner_of(transaction, record) == principal.identity


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


def _key(record: Record) -> str:
    return f"owner:{record.collection}/{record.serial}"
