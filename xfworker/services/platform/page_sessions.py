"""Sessions of the page: begun by a password or by a link that works once, ended by signing out."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from attrs import define, field

from xfworker.domain.bookkeeping import Account, PersonalToken
from xfworker.domain.conversion import format_time, parse_time
from xfworker.domain.errors import AuthenticationFailed
from xfworker.ports.clock import Clock
from xfworker.ports.record_store import RecordStore, RecordTransaction
from xfworker.services.platform.principal import ADMIN, Principal, PrincipalKind
from xfworker.services.platform.sign_ins import SignInBy, log_sign_in
from xfworker.services.platform.signing_in import PendingSignIn, SigningIn
from xfworker.services.platform.tokens import NO_ACCOUNT, NewToken, Sessions

LINK_SECONDS = 600.0
"""How long a link that signs somebody in works, where nobody follows it."""

_SESSION = "page"


@define(frozen=True)
class PageLink:
    """A path of the page that signs its owner in, once."""

    path: str = field(repr=False)
    expires_at: datetime


@define
class PageSessions:
    """Begins and ends sessions of the page; a session is a token with a record, by which it is revoked."""

    _records: RecordStore
    _clock: Clock
    _sessions: Sessions
    _signing_in: SigningIn | None

    def link(self, principal: Principal) -> PageLink:
        """
        Make a link that signs the caller in on the page, once, within ten minutes.

        Raises:
            PermissionDenied: The caller is a script or a worker.
        """
        principal.require(PrincipalKind.USER, to="sign in on the page")
        code = secrets.token_urlsafe(32)
        now = self._clock.now()
        expires_at = now + timedelta(seconds=LINK_SECONDS)
        kept: dict[str, Any] = {
            "account": principal.account_serial,
            "by": principal.claims(),
            "expires_at": format_time(expires_at),
            "session_ends": None if principal.expires_at is None else format_time(principal.expires_at),
        }
        with self._records.transaction() as transaction:
            self._sessions.require_let_in(transaction, principal, now)
            transaction.put_entry(_entry_key(code), kept, at=now)
        return PageLink(path=f"/link/{code}", expires_at=expires_at)

    def begin(self, code: str, *, address: str = "") -> NewToken | PendingSignIn:
        """
        Begin the session that a link stands for, or say that a second factor is to come; the link is used up.

        Args:
            code: What the link holds.
            address: From where it is followed.

        Raises:
            AuthenticationFailed: There is no such link, it was used, or it or the token that asked for it ended.
            SecondFactorMissing: The account has to set up a second factor first.
        """
        now = self._clock.now()
        with self._records.transaction() as transaction:
            key = _entry_key(code)
            kept = transaction.entry(key)
            transaction.delete_entry(key)
            if kept is not None and parse_time(kept["expires_at"]) > now:
                return self._session(transaction, kept, now, address)
        raise AuthenticationFailed("this link was used already or has expired; ask for a new one: xfworker user link")

    def end(self, principal: Principal) -> None:
        """Make the token that the caller came with useless."""
        if principal.token_key is not None:
            with self._records.transaction() as transaction:
                transaction.delete(PersonalToken, {"key": principal.token_key})

    def _session(
        self, transaction: RecordTransaction, kept: Any, now: datetime, address: str
    ) -> NewToken | PendingSignIn:
        ends = None if kept["session_ends"] is None else parse_time(kept["session_ends"])
        if "key" in kept.get("by", ()):
            # Whoever ended the token, by a new password or otherwise, ended what it was to lead to.
            self._sessions.principal(transaction, kept["by"], now)
        if kept["account"] is not None and self._signing_in is not None:
            account = transaction.get(Account, kept["account"])
            return self._signing_in.after_link(transaction, account, ends, now, address=address)
        log_sign_in(transaction, ADMIN.name, SignInBy.LINK, address=address, succeeded=True, now=now)
        kind = PrincipalKind.ADMIN
        return self._sessions.begin(transaction, NO_ACCOUNT, kind, now, name=_SESSION, address=address, ends_by=ends)


def _entry_key(code: str) -> str:
    # The code itself is a secret and is not kept.
    return f"page-link:{hashlib.sha256(code.encode('utf-8', 'replace')).hexdigest()}"
