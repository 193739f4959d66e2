"""A platform with an account that may have a second factor, and the phone with its application."""

import pyotp
from attrs import define

from xfworker.adapters.argon2.password_hasher import Argon2PasswordHasher
from xfworker.adapters.authenticator.sealed_secrets import SealedAuthenticatorSecrets
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.domain.bookkeeping import SecondFactor
from xfworker.domain.errors import (
    AuthenticationFailed,
)
from xfworker.services.platform.options import PlatformOptions, SecondFactorFor
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import ADMIN
from xfworker.services.platform.signing_in import PendingSignIn

WORDS = "anna-password"
SECRET = b"s" * 32


@define
class Phone:
    """An authenticator application."""

    clock: ManualClock
    secret: str = ""

    def code(self, steps=0):
        return pyotp.TOTP(self.secret).at(self.clock.now(), counter_offset=steps)

    def next_code(self):
        """Wait until another code is shown."""
        self.clock.advance(30)
        return self.code()


class Home:
    def __init__(self, demanded="nobody", *, secret=SECRET, former=(), records=None, clock=None, has_factors=True):
        self.clock = clock or ManualClock()
        self.records = records or MemoryRecordStore()
        self.platform = Platform(
            self.records,
            self.clock,
            MemoryTokenSigner(self.clock),
            PlatformOptions(second_factor_for=SecondFactorFor(demanded)),
            hasher=Argon2PasswordHasher(memory_kib=64, rounds=1),
            authenticators=SealedAuthenticatorSecrets(secret, former=former) if has_factors else None,
        )
        self.accounts = self.platform.accounts_for(ADMIN)
        self.phone = Phone(self.clock)

    def add(self, name="anna", **also):
        self.serial = self.accounts.add(name, f"{name}-password", **also).serial
        return self.serial

    def log_in(self, code=None, *, name="anna", address=""):
        token = self.accounts.log_in(name, f"{name}-password", code, address=address)
        return self.platform.authenticate(token.text)

    def factors(self, principal):
        return self.platform.second_factors_for(principal)

    def set_up(self):
        """Give anna a second factor, and the recovery codes of it."""
        anna = self.log_in()
        begun = self.factors(anna).begin(self.serial, WORDS)
        self.phone.secret = begun.secret
        codes = self.factors(anna).confirm(self.serial, self.phone.code())
        self.clock.advance(30)
        return codes

    def kept(self):
        with self.records.transaction(write=False) as transaction:
            return list(transaction.find(SecondFactor))

    def is_in(self, text):
        try:
            self.platform.authenticate(text)
        except AuthenticationFailed:
            return False
        return True


def pending_by_password(home):
    outcome = home.platform.signing_in().by_password("anna", WORDS, None, address="")
    assert isinstance(outcome, PendingSignIn)
    return outcome
