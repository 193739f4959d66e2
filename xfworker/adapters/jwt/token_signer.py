"""Tokens as JSON Web Tokens (RFC 7519), signed with HMAC-SHA-256 by the server's secret."""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from xfworker.adapters.jwt.secret_file import SECRET_BYTES
from xfworker.domain.errors import AuthenticationFailed, ConfigurationError
from xfworker.ports.clock import Clock

_ALGORITHM = "HS256"
_TOKENS_KEPT = 1024


class JwtTokenSigner:
    """Signs tokens with one secret, and verifies them with it or, for a while, with those from before it."""

    def __init__(self, secret: bytes, clock: Clock, *, former: Sequence[tuple[bytes, datetime]] = ()) -> None:
        """
        Prepare.

        Args:
            secret: At least 32 random bytes.
            clock: Decides when a token has expired.
            former: Secrets from before, each with the time (UTC) until which what it signed is good.

        Raises:
            ConfigurationError: A secret is too short to be safe.
        """
        for one in (secret, *(one for one, _ in former)):
            if len(one) < SECRET_BYTES:
                raise ConfigurationError(f"the server's secret has {len(one)} bytes; it needs at least {SECRET_BYTES}")
        self._key = OctKey.import_key(secret)
        self._former = tuple((OctKey.import_key(one), until) for one, until in former)
        self._clock = clock
        # Each request brings its token again. A forged one raises, and so is not kept.
        self._claims_of = lru_cache(_TOKENS_KEPT)(self._read)

    def __repr__(self) -> str:
        return "JwtTokenSigner()"

    def sign(self, claims: Mapping[str, Any]) -> str:
        return jwt.encode({"alg": _ALGORITHM}, dict(claims), self._key)

    def verify(self, token: str) -> dict[str, Any]:
        claims, until = self._claims_of(token)
        if until is not None and until <= self._clock.now():
            raise AuthenticationFailed("the token was signed with a secret that has ended; log in again")
        expiry = claims.get("exp")
        if expiry is not None and not (isinstance(expiry, int | float) and expiry > self._clock.now().timestamp()):
            raise AuthenticationFailed("the token has expired; ask for a new one")
        return dict(claims)

    def _read(self, token: str) -> tuple[Mapping[str, Any], datetime | None]:
        """Give the claims of a token, and until when the secret is good that signed it, where that ends."""
        for key, until in ((self._key, None), *self._former):
            try:
                return jwt.decode(token, key, algorithms=[_ALGORITHM]).claims, until
            except (JoseError, ValueError, TypeError, RecursionError):
                continue
        raise AuthenticationFailed("the token is malformed or was not made by this server")


def fingerprint(secret: bytes) -> str:
    """Give what tells a secret from others, and nothing else of it."""
    return hmac.digest(secret, b"xfworker fingerprint", "sha256").hex()[:16]
