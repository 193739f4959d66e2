"""
Passwords of published breaches, in the file that Have I Been Pwned offers: a line ``SHA1:COUNT`` for each, by hash.

The file has tens of gigabytes, so it is looked up on the disk: some forty small reads for a password.
"""

import hashlib
import re
from pathlib import Path
from typing import BinaryIO

from xfworker.domain.errors import ConfigurationError

_LINE = re.compile(rb"([0-9A-Fa-f]{40})(?::\d+)?\r?\n?")
_LONGEST_LINE = 64


class BreachedPasswords:
    """A file of SHA-1 hashes in ascending order."""

    description = "in a published list of stolen passwords"

    def __init__(self, path: Path) -> None:
        """
        Prepare.

        Args:
            path: The file.

        Raises:
            ConfigurationError: It cannot be read, or does not hold what it should.
        """
        self._path = path
        with self._opened() as file:
            self._hash_after(file, 0)

    def holds(self, password: str) -> bool:
        sought = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
        with self._opened() as file:
            low, high = 0, file.seek(0, 2)
            while low < high:
                middle = (low + high) // 2
                present, end = self._hash_after(file, middle)
                if present == sought:
                    return True
                if not present or present > sought:
                    high = middle
                else:
                    low = end
        return False

    def _hash_after(self, file: BinaryIO, offset: int) -> tuple[bytes, int]:
        """Give the hash of the first line that begins at an offset or later, and where that line ends."""
        file.seek(max(offset - 1, 0))
        if offset:
            file.readline(_LONGEST_LINE)
        begin = file.tell()
        line = file.readline(_LONGEST_LINE)
        match = _LINE.fullmatch(line)
        if match is None and (line or not offset):
            raise ConfigurationError(
                f"{self._path} is not a file of breached passwords: expected lines of SHA-1 hashes in ascending order, "
                f"such as pwnedpasswords-downloader writes, and byte {begin} begins none"
            )
        return match[1].upper() if match else b"", file.tell()

    def _opened(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except OSError as error:
            raise ConfigurationError(
                f"could not read the breached passwords in {self._path}: {error.strerror or error}"
            ) from None
