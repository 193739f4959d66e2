"""Tokens that carry claims and cannot be forged."""

from collections.abc import Mapping
from typing import Any, Protocol


class TokenSigner(Protocol):
    """Makes tokens that carry claims and cannot be forged."""

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Give a token for the claims; ``exp`` among them is seconds since 1970."""
        ...

    def verify(self, token: str) -> dict[str, Any]:
        """
        Give the claims of a token.

        Raises:
            AuthenticationFailed: It is malformed, forged or expired.
        """
        ...
