"""Tokens as JSON Web Tokens (RFC 7519), signed with HMAC-SHA-256 by the server's secret."""

import hmac
import os
import secrets
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from xfworker.domain.errors import AuthenticationFailed, ConfigurationError
from xfworker.ports.clock import Clock
from xfworker.services.files_in_use import when_free

_ALGORITHM = "HS256"
_SECRET_BYTES = 32
_TOKENS_KEPT = 1024


class JwtTokenSigner:
    """Signs and verifies tokens with one secret."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        """
        Prepare.

        Args:
            secret: At least 32 random bytes.
            clock: Decides when a token has expired.

        Raises:
            ConfigurationError: The secret is too short to be safe.
        """
        if len(secret) < _SECRET_BYTES:
            raise ConfigurationError(f"the server's secret has {len(secret)} bytes; it needs at least {_SECRET_BYTES}")
        self._key = OctKey.import_key(secret)
        self._clock = clock
        # Each request brings its token again. A forged one raises, and so is not kept.
        self._claims_of = lru_cache(_TOKENS_KEPT)(self._read)

    def __repr__(self) -> str:
        return "JwtTokenSigner()"

    def sign(self, claims: Mapping[str, Any]) -> str:
        return jwt.encode({"alg": _ALGORITHM}, dict(claims), self._key)

    def verify(self, token: str) -> dict[str, Any]:
        claims = self._claims_of(token)
        expiry = claims.get("exp")
        if expiry is not None and not (isinstance(expiry, int | float) and expiry > self._clock.now().timestamp()):
            raise AuthenticationFailed("the token has expired; ask for a new one")
        return dict(claims)

    def _read(self, token: str) -> Mapping[str, Any]:
        try:
            return jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
        except (JoseError, ValueError, TypeError, RecursionError):
            raise AuthenticationFailed("the token is malformed or was not made by this server") from None


def fingerprint(secret: bytes) -> str:
    """Give what tells a secret from others, and nothing else of it."""
    return hmac.digest(secret, b"xfworker fingerprint", "sha256").hex()[:16]


def secret_in(path: Path) -> bytes:
    """
    Give the secret kept in a file, which is made where it is not there, readable by its owner only.

    Raises:
        ConfigurationError: The file can be neither read nor made.
    """
    try:
        try:
            return bytes.fromhex(path.read_text("ascii").strip())
        except FileNotFoundError:
            return _new_secret(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not hold hexadecimal digits"
        raise ConfigurationError(f"could not read the server's secret in {path}: {reason}") from None


def _new_secret(path: Path) -> bytes:
    secret = secrets.token_bytes(_SECRET_BYTES)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret.hex())
        file.flush()
        os.fsync(file.fileno())
    try:
        # A second server that starts at the same moment must not replace the secret that the first one uses.
        os.link(partial, path)
    except FileExistsError:
        return bytes.fromhex(path.read_text("ascii").strip())
    except OSError:
        when_free(lambda: partial.replace(path))
        return secret
    finally:
        partial.unlink(missing_ok=True)
    return secret
