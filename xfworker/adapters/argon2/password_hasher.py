"""Passwords hashed with Argon2id (RFC 9106)."""

import argon2
from argon2.exceptions import Argon2Error, InvalidHashError


class Argon2PasswordHasher:
    """Argon2id with the parameters that RFC 9106 recommends where memory is limited."""

    def __init__(self, *, memory_kib: int = 65536, rounds: int = 3) -> None:
        """
        Prepare.

        Args:
            memory_kib: How much memory one hash takes.
            rounds: How often it is gone over.
        """
        self._hasher = argon2.PasswordHasher(time_cost=rounds, memory_cost=memory_kib, parallelism=4)

    def hash(self, password: str) -> str:
        return self._hasher.hash(password)

    def matches(self, password: str, hashed: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return False
