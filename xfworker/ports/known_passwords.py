"""Passwords that are known to others, which are tried first by whoever guesses."""

from typing import Protocol


class KnownPasswords(Protocol):
    """A list of passwords that nobody is to have any more."""

    @property
    def description(self) -> str:
        """What is on the list, as an error names it: ``one of the most common passwords``."""
        ...

    def holds(self, password: str) -> bool:
        """
        Return whether a password is on the list.

        Raises:
            ConfigurationError: The list cannot be read.
        """
        ...
