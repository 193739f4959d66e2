"""Names and versions of packages that people take for the same, and that a server keeps only one of."""

import unicodedata

from xfworker.domain.version import parse_version


def look_alike_name(name: str) -> str:
    """Give what is the same for all names that look alike: those that differ by case, by form or by space around."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def look_alike_version(version: str) -> tuple[int, ...]:
    """
    Give what is the same for all spellings of a version: ``1.0`` and ``01.0.0.0`` are one.

    Raises:
        InvalidParameter: It is not a version.
    """
    parts = list(parse_version(version))
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
