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

from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.api.settings.model import PREFIX, LoadedSettings, LoggingSettings, Settings
from xfworker.domain.errors import ConfigurationError
from xfworker.domain.job_arguments import JOB_MEMORY

FILENAME = "xfworker.toml"
CONFIG_VARIABLE = "XFWORKER_CONFIG"
_OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, JOB_MEMORY, "XFWORKER_SAMPLES"})
"""Variables with the prefix that are not settings."""
_ATTEMPTS = ("XFWORKER_HTTP_ATTEMPTS", "XFWORKER_TRANSFERS_ATTEMPTS")
_RUNNER_VARIABLES = frozenset({"XFWORKER_LOGGING_LEVEL", "XFWORKER_LOGGING_FORMAT", *_ATTEMPTS})
"""Variables that runners set for scripts."""


def load_settings(environment: Mapping[str, str] | None = None, directory: Path | None = None) -> LoadedSettings:
    """
    Read the settings.

    Where neither a file nor a variable says anything, this costs next to nothing: the parser is not even imported.

    Args:
        environment: Environment variables; those of the process by default.
        directory: The working directory; that of the process by default.

    Raises:
        ConfigurationError: With every error, each naming the file's line or the variable.
    """
    variables = os.environ if environment is None else environment
    file = find_file(variables, Path.cwd() if directory is None else directory)
    named = {name for name in variables if name.startswith(PREFIX)} - _OTHER_VARIABLES
    if file is None and named <= _RUNNER_VARIABLES:
        # What runners set for every script. The parser would cost more than all else that a script needs to begin.
        return _from_runner({name: variables[name] for name in named})
    from xfworker.api.settings.parser import parse_settings

    return parse_settings(file, {name: variables[name] for name in sorted(named)})


def _from_runner(variables: Mapping[str, str]) -> LoadedSettings:
    if not variables:
        return LoadedSettings(settings=Settings())
    from xfworker.api.settings.rules import rule_violations

    for name in _ATTEMPTS:
        text = variables.get(name, "0")
        if not (text.isascii() and text.isdigit()):
            raise ConfigurationError(f"environment variable {name}: expected an integer, got {text!r}")
    defaults = Settings()
    logging = LoggingSettings(
        level=variables.get("XFWORKER_LOGGING_LEVEL", defaults.logging.level),
        format=variables.get("XFWORKER_LOGGING_FORMAT", defaults.logging.format),
    )
    http = HttpLimits(attempts=int(variables.get(_ATTEMPTS[0], defaults.http.attempts)))
    transfers = TransferLimits(attempts=int(variables.get(_ATTEMPTS[1], defaults.transfers.attempts)))
    settings = Settings(logging=logging, http=http, transfers=transfers)
    sources = {_path(name): f"environment variable {name}" for name in variables}
    errors = [f"{sources.get(path, path)}: {path} {violation}" for path, violation in rule_violations(settings)]
    if errors:
        raise ConfigurationError(errors[0])
    return LoadedSettings(settings=settings, sources=sources)


def _path(variable: str) -> str:
    table, _, name = variable.removeprefix(PREFIX).lower().partition("_")
    return f"{table}.{name}"


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
