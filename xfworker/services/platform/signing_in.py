"""Signing in: by a password or by a link that works once, and where the account has it by a second factor after it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import define, field

from xfworker.domain.bookkeeping import Account
from xfworker.domain.conversion import format_time, parse_time
from xfworker.domain.errors import AuthenticationFailed, RecordNotFound, SecondFactorMissing, TooManyRequests
from xfworker.ports.authenticator_secrets import NewAuthenticator
from xfworker.ports.clock import Clock
from xfworker.ports.password_hasher import PasswordHasher
from xfworker.ports.record_store import RecordStore, RecordTransaction
from xfworker.ports.token_signer import TokenSigner
from xfworker.services.platform.login_throttle import LoginThrottle
from xfworker.services.platform.principal import PrincipalKind
from xfworker.services.platform.second_factor_check import WRONG_CODE, SecondFactorCheck
from xfworker.services.platform.second_factors import NOT_BEGUN
from xfworker.services.platform.sign_ins import SignInBy, log_sign_in, log_too_many, log_unknown_name
from xfworker.services.platform.tokens import NewToken, Sessions, end_sessions

PENDING_SECONDS = 600.0
"""How long somebody who proved the first factor has time for the second one."""

_KIND = "sign-in"
_REFUSED = "name and password do not belong together, or the account is disabled"
_BEGIN_AGAIN = "this sign-in was begun more than ten minutes ago, or the account has changed since; begin it again"


@define(frozen=True)
class PendingSignIn:
    """
    A sign-in whose first factor is proved and whose second one is not.

    Attributes:
        text: What stands for it; it lets nobody in.
        name: The account's name.
        sets_up: Whether the account has no second factor, and has to set one up now.
    """

    text: str = field(repr=False)
    name: str
    sets_up: bool


@define(frozen=True)
class SetUpSession:
    """A session that began with a second factor being set up, and the recovery codes, which are shown only now."""

    session: NewToken
    recovery_codes: tuple[str, ...] = field(repr=False)


@define(frozen=True)
class SigningIn:
    """Decides who comes in. Failures are counted until all factors of an account were proved."""

    records: RecordStore
    clock: Clock
    signer: TokenSigner
    sessions: Sessions
    hasher: PasswordHasher
    throttle: LoginThrottle
    factors: SecondFactorCheck

    def by_password(self, name: str, password: str, code: str | None, *, address: str) -> NewToken | PendingSignIn:
        """
        Begin a session, or say which factor is still to come.

        Args:
            name: The account's name.
            password: Its password.
            code: A code of its second factor, where it is known already.
            address: From where it is asked.

        Raises:
            AuthenticationFailed: Name and password do not belong together, which does not say which of them is wrong;
                or the code is wrong.
            TooManyRequests: There were too many failed tries.
        """
        with self.records.transaction(write=False) as transaction:
            matches = transaction.find(Account, {"name": name}, limit=1)
        # A name that is not there takes as long as a wrong password, so that names cannot be guessed by the clock.
        nobody = self.throttle.hash_of_nobody(self.hasher)
        account = matches[0] if matches else None
        self._require_turn(name, address)
        is_right = self.hasher.matches(password, account.password_hash if account else nobody)
        now = self.clock.now()
        with self.records.transaction() as transaction:
            if account is not None:
                # While it was compared, the password may have become another one.
                was, account = account, transaction.get(Account, account.serial)
                is_right = is_right and was.password_hash == account.password_hash
            if account is None:
                log_unknown_name(transaction, address=address, now=now)
                outcome = None
            elif not is_right or account.disabled:
                by = SignInBy.PASSWORD
                log_sign_in(transaction, account.name, by, address=address, succeeded=False, now=now)
                outcome = None
            else:
                outcome = self._after_first(transaction, account, SignInBy.PASSWORD, None, now, address, code=code)
        refusal = WRONG_CODE if is_right and account is not None and not account.disabled else _REFUSED
        return self._counted(outcome, name, address, refusal)

    def after_link(
        self, transaction: RecordTransaction, account: Account, ends: datetime | None, now: datetime, *, address: str
    ) -> NewToken | PendingSignIn:
        """
        Go on after somebody followed a link that signs in to an account.

        Raises:
            SecondFactorMissing: The account has to set up a second factor, for which its password is needed.
        """
        outcome = self._after_first(transaction, account, SignInBy.LINK, ends, now, address)
        assert outcome is not None
        if isinstance(outcome, PendingSignIn) and outcome.sets_up:
            raise SecondFactorMissing(
                f"{account.name} has to set up a second factor first: sign in on the page with name and password"
            )
        return outcome

    def with_code(self, pending: str, code: str, *, address: str) -> NewToken:
        """
        Begin the session of who proved the first factor before, by a code of the second one.

        Args:
            pending: What stands for the sign-in.
            code: The present code of the application, or a recovery code.
            address: From where it is asked.

        Raises:
            AuthenticationFailed: The code is wrong, or the sign-in is to be begun again.
            TooManyRequests: There were too many failed tries.
        """
        claims = self._claims(pending)
        now = self.clock.now()
        with self.records.transaction() as transaction:
            account = _account(transaction, claims)
            self._require_turn(account.name, address)
            ends = None if claims["ends"] is None else parse_time(claims["ends"])
            by = SignInBy(claims["by"])
            outcome = self._after_first(transaction, account, by, ends, now, address, code=code)
        outcome = self._counted(outcome, account.name, address, WRONG_CODE)
        if isinstance(outcome, PendingSignIn):  # the factor was removed meanwhile, and one is demanded
            raise AuthenticationFailed(_BEGIN_AGAIN)
        return outcome

    def set_up(self, pending: str) -> NewAuthenticator:
        """
        Give what an authenticator application needs, to who has to set up a second factor before they come in.

        Raises:
            AuthenticationFailed: The sign-in is to be begun again.
        """
        claims = self._claims(pending)
        now = self.clock.now()
        with self.records.transaction() as transaction:
            account = self._without_factor(transaction, claims)
            begun = self.factors.unconfirmed(transaction, account, now)
            return self.factors.begin(transaction, account, now) if begun is None else begun[1]

    def with_first_code(self, pending: str, code: str, *, address: str) -> SetUpSession:
        """
        Confirm the second factor that was set up, and begin the session; other sessions of the account end.

        Raises:
            AuthenticationFailed: The code is not the present one, or the sign-in is to be begun again.
        """
        claims = self._claims(pending)
        now = self.clock.now()
        with self.records.transaction() as transaction:
            account = self._without_factor(transaction, claims)
            begun = self.factors.unconfirmed(transaction, account, now)
            if begun is None:
                raise AuthenticationFailed(NOT_BEGUN)
            codes = self.factors.confirm(transaction, begun[0], code, now)
            if codes is None:
                raise AuthenticationFailed(WRONG_CODE)
            end_sessions(transaction, account.serial, but=None)
            by = SignInBy.PASSWORD_AND_CODE
            log_sign_in(transaction, account.name, by, address=address, succeeded=True, now=now)
            session = self._session(transaction, account, by, None, now, address)
        self.throttle.succeeded(account.name, address)
        return SetUpSession(session, codes)

    def _after_first(
        self,
        transaction: RecordTransaction,
        account: Account,
        by: SignInBy,
        ends: datetime | None,
        now: datetime,
        address: str,
        *,
        code: str | None = None,
    ) -> NewToken | PendingSignIn | None:
        """Give the session, the sign-in that waits for its second factor, or ``None`` where the code is refused."""
        factor = self.factors.of(transaction, account.serial)
        if factor is None and self.factors.is_demanded_of(account):
            return self._pending(account, by, ends, now, sets_up=True)
        if factor is not None:
            if not code:
                return self._pending(account, by, ends, now, sets_up=False)
            used = self.factors.use(transaction, factor, code, now)
            by = SignInBy(f"{by} and {used or 'code'}")
            if used is None:
                log_sign_in(transaction, account.name, by, address=address, succeeded=False, now=now)
                return None
        log_sign_in(transaction, account.name, by, address=address, succeeded=True, now=now)
        return self._session(transaction, account, by, ends, now, address)

    def _session(
        self,
        transaction: RecordTransaction,
        account: Account,
        by: SignInBy,
        ends: datetime | None,
        now: datetime,
        address: str,
    ) -> NewToken:
        name = "page" if by.startswith(SignInBy.LINK) else "login"
        kind = PrincipalKind.USER
        return self.sessions.begin(transaction, account.serial, kind, now, name=name, address=address, ends_by=ends)

    def _pending(
        self, account: Account, by: SignInBy, ends: datetime | None, now: datetime, *, sets_up: bool
    ) -> PendingSignIn:
        claims = {
            "kind": _KIND,
            "account": account.serial,
            # A new password, or an account that is disabled, makes it void.
            "version": account.occ_lock_version,
            "by": by.value,
            "ends": None if ends is None else format_time(ends),
            "exp": int((now + timedelta(seconds=PENDING_SECONDS)).timestamp()),
        }
        return PendingSignIn(self.signer.sign(claims), account.name, sets_up)

    def _claims(self, pending: str) -> Mapping[str, Any]:
        try:
            claims = self.signer.verify(pending)
        except AuthenticationFailed:
            claims = {}
        if claims.get("kind") != _KIND:
            raise AuthenticationFailed(_BEGIN_AGAIN)
        return claims

    def _without_factor(self, transaction: RecordTransaction, claims: Mapping[str, Any]) -> Account:
        account = _account(transaction, claims)
        # A link proves no password, so whoever has one must not set up a factor of their own.
        if claims["by"] != SignInBy.PASSWORD or self.factors.of(transaction, account.serial) is not None:
            raise AuthenticationFailed(_BEGIN_AGAIN)
        return account

    def _require_turn(self, name: str, address: str) -> None:
        try:
            self.throttle.require_turn(name, address)
        except TooManyRequests:
            log_too_many(address=address)
            raise

    def _counted(
        self, outcome: NewToken | PendingSignIn | None, name: str, address: str, refusal: str
    ) -> NewToken | PendingSignIn:
        if outcome is None:
            self.throttle.failed(name, address)
            raise AuthenticationFailed(refusal)
        if isinstance(outcome, NewToken):
            self.throttle.succeeded(name, address)
        return outcome


def _account(transaction: RecordTransaction, claims: Mapping[str, Any]) -> Account:
    try:
        account = transaction.get(Account, claims["account"])
    except RecordNotFound:
        raise AuthenticationFailed(_BEGIN_AGAIN) from None
    if account.occ_lock_version != claims["version"] or account.disabled:
        raise AuthenticationFailed(_BEGIN_AGAIN)
    return account
