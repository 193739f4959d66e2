"""Which passwords an account may have, and how they are kept."""

import re
from collections.abc import Iterable

from attrs import define

from xfworker.domain.errors import InvalidRecord
from xfworker.ports.known_passwords import KnownPasswords
from xfworker.ports.password_hasher import PasswordHasher

PRODUCT_WORDS = ("xfworkerutil", "xfworker", "xamflow")
"""Words that a password must not consist of, beside the server's and the account's own names."""

_SHORTEST = 8
_LONGEST = 1024
_FEWEST_OTHER_LETTERS = 4
_SHORTEST_WORD = 3
_INSTEAD = "choose another, such as four words that do not belong together"


@define
class PasswordRules:
    """
    Decides which passwords are taken, and hashes them.

    Attributes:
        hasher: Makes and checks hashes.
        known: Lists of passwords that nobody is to have.
        words: Words that a password must not consist of, beside those of the product and of the account.
    """

    hasher: PasswordHasher
    known: tuple[KnownPasswords, ...] = ()
    words: tuple[str, ...] = ()

    def hashed(self, password: str, account_name: str) -> str:
        """
        Give the hash of a password that an account is to have.

        Raises:
            InvalidRecord: It is too short or too long, on a list of known passwords, or little more than a name.
        """
        if not _SHORTEST <= len(password) <= _LONGEST:
            raise InvalidRecord(f"a password has {_SHORTEST} to {_LONGEST} characters")
        words, rest = _without_words(password, (account_name, *self.words, *PRODUCT_WORDS))
        if words and sum(character.isalpha() for character in rest) < _FEWEST_OTHER_LETTERS:
            raise InvalidRecord(f"this password is little more than {words[0]!r}, which is easily guessed; {_INSTEAD}")
        for passwords in self.known:
            if passwords.holds(password) or (words and passwords.holds(rest)):
                raise InvalidRecord(f"this password is {passwords.description}, which are tried first; {_INSTEAD}")
        return self.hasher.hash(password)


def _without_words(password: str, names: Iterable[str]) -> tuple[list[str], str]:
    """Give the words of the names that are in a password, and what is left of it without them."""
    left, present = password.casefold(), []
    parts = {part for name in names for part in (name, *re.split(r"[._@-]", name)) if len(part) >= _SHORTEST_WORD}
    for word in sorted(parts, key=lambda part: (-len(part), part)):
        if word.casefold() in left:
            left = left.replace(word.casefold(), "")
            present.append(word)
    return present, left.strip("._@- 0123456789!")
