"""
Which names from outside may become a file here.

A file name is a single path segment that means the same on Linux, macOS and Windows. Everything else is refused where
it enters, on download as on upload, so that no name can leave the folder it is meant for.
"""

from xfworker.domain.errors import InvalidFilename

MAX_BYTES = 255
"""The longest name that common file systems take, in UTF-8 bytes."""

_FORBIDDEN = frozenset('/\\:*?"<>|')
_RESERVED = frozenset({"con", "prn", "aux", "nul", "conin$", "conout$"}) | {
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
}
_FIRST_PRINTABLE = 0x20
_DELETE = 0x7F


def check_filename(name: object, *, what: str = "file name") -> str:
    r"""
    Give the name back if it is a safe single path segment on every system.

    Raises:
        InvalidFilename: It is empty, too long, ``.`` or ``..``; holds a separator, a drive or stream (``:``), a control
            character, one of ``* ? " < > |`` or a lone surrogate; ends with a dot or a space; or is a device name of
            Windows such as ``NUL`` or ``COM1.txt``.
    """
    violation = filename_violation(name)
    if violation:
        raise InvalidFilename(f"{what} {_formatted(name)} {violation}; use one plain name such as 'scan_seg.omni'")
    return str(name)


def is_safe_filename(name: object) -> bool:
    """Return whether :func:`check_filename` would take the name."""
    return filename_violation(name) is None


def filename_violation(name: object) -> str | None:
    """Say what a name does that a safe one does not, as the sentence goes on behind it; None for a safe one."""
    if not isinstance(name, str):
        return "is not a string"
    return next((violation for rule in _RULES if (violation := rule(name))), None)


def _shape(name: str) -> str | None:
    if not name:
        return "is empty"
    if name in {".", ".."}:
        return "is a folder, not a file"
    return "ends with a dot or a space, which Windows drops" if name[-1] in ". " else None


def _characters(name: str) -> str | None:
    for character in name:
        if ord(character) < _FIRST_PRINTABLE or ord(character) == _DELETE:
            return "holds a control character"
        if character in _FORBIDDEN:
            return f"holds {character!r}"
    return None


def _length(name: str) -> str | None:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return f"is {size} bytes long; {MAX_BYTES} is the most" if size > MAX_BYTES else None


def _device(name: str) -> str | None:
    stem = name.split(".", 1)[0].rstrip(" ").lower()
    return "is a device name on Windows" if stem in _RESERVED else None


_RULES = (_shape, _characters, _length, _device)


def _formatted(name: object, limit: int = 80) -> str:
    text = ascii(name)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
