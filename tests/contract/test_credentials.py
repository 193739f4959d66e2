"""The suites for what keeps tokens and passwords."""

import hmac
import json
from base64 import urlsafe_b64encode

import pytest

from xfworker.adapters.argon2.password_hasher import Argon2PasswordHasher
from xfworker.adapters.jwt.token_signer import JwtTokenSigner
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.domain.errors import AuthenticationFailed
from xfworker.testing.contracts.password_hasher import PasswordHasherContract
from xfworker.testing.contracts.token_signer import TokenSignerContract


class TestJwtTokenSigner(TokenSignerContract):
    @pytest.fixture
    def signer(self, clock):
        return JwtTokenSigner(b"a" * 32, clock)

    @pytest.fixture
    def other_signer(self, clock):
        return JwtTokenSigner(b"b" * 32, clock)

    @pytest.mark.parametrize("algorithm", ["none", "None", "HS512", "RS256"])
    def test_a_token_without_a_signature_or_by_another_algorithm_is_refused(self, signer, algorithm):
        claims = json.dumps({"kind": "admin", "sub": "admin"}).encode()
        parts = [urlsafe_b64encode(part).rstrip(b"=") for part in (json.dumps({"alg": algorithm}).encode(), claims)]
        signature = hmac.digest(b"a" * 32, b".".join(parts), "sha512" if algorithm == "HS512" else "sha256")
        for signed in (b"", urlsafe_b64encode(signature).rstrip(b"=")):
            with pytest.raises(AuthenticationFailed):
                signer.verify(b".".join([*parts, signed]).decode())


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
