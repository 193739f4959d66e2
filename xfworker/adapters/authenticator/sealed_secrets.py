"""Secrets of authenticator applications as JSON Web Encryption (RFC 7516, A256GCM), by a key of the server's secret."""

import hmac
from collections.abc import Sequence

import pyotp
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from xfworker.domain.errors import ConfigurationError
from xfworker.ports.authenticator_secrets import NewAuthenticator

_HEADER = {"alg": "dir", "enc": "A256GCM"}
_ALGORITHMS = list(_HEADER.values())
_PURPOSE = b"xfworker second factor"


class SealedAuthenticatorSecrets:
    """Seals by the server's secret, and opens by it or by one from before a rotation."""

    def __init__(self, secret: bytes, *, former: Sequence[bytes] = ()) -> None:
        """
        Prepare.

        Args:
            secret: The server's secret.
            former: Its secrets from before, which open what they sealed.
        """
        self._current = _key(secret)
        self._former = tuple(_key(one) for one in former)

    def __repr__(self) -> str:
        return "SealedAuthenticatorSecrets()"

    def new(self) -> str:
        return self._seal(pyotp.random_base32())

    def opened(self, sealed: str, *, account: str, issuer: str) -> NewAuthenticator:
        secret = self._open(sealed)
        return NewAuthenticator(secret, pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer))

    def code_at(self, sealed: str, step: int) -> str:
        return pyotp.HOTP(self._open(sealed)).at(step)

    def resealed(self, sealed: str) -> str:
        return sealed if _opened(sealed, self._current) is not None else self._seal(self._open(sealed))

    def _seal(self, secret: str) -> str:
        return jwe.encrypt_compact(_HEADER, secret, self._current, _ALGORITHMS)

    def _open(self, sealed: str) -> str:
        for key in (self._current, *self._former):
            secret = _opened(sealed, key)
            if secret is not None:
                return secret
        raise ConfigurationError(
            "a second factor cannot be read: it was encrypted under another secret of the server, or is damaged; put "
            "the server's file 'secret' of then back, or let an administrator remove the factor: xfworker user "
            "remove-second-factor NAME"
        )


def _opened(sealed: str, key: OctKey) -> str | None:
    try:
        plain = jwe.decrypt_compact(sealed, key, _ALGORITHMS).plaintext
    except (JoseError, ValueError, TypeError):
        return None
    return None if plain is None else plain.decode()


def _key(secret: bytes) -> OctKey:
    # Another key than the one that signs tokens; both follow from one secret.
    return OctKey.import_key(hmac.digest(secret, _PURPOSE, "sha256"))
