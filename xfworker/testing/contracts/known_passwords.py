"""What every list of known passwords must do, as tests to inherit."""

import pytest

from xfworker.ports.known_passwords import KnownPasswords

UNKNOWN = ("otter-basalt-quince-lantern", "日本語の長い合言葉 🦴", " " * 8 + "\0", "x" * 1024, "")
"""Passwords that no list has."""


class KnownPasswordsContract:
    """
    Inherit it, give the fixtures, and pytest runs every test against your list.

    Fixtures to give:
        ``passwords``: a :class:`~xfworker.ports.known_passwords.KnownPasswords`.
        ``listed``: a password that is on it.
    """

    @pytest.fixture
    def passwords(self) -> KnownPasswords:
        raise NotImplementedError("give a list of known passwords")

    @pytest.fixture
    def listed(self) -> str:
        raise NotImplementedError("give a password that is on the list")

    def test_what_is_on_the_list_is_found_and_nothing_else(self, passwords: KnownPasswords, listed: str) -> None:
        assert passwords.holds(listed)
        for other in (*UNKNOWN, listed + UNKNOWN[0], UNKNOWN[0] + listed):
            assert not passwords.holds(other)

    def test_the_description_completes_a_sentence(self, passwords: KnownPasswords) -> None:
        assert passwords.description.strip(". ") == passwords.description != ""
