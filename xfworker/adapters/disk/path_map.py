r"""Translates paths in the server's words (``\\server\share\...``) to this machine's (``/mnt/share/...``)."""

from collections.abc import Mapping
from pathlib import Path

from xfworker.domain.errors import ConfigurationError, FileError


class PathMap:
    r"""
    Prefixes of paths and what they are called here.

    The longest matching prefix wins, by whole segments. Windows paths (UNC shares and drives) are compared without
    regard to case and with either kind of slash; POSIX paths exactly.
    """

    def __init__(self, prefixes: Mapping[str, str | Path] | None = None) -> None:
        """
        Take the map.

        Args:
            prefixes: For each prefix in the server's words the folder on this machine.

        Raises:
            ConfigurationError: A prefix is not an absolute path.
        """
        self._entries: list[tuple[tuple[str, ...], Path]] = []
        for prefix, local in (prefixes or {}).items():
            if not (is_windows_path(prefix) or prefix.startswith("/")):
                raise ConfigurationError(
                    f"path map: {prefix!r} is not an absolute path; use a share such as '\\\\server\\share', a drive "
                    "such as 'X:\\' or a path that starts with '/'"
                )
            self._entries.append((_key(_segments(prefix), prefix), _folder(local)))
        self._entries.sort(key=lambda entry: len(entry[0]), reverse=True)

    def local_path(self, path: str) -> Path:
        """
        Translate a path; one that no prefix matches is taken as it is.

        Raises:
            FileError: The path climbs with ``..``, or holds a NUL.
        """
        segments = _segments(path)
        if ".." in segments or "\0" in path:
            raise FileError(f"the direct-access path {path!a} is not a plain path")
        key = _key(segments, path)
        for prefix, local in self._entries:
            if key[: len(prefix)] == prefix:
                return local.joinpath(*segments[len(prefix) - 1 :])
        return Path(path)


def is_windows_path(path: str) -> bool:
    r"""Whether a path is a UNC share (``\\server\share``, also with slashes) or begins with a drive (``\\?\C:\``)."""
    plain = _without_long_prefix(path)
    return is_unc_path(plain) or (len(plain) > 1 and plain[1] == ":" and plain[0].isascii() and plain[0].isalpha())


def is_unc_path(path: str) -> bool:
    r"""Whether a path is a UNC share: ``\\server\share\...``, ``//server/share/...`` or ``\\?\UNC\...``."""
    plain = _without_long_prefix(path).replace("/", "\\")
    return plain[:2] == "\\\\" and plain[2:3] not in {"", "\\"} and plain[2:4] not in {"?\\", ".\\"}


def _without_long_prefix(path: str) -> str:
    r"""Give a path without ``\\?\``, by which Windows takes it as it is and as long as it is."""
    start = path[:8].replace("/", "\\").lower()
    if start == "\\\\?\\unc\\":
        return "\\\\" + path[8:]
    return path[4:] if start[:4] == "\\\\?\\" else path


def _folder(local: str | Path) -> Path:
    folder = Path(local).expanduser()
    # To Windows a drive without a slash is whatever folder of it a program is in.
    return folder if folder.root or not folder.drive else Path(f"{folder.drive}\\", *folder.parts[1:])


def _segments(path: str) -> list[str]:
    windows = is_windows_path(path)
    plain = _without_long_prefix(path).replace("\\", "/") if windows else path
    return [part for part in plain.split("/") if part not in {"", "."}]


def _key(segments: list[str], path: str) -> tuple[str, ...]:
    """Give what is compared: the kind of path, then its segments."""
    if is_windows_path(path):
        kind = "unc" if is_unc_path(path) else "drive"
        return (kind, *(segment.casefold() for segment in segments))
    return ("posix", *segments)
