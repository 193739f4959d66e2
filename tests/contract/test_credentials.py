"""The suites for what keeps tokens and passwords."""

import pytest

from xfworker.adapters.argon2.password_hasher import Argon2PasswordHasher
from xfworker.adapters.jwt.token_signer import JwtTokenSigner
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.testing.contracts.password_hasher import PasswordHasherContract
from xfworker.testing.contracts.token_signer import TokenSignerContract


class TestJwtTokenSigner(TokenSignerContract):
    @pytest.fixture
    def signer(self, clock):
        return JwtTokenSigner(b"a" * 32, clock)

    @pytest.fixture
    def other_signer(self, clock):
        return JwtTokenSigner(b"b" * 32, clock)


class TestMemoryTokenSigner(TokenSignerContract):
    @pytest.fixture
    def signer(self, clock):
        return MemoryTokenSigner(clock)

    @pytest.fixture
    def other_signer(self, clock):
        return MemoryTokenSigner(clock)


class TestArgon2PasswordHasher(PasswordHasherContract):
    @pytest.fixture
    def hasher(self):
        return Argon2PasswordHasher(memory_kib=64, rounds=1)

    @pytest.fixture
    def other_hasher(self):
        return Argon2PasswordHasher(memory_kib=128, rounds=2)
