"""Whether an account has a second factor or has to have one, and whether a code is one of it."""

import hmac
import secrets
from datetime import datetime, timedelta
from enum import StrEnum

import attrs
from attrs import define, field

from xfworker.domain.bookkeeping import Account, SecondFactor
from xfworker.domain.errors import ConfigurationError
from xfworker.domain.one_time_codes import (
    RECOVERY_CODE_BYTES,
    RECOVERY_CODE_COUNT,
    plain_code,
    recovery_code,
    recovery_code_hash,
    time_step,
)
from xfworker.ports.authenticator_secrets import AuthenticatorSecrets, NewAuthenticator
from xfworker.ports.record_store import RecordTransaction
from xfworker.services.platform.options import SecondFactorFor

SET_UP_SECONDS = 600.0
"""How long a set-up that nobody confirmed can be confirmed."""

WRONG_CODE = (
    "this is not the present code, or it was used already; wait for the next one. If that is refused as well, the "
    "clock of the server or of the authenticator application is wrong"
)

_ISSUER = "xfworker"


class CodeKind(StrEnum):
    """What proved a second factor."""

    CODE = "code"
    RECOVERY_CODE = "recovery code"


@define(frozen=True)
class SecondFactorCheck:
    """
    Decides about second factors, always in the transaction of what depends on them.

    Attributes:
        secrets: Keeps the secrets; without it nobody can set up a second factor.
        demanded_of: Who has to have one.
    """

    _secrets: AuthenticatorSecrets | None = field(repr=False)
    demanded_of: SecondFactorFor

    def of(self, transaction: RecordTransaction, account_serial: int) -> SecondFactor | None:
        """Give the second factor of an account; one that was never confirmed is none."""
        for factor in transaction.find(SecondFactor, {"account_serial": account_serial}):
            if factor.confirmed_at is not None:
                return factor
        return None

    def is_demanded_of(self, account: Account) -> bool:
        """Return whether an account has to have a second factor."""
        if self.demanded_of is SecondFactorFor.ADMINISTRATORS:
            return account.administrator
        return self.demanded_of is SecondFactorFor.ALL

    def use(self, transaction: RecordTransaction, factor: SecondFactor, typed: str, now: datetime) -> CodeKind | None:
        """
        Use a code up: that of the present 30 s, or a recovery code. Give which it is; ``None`` where it is neither.

        Raises:
            ConfigurationError: The factor was encrypted under another secret.
        """
        step = self._matching_step(factor, typed, now)
        hashed = recovery_code_hash(typed)
        if step is not None:
            kind, after = CodeKind.CODE, attrs.evolve(factor, last_step=step)
        elif hashed in factor.recovery_hashes:
            left = [one for one in factor.recovery_hashes if one != hashed]
            kind, after = CodeKind.RECOVERY_CODE, attrs.evolve(factor, recovery_hashes=left)
        else:
            return None
        transaction.replace(attrs.evolve(after, occ_lock_version=factor.occ_lock_version + 1, modified_at=now))
        return kind

    def begin(self, transaction: RecordTransaction, account: Account, now: datetime) -> NewAuthenticator:
        """Begin a set-up in the place of one that was not confirmed; a confirmed factor stays what it is."""
        for factor in transaction.find(SecondFactor, {"account_serial": account.serial}):
            if factor.confirmed_at is None:
                transaction.delete(SecondFactor, {"serial": factor.serial})
        sealed = self._kept().new()
        transaction.insert(
            SecondFactor(account_serial=account.serial, sealed_secret=sealed, created_at=now, modified_at=now)
        )
        return self._kept().opened(sealed, account=account.name, issuer=_ISSUER)

    def unconfirmed(
        self, transaction: RecordTransaction, account: Account, now: datetime
    ) -> tuple[SecondFactor, NewAuthenticator] | None:
        """Give the set-up that an account has begun in the last minutes, if there is one."""
        for factor in transaction.find(SecondFactor, {"account_serial": account.serial}):
            begun = factor.created_at
            if factor.confirmed_at is None and begun is not None and begun + timedelta(seconds=SET_UP_SECONDS) > now:
                return factor, self._kept().opened(factor.sealed_secret, account=account.name, issuer=_ISSUER)
        return None

    def confirm(
        self, transaction: RecordTransaction, factor: SecondFactor, typed: str, now: datetime
    ) -> tuple[str, ...] | None:
        """Let a set-up count from now on, in the place of any other; give its recovery codes, ``None`` if refused."""
        step = self._matching_step(factor, typed, now)
        if step is None:
            return None
        codes = tuple(recovery_code(secrets.token_bytes(RECOVERY_CODE_BYTES)) for _ in range(RECOVERY_CODE_COUNT))
        for other in transaction.find(SecondFactor, {"account_serial": factor.account_serial}):
            if other.serial != factor.serial:
                transaction.delete(SecondFactor, {"serial": other.serial})
        confirmed = attrs.evolve(
            factor,
            confirmed_at=now,
            last_step=step,
            recovery_hashes=[recovery_code_hash(code) for code in codes],
            occ_lock_version=factor.occ_lock_version + 1,
            modified_at=now,
        )
        transaction.replace(confirmed)
        return codes

    def reseal(self, transaction: RecordTransaction) -> None:
        """Encrypt under the server's present secret what is encrypted under one from before."""
        if self._secrets is None:
            return
        for factor in transaction.find(SecondFactor):
            try:
                sealed = self._secrets.resealed(factor.sealed_secret)
            except ConfigurationError:
                continue  # whose it is hears of it when they sign in; everybody else is to get in meanwhile
            if sealed != factor.sealed_secret:
                transaction.replace(attrs.evolve(factor, sealed_secret=sealed))

    def _matching_step(self, factor: SecondFactor, typed: str, now: datetime) -> int | None:
        step = time_step(now.timestamp())
        expected = self._kept().code_at(factor.sealed_secret, step).encode()
        is_same = hmac.compare_digest(expected, plain_code(typed).encode("utf-8", "replace"))
        is_new = factor.last_step is None or step > factor.last_step
        return step if is_same and is_new else None

    def _kept(self) -> AuthenticatorSecrets:
        if self._secrets is None:
            raise ConfigurationError("this server keeps no second factors; it was composed without their secrets")
        return self._secrets
