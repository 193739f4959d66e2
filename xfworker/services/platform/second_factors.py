"""Second factors as those who are signed in look after them: their own, and administrators those of others."""

from contextlib import AbstractContextManager
from datetime import datetime

from attrs import define

from xfworker.domain.bookkeeping import Account, SecondFactor
from xfworker.domain.errors import AuthenticationFailed, PermissionDenied, RecordNotFound
from xfworker.ports.authenticator_secrets import NewAuthenticator
from xfworker.ports.clock import Clock
from xfworker.ports.record_store import RecordStore, RecordTransaction
from xfworker.services.platform.access import Access
from xfworker.services.platform.activity import log_event
from xfworker.services.platform.identity_check import IdentityCheck
from xfworker.services.platform.principal import Principal
from xfworker.services.platform.second_factor_check import WRONG_CODE, SecondFactorCheck
from xfworker.services.platform.tokens import Sessions, end_sessions

NOT_BEGUN = "there is no set-up to be confirmed, or it was begun more than ten minutes ago; begin it again"


@define(frozen=True, kw_only=True)
class SecondFactorState:
    """
    What is known of an account's second factor.

    Attributes:
        set_up_at: Since when it counts (UTC); ``None`` where there is none.
        recovery_codes_left: How many recovery codes were not used yet.
        is_demanded: Whether the account has to have one.
    """

    set_up_at: datetime | None
    recovery_codes_left: int
    is_demanded: bool


@define(frozen=True)
class SecondFactors:
    """Second factors as one caller may look after them."""

    principal: Principal
    records: RecordStore
    clock: Clock
    identity: IdentityCheck
    factors: SecondFactorCheck
    sessions: Sessions

    def state(self, account_serial: int) -> SecondFactorState:
        """
        Give what is known of an account's second factor.

        Raises:
            PermissionDenied: It is another user's account.
            RecordNotFound: There is none.
        """
        if self.principal.account_serial != account_serial:
            self.principal.require(to="see the second factors of others")
        with self.records.transaction(write=False) as transaction:
            account = transaction.get(Account, account_serial)
            factor = self.factors.of(transaction, account_serial)
            return SecondFactorState(
                set_up_at=None if factor is None else factor.confirmed_at,
                recovery_codes_left=0 if factor is None else len(factor.recovery_hashes),
                is_demanded=self.factors.is_demanded_of(account),
            )

    def holders(self) -> frozenset[int]:
        """
        Give the serials of the accounts that have a second factor.

        Raises:
            PermissionDenied: The caller is not an administrator.
        """
        self.principal.require(to="see the second factors of others")
        with self.records.transaction(write=False) as transaction:
            factors = transaction.find(SecondFactor)
        return frozenset(factor.account_serial for factor in factors if factor.confirmed_at is not None)

    def begin(self, account_serial: int, password: str, code: str | None = None) -> NewAuthenticator:
        """
        Begin to set up the caller's second factor, and give what an authenticator application needs.

        It counts from :meth:`confirm` on; until then an earlier one does.

        Args:
            account_serial: The caller's account.
            password: Its password.
            code: A code of the second factor that it has already, where it has one.

        Raises:
            PermissionDenied: It is another user's account.
            AuthenticationFailed: The password or the code is wrong.
            SecondFactorNeeded: The account has a second factor already, and no code of it is given.
            TooManyRequests: There were too many failed tries.
        """
        self._require_own(account_serial)
        self.identity.require_both(account_serial, password, code)
        with self._writing() as transaction:
            account = transaction.get(Account, account_serial)
            return self.factors.begin(transaction, account, self.clock.now())

    def unconfirmed(self, account_serial: int) -> NewAuthenticator:
        """
        Give what the caller's application needs of a set-up that is to be confirmed.

        Raises:
            PermissionDenied: It is another user's account.
            RecordNotFound: None was begun in the last ten minutes.
        """
        self._require_own(account_serial)
        with self.records.transaction(write=False) as transaction:
            account = transaction.get(Account, account_serial)
            begun = self.factors.unconfirmed(transaction, account, self.clock.now())
        if begun is None:
            raise RecordNotFound(NOT_BEGUN)
        return begun[1]

    def confirm(self, account_serial: int, code: str) -> tuple[str, ...]:
        """
        Let the second factor count that was begun, end all other sessions, and give the recovery codes, only now.

        Raises:
            PermissionDenied: It is another user's account.
            RecordNotFound: None was begun in the last ten minutes.
            AuthenticationFailed: The code is not the present one of the application.
        """
        self._require_own(account_serial)
        now = self.clock.now()
        with self._writing() as transaction:
            account = transaction.get(Account, account_serial)
            begun = self.factors.unconfirmed(transaction, account, now)
            if begun is None:
                raise RecordNotFound(NOT_BEGUN)
            codes = self.factors.confirm(transaction, begun[0], code, now)
            if codes is None:
                raise AuthenticationFailed(WRONG_CODE)
            self._changed(transaction, account, "set up the second factor of", now)
            return codes

    def remove(self, account_serial: int, password: str | None = None, code: str | None = None) -> None:
        """
        Remove an account's second factor, and end all its sessions but the caller's own; tokens of programs stay.

        Administrators remove those that others lost; everybody their own, with password and code.

        Raises:
            PermissionDenied: It is another user's account, and the caller is not an administrator.
            AuthenticationFailed: The password or the code is wrong.
            SecondFactorNeeded: No code is given.
            RecordNotFound: There is none.
        """
        if self.principal.account_serial == account_serial:
            self.identity.require_both(account_serial, password or "", code)
        else:
            self.principal.require(to="remove the second factors of others")
        with self._writing() as transaction:
            account = transaction.get(Account, account_serial)
            if not transaction.delete(SecondFactor, {"account_serial": account_serial}):
                raise RecordNotFound(f"{account.name} has no second factor")
            self._changed(transaction, account, "removed the second factor of", self.clock.now())

    def _writing(self) -> AbstractContextManager[RecordTransaction]:
        return self.sessions.writing(self.records, self.principal, self.clock)

    def _changed(self, transaction: RecordTransaction, account: Account, action: str, now: datetime) -> None:
        ended = end_sessions(transaction, account.serial, but=self.principal.token_key)
        title = f"{action} {account.name}"
        access = Access(self.principal, transaction)
        log_event(access, title, account, {"action": action, "sessions_ended": ended}, now)

    def _require_own(self, account_serial: int) -> None:
        if self.principal.account_serial != account_serial:
            raise PermissionDenied(
                f"{self.principal.name} may not set up a second factor for this account; that is for whose it is"
            )
