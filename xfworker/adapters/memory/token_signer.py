"""Tokens that this process keeps: nothing to forge, nothing that outlives it."""

import secrets
import threading
from collections.abc import Mapping
from typing import Any

from xfworker.domain.errors import AuthenticationFailed
from xfworker.ports.clock import Clock


class MemoryTokenSigner:
    """Gives random tokens and keeps the claims of each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._claims: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"MemoryTokenSigner({len(self._claims)} tokens)"

    def sign(self, claims: Mapping[str, Any]) -> str:
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._claims[token] = dict(claims)
        return token

    def verify(self, token: str) -> dict[str, Any]:
        with self._lock:
            claims = self._claims.get(token)
        if claims is None:
            raise AuthenticationFailed("the token is not one of this server's")
        if "exp" in claims and claims["exp"] <= self._clock.now().timestamp():
            raise AuthenticationFailed("the token has expired; ask for a new one")
        return dict(claims)
