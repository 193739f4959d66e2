"""Secrets of authenticator applications, kept so that the records alone do not show them."""

from typing import Protocol

from attrs import define, field


@define(frozen=True)
class NewAuthenticator:
    """
    What an authenticator application is given once.

    Attributes:
        secret: The secret as people type it: base32 (RFC 4648) without padding.
        link: The same with the account's name, as applications read it from a QR code: ``otpauth://totp/...``.
    """

    secret: str = field(repr=False)
    link: str = field(repr=False)


class AuthenticatorSecrets(Protocol):
    """Makes secrets, seals them for the records, and gives the codes that applications show (RFC 6238)."""

    def new(self) -> str:
        """Make a secret, and give it sealed."""
        ...

    def opened(self, sealed: str, *, account: str, issuer: str) -> NewAuthenticator:
        """
        Give what an application is given.

        Raises:
            ConfigurationError: It was sealed by another server, or is damaged.
        """
        ...

    def code_at(self, sealed: str, step: int) -> str:
        """
        Give the code of 6 digits that an application shows in a time step of 30 s.

        Raises:
            ConfigurationError: It was sealed by another server, or is damaged.
        """
        ...

    def resealed(self, sealed: str) -> str:
        """
        Seal a secret as a new one would be; what is sealed so already is given as it is.

        Raises:
            ConfigurationError: It was sealed by another server, or is damaged.
        """
        ...
