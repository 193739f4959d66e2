"""Proof of who asks, beside their token: the password of their account and, where it has one, its second factor."""

from attrs import define

from xfworker.domain.bookkeeping import Account
from xfworker.domain.errors import AuthenticationFailed, SecondFactorNeeded
from xfworker.ports.clock import Clock
from xfworker.ports.password_hasher import PasswordHasher
from xfworker.ports.record_store import RecordStore, RecordTransaction
from xfworker.services.platform.login_throttle import LoginThrottle
from xfworker.services.platform.second_factor_check import WRONG_CODE, SecondFactorCheck

_INSIDE = "inside"
"""The address, as the throttle counts it, of callers who are in already."""


@define(frozen=True)
class IdentityCheck:
    """Asks those who are signed in for their password again, before what a stolen session must not do."""

    records: RecordStore
    clock: Clock
    hasher: PasswordHasher
    throttle: LoginThrottle
    factors: SecondFactorCheck

    def require_password(self, account_serial: int, password: str) -> None:
        """
        Refuse who does not know the password.

        Raises:
            AuthenticationFailed: It is another one.
            TooManyRequests: There were too many failed tries.
        """
        account, has_factor = self._account(account_serial)
        self._require_password(account, password)
        if not has_factor:  # else the password alone would free the way for more guesses at the code
            self.throttle.succeeded(account.name, _INSIDE)

    def require_both(self, account_serial: int, password: str, code: str | None) -> None:
        """
        Refuse who does not know the password or, where the account has a second factor, gives no code of it.

        Raises:
            AuthenticationFailed: The password or the code is wrong.
            SecondFactorNeeded: There is no code.
            TooManyRequests: There were too many failed tries.
        """
        account, has_factor = self._account(account_serial)
        self._require_password(account, password)
        if has_factor:
            if not code:
                raise SecondFactorNeeded(f"{account.name} has a second factor; give a code of it as well")
            with self.records.transaction() as transaction:
                is_right = self._uses_code(transaction, account_serial, code)
            if not is_right:
                self.throttle.failed(account.name, _INSIDE)
                raise AuthenticationFailed(WRONG_CODE)
        self.throttle.succeeded(account.name, _INSIDE)

    def _uses_code(self, transaction: RecordTransaction, account_serial: int, code: str) -> bool:
        factor = self.factors.of(transaction, account_serial)
        return factor is None or self.factors.use(transaction, factor, code, self.clock.now()) is not None

    def _account(self, serial: int) -> tuple[Account, bool]:
        with self.records.transaction(write=False) as transaction:
            return transaction.get(Account, serial), self.factors.of(transaction, serial) is not None

    def _require_password(self, account: Account, password: str) -> None:
        self.throttle.require_turn(account.name, _INSIDE)
        if not self.hasher.matches(password, account.password_hash):
            self.throttle.failed(account.name, _INSIDE)
            raise AuthenticationFailed(f"the current password of {account.name} is needed, and it is not this one")
