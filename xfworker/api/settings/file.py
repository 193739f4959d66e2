"""
Fills the settings from ``xfworker.toml`` and from environment variables ``XFWORKER_*``.

The file is the one that ``XFWORKER_CONFIG`` names (set but empty: none at all), else ``xfworker.toml`` in the working
directory, else in the platform's folder for configuration. Environment variables come before the file:
``XFWORKER_HTTP_READ_SECONDS`` is ``read_seconds`` in ``[http]``.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from xfworker.api.settings.model import PREFIX, LoadedSettings, Settings
from xfworker.domain.errors import ConfigurationError
from xfworker.domain.job_arguments import JOB_MEMORY

FILENAME = "xfworker.toml"
CONFIG_VARIABLE = "XFWORKER_CONFIG"
_OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, JOB_MEMORY, "XFWORKER_SAMPLES"})
"""Variables with the prefix that are not settings."""


def load_settings(environment: Mapping[str, str] | None = None, directory: Path | None = None) -> LoadedSettings:
    """
    Read the settings.

    Where neither a file nor a variable says anything, the parser is not even imported.

    Args:
        environment: Environment variables; those of the process by default.
        directory: The working directory; that of the process by default.

    Raises:
        ConfigurationError: With every error, each naming the file's line or the variable.
    """
    variables = os.environ if environment is None else environment
    file = find_file(variables, Path.cwd() if directory is None else directory)
    named = {name for name in variables if name.startswith(PREFIX)} - _OTHER_VARIABLES
    if file is None and not named:
        return LoadedSettings(settings=Settings())
    from xfworker.api.settings.parser import parse_settings

    return parse_settings(file, {name: variables[name] for name in sorted(named)})


def find_file(environment: Mapping[str, str], directory: Path) -> Path | None:
    """
    Give the settings file, or ``None`` where there is none.

    Raises:
        ConfigurationError: ``XFWORKER_CONFIG`` names a file that is not there.
    """
    named = environment.get(CONFIG_VARIABLE)
    if named is not None:
        if not named.strip():
            return None
        path = Path(os.path.expanduser(named))  # noqa: PTH111  Path.expanduser raises for a user that is not known
        if not _is_file(path):
            raise ConfigurationError(f"The environment variable {CONFIG_VARIABLE} names {path}, which is not a file.")
        return path.absolute()
    for folder in (directory, config_folder(environment)):
        if folder is not None and _is_file(folder / FILENAME):
            return (folder / FILENAME).absolute()
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise ConfigurationError(
            f"cannot see whether there is a settings file {path}: {error.strerror or error}; name another by "
            f"{CONFIG_VARIABLE}, or set that to nothing to use none"
        ) from None


def config_folder(environment: Mapping[str, str]) -> Path | None:
    """Give the platform's folder for this package's configuration, or ``None`` where there is no home."""
    if sys.platform == "win32":
        base = environment.get("APPDATA")
        return Path(base) / "xfworker" if base else None
    home = environment.get("HOME")
    if sys.platform == "darwin":
        return Path(home) / "Library" / "Application Support" / "xfworker" if home else None
    base = environment.get("XDG_CONFIG_HOME") or (str(Path(home) / ".config") if home else "")
    return Path(base) / "xfworker" if base else None
