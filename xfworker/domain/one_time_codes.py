"""The rules of one-time codes: when the code of an authenticator application is good, and what a recovery code is."""

import hashlib
from base64 import b32encode

STEP_SECONDS = 30
"""For how long a code is shown and taken (RFC 6238, section 4)."""

RECOVERY_CODE_COUNT = 10
"""How many recovery codes come with a second factor."""

RECOVERY_CODE_BYTES = 15
"""How much chance a recovery code holds: 120 bits, so that a hash without a salt is not reversed by trying."""

_GROUP = 4


def time_step(seconds: float) -> int:
    """Give the number of the time step of a moment, in seconds since 1970 (UTC)."""
    return int(seconds // STEP_SECONDS)


def plain_code(typed: str) -> str:
    """Give a code as it is compared: spaces and hyphens, which people type for reading, do not count."""
    return "".join(typed.split()).replace("-", "")


def recovery_code(chance: bytes) -> str:
    """Write random bytes as a recovery code, in groups of four letters and digits."""
    text = b32encode(chance).decode().rstrip("=").lower()
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def recovery_code_hash(typed: str) -> str:
    """Give what is kept of a recovery code; case, spaces and hyphens do not count."""
    return hashlib.sha256(plain_code(typed).lower().encode("utf-8", "replace")).hexdigest()
