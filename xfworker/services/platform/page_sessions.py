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
from xfworker.ports.token_signer import TokenSigner
from xfworker.services.platform.accounts import LOGIN_SECONDS, NO_ACCOUNT, NewToken, new_token
from xfworker.services.platform.principal import Principal, PrincipalKind

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
    _signer: TokenSigner

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
            "expires_at": format_time(expires_at),
            "session_ends": None if principal.expires_at is None else format_time(principal.expires_at),
        }
        with self._records.transaction() as transaction:
            transaction.put_entry(_entry_key(code), kept, at=now)
        return PageLink(path=f"/link/{code}", expires_at=expires_at)

    def begin(self, code: str) -> NewToken:
        """
        Begin the session that a link stands for; the link is used up.

        Raises:
            AuthenticationFailed: There is no such link, or it was used or has expired.
        """
        now = self._clock.now()
        with self._records.transaction() as transaction:
            key = _entry_key(code)
            kept = transaction.entry(key)
            transaction.delete_entry(key)
            if kept is not None and parse_time(kept["expires_at"]) > now:
                return self._session(transaction, kept, now)
        raise AuthenticationFailed("this link was used already or has expired; ask for a new one: xfworker user link")

    def end(self, principal: Principal) -> None:
        """Make the token that the caller came with useless."""
        if principal.token_key is not None:
            with self._records.transaction() as transaction:
                transaction.delete(PersonalToken, {"key": principal.token_key})

    def _session(self, transaction: RecordTransaction, kept: Any, now: datetime) -> NewToken:
        ends = [now + timedelta(seconds=LOGIN_SECONDS)]
        if kept["session_ends"] is not None:
            ends.append(parse_time(kept["session_ends"]))
        account = kept["account"]
        if account is None:
            kind = PrincipalKind.ADMIN
        else:
            transaction.get(Account, account)
            kind = PrincipalKind.USER
        token = PersonalToken(
            account_serial=account or NO_ACCOUNT,
            name=_SESSION,
            key=secrets.token_urlsafe(16),
            expires_at=min(ends),
            created_at=now,
            modified_at=now,
        )
        return new_token(transaction, self._signer, token, kind)


def _entry_key(code: str) -> str:
    # The code itself is a secret and is not kept.
    return f"page-link:{hashlib.sha256(code.encode('utf-8', 'replace')).hexdigest()}"
