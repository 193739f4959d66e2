"""Tokens that have a record: made for a program, a worker or a session, and read by who brings them."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import attrs
from attrs import define, field

from xfworker.domain.bookkeeping import Account, PersonalToken
from xfworker.domain.errors import AuthenticationFailed, RecordNotFound
from xfworker.ports.clock import Clock
from xfworker.ports.record_store import Locking, RecordStore, RecordTransaction
from xfworker.ports.token_signer import TokenSigner
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.principal import ADMIN, Principal, PrincipalKind

NO_ACCOUNT = 0
"""What stands for an account where a token is not an account's: a worker's, or a session of the server's owner."""

ENDED_TOKENS_KEPT = timedelta(days=30)
"""So long after its end a token is still in lists, so that its owner sees what ended; then it is deleted."""

_ENDED = "the token was revoked or has expired; log in again or ask for a new one"
_USES_KEPT = 60
"""A session's last use is exact to so small a part of the time after which it ends unused."""


@define(frozen=True)
class NewToken:
    """A token that was just made; its string is shown only now."""

    record: PersonalToken
    text: str = field(repr=False)


def new_token(
    transaction: RecordTransaction, signer: TokenSigner, record: PersonalToken, kind: PrincipalKind
) -> NewToken:
    """Keep a token's record and sign the token that stands for it."""
    stored = transaction.insert(record)
    claims: dict[str, Any] = {"kind": kind.value, "key": stored.key}
    if stored.expires_at is not None:
        claims["exp"] = int(stored.expires_at.timestamp())
    return NewToken(stored, signer.sign(claims))


