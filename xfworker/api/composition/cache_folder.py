"""The folder of this user for packages and environments that are made once and used again."""

import sys
from collections.abc import Mapping
from pathlib import Path

from xfworker.domain.errors import UsageError


def cache_folder(environment: Mapping[str, str]) -> Path:
    """
    Give the folder, which need not exist yet.

    Args:
        environment: The environment variables.

    Raises:
        UsageError: The user has no home.
    """
    home = environment.get("HOME")
    missing = "HOME"
    if sys.platform == "win32":
        missing = "LOCALAPPDATA"
        base = environment.get(missing)
    elif sys.platform == "darwin":
        base = f"{home}/Library/Caches" if home else None
    else:
        # The XDG base directory specification has relative paths ignored: each directory would have one of its own.
        chosen = environment.get("XDG_CACHE_HOME", "")
        base = chosen if chosen.startswith("/") else f"{home}/.cache" if home else None
    if not base:
        # A folder for temporary files is shared with other users, who could put packages there that this one runs.
        raise UsageError(
            f"there is no folder for packages and environments, because this user has no home ({missing} is not set); "
            "name one with --data"
        )
    return Path(base) / "xfworker"
