"""The suites for what keeps tokens and passwords."""

import hmac
import json
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode

import pyotp
import pytest

from xfworker.adapters.argon2.password_hasher import Argon2PasswordHasher
from xfworker.adapters.authenticator.sealed_secrets import SealedAuthenticatorSecrets
from xfworker.adapters.jwt.token_signer import JwtTokenSigner
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.domain.errors import AuthenticationFailed, ConfigurationError
from xfworker.domain.one_time_codes import time_step
from xfworker.testing.contracts.authenticator_secrets import AuthenticatorSecretsContract
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

    def test_a_secret_that_can_be_guessed_is_refused(self, clock):
        for former in ((), ((b"b" * 31, clock.now()),)):
            with pytest.raises(ConfigurationError, match="31 bytes"):
                JwtTokenSigner(b"a" * (32 if former else 31), clock, former=former)


class TestMemoryTokenSigner(TokenSignerContract):
    @pytest.fixture
    def signer(self, clock):
        return MemoryTokenSigner(clock)

    @pytest.fixture
    def other_signer(self, clock):
        return MemoryTokenSigner(clock)


class TestSealedAuthenticatorSecrets(AuthenticatorSecretsContract):
    @pytest.fixture
    def secrets(self):
        return SealedAuthenticatorSecrets(b"a" * 32)

    @pytest.fixture
    def later_secrets(self):
        return SealedAuthenticatorSecrets(b"b" * 32, former=[b"z" * 32, b"a" * 32])

    @pytest.fixture
    def other_secrets(self):
        return SealedAuthenticatorSecrets(b"c" * 32)

    @pytest.mark.parametrize(
        ("seconds", "eight_digits"),
        [
            (59, "94287082"),
            (1111111109, "07081804"),
            (1111111111, "14050471"),
            (1234567890, "89005924"),
            (2000000000, "69279037"),
            (20000000000, "65353130"),
        ],
    )
    def test_codes_are_the_last_six_digits_of_those_of_appendix_b_of_rfc_6238(
        self, secrets, monkeypatch, seconds, eight_digits
    ):
        monkeypatch.setattr(pyotp, "random_base32", lambda: b32encode(b"12345678901234567890").decode())
        assert secrets.code_at(secrets.new(), time_step(seconds)) == eight_digits[-6:]

    def test_a_secret_is_encrypted_by_aes_256_in_galois_counter_mode_and_each_time_otherwise(self, secrets):
        first, second = secrets.new().split("."), secrets.new().split(".")
        header = first[0] + "=" * (-len(first[0]) % 4)
        assert json.loads(urlsafe_b64decode(header)) == {"alg": "dir", "enc": "A256GCM"}
        assert first[2] != second[2]


class TestArgon2PasswordHasher(PasswordHasherContract):
    @pytest.fixture
    def hasher(self):
        return Argon2PasswordHasher(memory_kib=64, rounds=1)

    @pytest.fixture
    def other_hasher(self):
        return Argon2PasswordHasher(memory_kib=128, rounds=2)