@define(frozen=True)
class Sessions:
    """
    Begins sessions and decides when they end.

    Attributes:
        signer: Signs their tokens.
        options: How long they last, used and not, and how many an account has.
    """

    signer: TokenSigner
    options: PlatformOptions

    def begin(
        self,
        transaction: RecordTransaction,
        account_serial: int,
        kind: PrincipalKind,
        now: datetime,
        *,
        name: str,
        address: str,
        ends_by: datetime | None = None,
    ) -> NewToken:
        """
        Begin a session; where the account has as many as it may, the one that was unused for longest ends.

        Args:
            transaction: Where it is kept.
            account_serial: Whose it is.
            kind: What its token is.
            now: The time.
            name: How it began, for lists.
            address: From where.
            ends_by: When it ends at the latest, beside the time that every session lasts.
        """
        self._make_room(transaction, account_serial, now)
        ends = now + timedelta(seconds=self.options.session_seconds)
        record = PersonalToken(
            account_serial=account_serial,
            name=name,
            key=secrets.token_urlsafe(16),
            expires_at=ends if ends_by is None else min(ends, ends_by),
            last_used_at=now,
            address=address,
            created_at=now,
            modified_at=now,
        )
        return new_token(transaction, self.signer, record, kind)

    def is_over(self, token: PersonalToken, now: datetime) -> bool:
        """Return whether a token has ended, by its time or because it is a session that nobody used."""
        idle = timedelta(seconds=self.options.session_idle_seconds)
        is_idle = token.last_used_at is not None and token.last_used_at + idle <= now
        return is_idle or (token.expires_at is not None and token.expires_at <= now)

    def delete_ended(self, records: RecordStore, now: datetime) -> None:
        """Delete the tokens that ended long ago, of sessions, programs and workers."""
        since = now - ENDED_TOKENS_KEPT
        with records.transaction(write=False) as transaction:
            ended = tuple(token.serial for token in transaction.find(PersonalToken) if self.is_over(token, since))
        if ended:
            with records.transaction(locking=Locking.ROWS) as transaction:
                transaction.delete(PersonalToken, {"serial": ended})

    def is_to_be_kept_up(self, last_used_at: datetime | None, now: datetime) -> bool:
        """Return whether it is time to keep that a session is used; once in a while, not with every request."""
        after = timedelta(seconds=self.options.session_idle_seconds / _USES_KEPT)
        return last_used_at is not None and last_used_at + after <= now

    def _make_room(self, transaction: RecordTransaction, account_serial: int, now: datetime) -> None:
        sessions = [
            (token.last_used_at, token)
            for token in transaction.find(PersonalToken, {"account_serial": account_serial})
            if token.last_used_at is not None
        ]
        live = [pair for pair in sessions if not self.is_over(pair[1], now)]
        live.sort(key=lambda pair: (pair[0], pair[1].serial), reverse=True)
        stay = {token.serial for _, token in live[: self.options.most_sessions - 1]}
        for _, token in sessions:
            if token.serial not in stay:
                transaction.delete(PersonalToken, {"serial": token.serial})

    @contextmanager
    def writing(self, records: RecordStore, principal: Principal, clock: Clock) -> Iterator[RecordTransaction]:
        """
        Begin a transaction of a caller who is still let in.

        Raises:
            AuthenticationFailed: As :meth:`require_let_in` says.
            PermissionDenied: Likewise.
        """
        with records.transaction() as transaction:
            self.require_let_in(transaction, principal, clock.now())
            yield transaction

    def require_let_in(self, transaction: RecordTransaction, principal: Principal, now: datetime) -> None:
        """
        Refuse a caller who has lost their token or a right since they came in: what they make now would outlive it.

        Raises:
            AuthenticationFailed: The token was revoked or has ended, or its account is disabled.
            PermissionDenied: The caller is not an administrator any more.
        """
        if principal.token_key is not None:
            present = self.principal(transaction, principal.claims(), now)
            if principal.is_admin and not present.is_admin:
                present.require(to="go on with what they began as an administrator")

    def principal(self, transaction: RecordTransaction, claims: Mapping[str, Any], now: datetime) -> Principal:
        """
        Give the caller that a personal token, a worker's or a session's stands for.

        Raises:
            AuthenticationFailed: It was revoked or has ended, or its account is disabled.
        """
        tokens = transaction.find(PersonalToken, {"key": str(claims.get("key", ""))}, limit=1)
        if not tokens or self.is_over(tokens[0], now):
            raise AuthenticationFailed(_ENDED)
        token = tokens[0]
        of_token: dict[str, Any] = {
            "token_key": token.key,
            "expires_at": token.expires_at,
            "session_used_at": token.last_used_at,
        }
        if claims.get("kind") == PrincipalKind.WORKER.value:
            return Principal(kind=PrincipalKind.WORKER, name=f"worker {token.name}", **of_token)
        if claims.get("kind") == PrincipalKind.ADMIN.value and token.account_serial == NO_ACCOUNT:
            # A session of who has the data folder; there is no account behind it.
            return attrs.evolve(ADMIN, **of_token)
        try:
            account = transaction.get(Account, token.account_serial)
        except RecordNotFound:
            raise AuthenticationFailed("the token's account is gone") from None
        if account.disabled:
            raise AuthenticationFailed(f"the account {account.name} is disabled")
        return attrs.evolve(account_principal(account), **of_token)


def account_principal(account: Account) -> Principal:
    """Give who an account stands for, whichever token they come with."""
    kind = PrincipalKind.ADMIN if account.administrator else PrincipalKind.USER
    return Principal(kind=kind, name=account.name, account_serial=account.serial)


def end_sessions(transaction: RecordTransaction, account_serial: int, *, but: str | None) -> int:
    """End all sessions of an account but the one of a key, and give how many; tokens of programs stay."""
    sessions = [
        token
        for token in transaction.find(PersonalToken, {"account_serial": account_serial})
        if token.last_used_at is not None and token.key != but
    ]
    for token in sessions:
        transaction.delete(PersonalToken, {"serial": token.serial})
    return len(sessions)


def keep_use(transaction: RecordTransaction, key: str, now: datetime) -> None:
    """
    Keep that a session is used.

    Raises:
        AuthenticationFailed: It was ended meanwhile.
    """
    with suppress(RecordNotFound):  # another server process may end it between the two
        for token in transaction.find(PersonalToken, {"key": key}, limit=1):
            transaction.replace(attrs.evolve(token, last_used_at=now))
            return
    raise AuthenticationFailed(_ENDED)
