"""Passwords, kept so that nobody can read them back."""

from typing import Protocol


class PasswordHasher(Protocol):
    """Makes and checks hashes of passwords."""

    def hash(self, password: str) -> str:
        """Give a salted hash, with all that checking it needs."""
        ...

    def matches(self, password: str, hashed: str) -> bool:
        """Return whether a password is the one that was hashed; a hash of nothing known matches nothing."""
        ...
