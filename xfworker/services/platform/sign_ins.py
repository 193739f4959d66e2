"""The log of sign-ins: who came in or tried to, when, from where and how."""

from datetime import datetime, timedelta
from enum import StrEnum

from attrs import define

from xfworker.domain.records import ActivityEvent
from xfworker.ports.record_store import RecordTransaction
from xfworker.services.event_log import EventLog
from xfworker.services.platform.activity import SOURCE

SIGN_IN = "SignIn"
"""The type of the events of sign-ins; no caller writes one."""

SHOWN_DAYS = 90
"""For how long sign-ins are listed."""

_UNKNOWN = "failed-sign-in"
_LONGEST_ADDRESS = 64

_log = EventLog("xfworker.sign_in")


class SignInBy(StrEnum):
    """How somebody signs in."""

    PASSWORD = "password"  # noqa: S105  the name of a way
    PASSWORD_AND_CODE = "password and code"  # noqa: S105  as above
    PASSWORD_AND_RECOVERY_CODE = "password and recovery code"  # noqa: S105  as above
    LINK = "link"
    LINK_AND_CODE = "link and code"
    LINK_AND_RECOVERY_CODE = "link and recovery code"


@define(frozen=True, kw_only=True)
class SignIn:
    """
    A try to sign in.

    Attributes:
        at: When (UTC).
        address: From which address, as the server sees it.
        by: How.
        succeeded: Whether they came in.
    """

    at: datetime
    address: str
    by: str
    succeeded: bool


def log_sign_in(
    transaction: RecordTransaction, name: str, by: SignInBy, *, address: str, succeeded: bool, now: datetime
) -> None:
    """Log that somebody signed in to an account, or was refused."""
    address = address[:_LONGEST_ADDRESS]
    what = "signed in" if succeeded else "was refused"
    event = ActivityEvent(
        title=f"{name} {what} by {by} from {address or 'this server'}",
        level="INFO" if succeeded else "WARNING",
        type=SIGN_IN,
        source=SOURCE,
        payload={"address": address, "by": by.value, "succeeded": succeeded},
        user=name,
        created_at=now,
        modified_at=now,
    )
    transaction.insert(event)
    write = _log.info if succeeded else _log.warning
    write("xfworker.signed_in" if succeeded else "xfworker.sign_in_refused", account=name, by=by.value, address=address)


def log_unknown_name(transaction: RecordTransaction, *, address: str, now: datetime) -> None:
    """
    Log that somebody tried a name that no account has.

    The name is left out: people type passwords there. What is written takes as long as the event of an account would,
    so that the time of the answer does not say which names there are, and does not grow.
    """
    transaction.put_entry(_UNKNOWN, {"address": address[:_LONGEST_ADDRESS]}, at=now)
    _log.warning("xfworker.sign_in_refused", account=None, by=SignInBy.PASSWORD.value, address=address)


def log_too_many(*, address: str) -> None:
    """Log that a try was not taken, because there were too many before."""
    _log.warning("xfworker.sign_in_slowed_down", address=address[:_LONGEST_ADDRESS])


def sign_ins_of(transaction: RecordTransaction, name: str, now: datetime) -> list[SignIn]:
    """List the tries to sign in to an account in the last 90 days, the newest first."""
    since = now - timedelta(days=SHOWN_DAYS)
    events = transaction.modified_since(ActivityEvent, {"user": name, "type": SIGN_IN}, since)
    return [
        SignIn(
            at=event.created_at or now,
            address=event.payload["address"],
            by=event.payload["by"],
            succeeded=event.payload["succeeded"],
        )
        for event in reversed(events)
    ]
