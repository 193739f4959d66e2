"""What every password hasher must do, as tests to inherit."""

import pytest

from xfworker.ports.password_hasher import PasswordHasher

PASSWORDS = ("correct horse", "Ümläut 日本語 🦴", " spaces around ", "x" * 1000, "a\0b", "")
"""Passwords that must be kept apart, whatever is in them."""


class PasswordHasherContract:
    """
    Inherit it, give the fixture, and pytest runs every test against your password hasher.

    Fixtures to give:
        ``hasher``: a :class:`~xfworker.ports.password_hasher.PasswordHasher`, as cheap as it can be made.
        ``other_hasher``: one with other parameters, where it has any; the same one by default.
    """

    @pytest.fixture
    def hasher(self) -> PasswordHasher:
        raise NotImplementedError("give a password hasher")

    @pytest.fixture
    def other_hasher(self, hasher: PasswordHasher) -> PasswordHasher:
        return hasher

    @pytest.mark.parametrize("password", PASSWORDS)
    def test_a_password_matches_its_own_hash_only(self, hasher: PasswordHasher, password: str) -> None:
        hashed = hasher.hash(password)
        assert hasher.matches(password, hashed)
        for other in (*PASSWORDS, password + "x", password.upper() + "y", password[:-1] + "z"):
            assert hasher.matches(other, hashed) == (other == password)

    def test_a_hash_is_salted_and_does_not_show_the_password(self, hasher: PasswordHasher) -> None:
        first, second = hasher.hash("correct horse"), hasher.hash("correct horse")
        assert first != second
        assert "correct horse" not in first

    def test_a_hash_holds_all_that_checking_it_needs(
        self, hasher: PasswordHasher, other_hasher: PasswordHasher
    ) -> None:
        assert other_hasher.matches("correct horse", hasher.hash("correct horse"))
        assert hasher.matches("correct horse", other_hasher.hash("correct horse"))

    def test_what_is_not_a_hash_matches_nothing(self, hasher: PasswordHasher) -> None:
        hashed = hasher.hash("correct horse")
        for broken in ("", "correct horse", "$", "$argon2id$", hashed[:-5], hashed[: len(hashed) // 2], f"x{hashed}"):
            assert not hasher.matches("correct horse", broken)
