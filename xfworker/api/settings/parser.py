"""
Reads settings, and says of each error on which line or in which variable it is.

A script that is given settings waits for all of this: what only a file or only an error needs is imported for it.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attrs import fields

from xfworker.api.settings.model import PREFIX, LoadedSettings, Settings
from xfworker.api.settings.rules import rule_violations
from xfworker.api.settings.values import ElementError, KeyPath, Setting, from_string, typed
from xfworker.domain.errors import ConfigurationError

_ARCHIVES = "files.archives"


class _Source:
    """
    The settings file, or the environment variables.

    Attributes:
        name: The file or the variables.
        folder: What relative paths are relative to.
        options: The settings that there are, by their paths.
        lines: On which line of the file each key is.
        values: Values by the paths of their settings.
        locations: Where each stands, as messages say it.
        errors: What is wrong, each with its location.
    """

    def __init__(self, name: str, folder: Path, options: Mapping[str, Setting]) -> None:
        self.name, self.folder, self.options = name, folder, options
        self.lines: Mapping[KeyPath, int] = {}
        self.values: dict[str, Any] = {}
        self.locations: dict[str, str] = {}
        self.errors: list[str] = []

    def location(self, at: KeyPath) -> str:
        while at and at not in self.lines:
            at = at[:-1]
        return f"{self.name}, line {self.lines[at]}" if at else self.name

    def take(self, option: Setting, value: Any, at: KeyPath = (), location: str = "") -> None:
        here = self.locations[option.path] = location or self.location(at)
        # The name of a variable says which setting it is.
        name = "" if location else f"{option.path}: "
        try:
            taken = typed(option, value, self.folder)
        except ElementError as error:
            self.errors.append(f"{location or self.location((*at, error.key))}: {name}{error}")
            return
        except ValueError as error:
            self.errors.append(f"{here}: {name}{error}")
            return
        if option.path == _ARCHIVES:
            taken = [self._archive(index, table, (*at, index), location) for index, table in enumerate(value)]
        self.values[option.path] = taken

    def _archive(self, index: int, table: Any, at: KeyPath, location: str) -> dict[str, Any]:
        path = f"{_ARCHIVES}[{index}]"
        self.locations[path] = location or self.location(at)
        if not isinstance(table, Mapping):
            self.errors.append(f"{self.locations[path]}: {path} is not a table with a kind")
            return {}
        known = archive_options(self.options)
        taken = {}
        for key, value in table.items():
            here = self.locations[f"{path}.{key}"] = location or self.location((*at, key))
            if key not in known:
                meant = _close(key.lower(), known)
                self.errors.append(
                    f"{here}: {path}.{key} is not a setting{f'; did you mean {meant}?' if meant else ''}"
                )
                continue
            try:
                checked = typed(known[key], value, self.folder)
                taken[key] = os.fspath(checked) if isinstance(checked, Path) else checked
            except ValueError as error:
                self.errors.append(f"{here}: {path}.{key}: {error}")
        return taken


def archive_options(options: Mapping[str, Setting]) -> dict[str, Setting]:
    """Give the settings that the table of an archive has, by name: those of ``[files]`` but for further archives."""
    return {
        path.removeprefix("files."): option
        for path, option in options.items()
        if path.startswith("files.") and path != _ARCHIVES
    }


@cache
def settings_options() -> Mapping[str, Setting]:
    """Give every setting by its path, such as ``http.read_seconds``."""
    paths = {f"{table}.{item.name}": item.type for table, kind in _tables().items() for item in fields(kind)}
    return {path: Setting(path, annotation) for path, annotation in paths.items()}


def _tables() -> dict[str, Any]:
    return {table.name: table.type for table in fields(Settings)}


def variable_name(path: str) -> str:
    """Give the environment variable of a setting."""
    return PREFIX + path.upper().replace(".", "_")


def parse_settings(file: Path | None, variables: Mapping[str, str]) -> LoadedSettings:
    """
    Read the settings from a file and environment variables.

    Raises:
        ConfigurationError: With every error, each naming the file's line or the variable.
    """
    options = settings_options()
    from_file = _Source("", Path.cwd(), options) if file is None else _read_file(file, options)
    from_variables, ignored = _read_variables(variables, options)
    errors = from_file.errors + from_variables.errors
    if errors:
        raise ConfigurationError(_message(errors))
    overruled = {path: location for path, location in from_file.locations.items() if path in from_variables.values}
    kept = {path: at for path, at in from_file.locations.items() if path.partition("[")[0] not in from_variables.values}
    locations = {**kept, **from_variables.locations}
    settings = _settings({**from_file.values, **from_variables.values})
    errors = [f"{location_of(path, locations)}: {path} {violation}" for path, violation in rule_violations(settings)]
    if errors:
        raise ConfigurationError(_message(errors))
    return LoadedSettings(
        settings=settings, file=file, sources=locations, overruled=overruled, ignored=_meant_variables(ignored, options)
    )


def location_of(path: str, locations: Mapping[str, str]) -> str:
    """Give where a setting is from; of an element, where its table or list is from; else the path itself."""
    described = path
    while described and described not in locations:
        described = described[: max(described.rfind("."), described.rfind("["), 0)]
    return locations[described] if described else path


def _message(errors: list[str]) -> str:
    return errors[0] if len(errors) == 1 else "these settings are wrong:\n  " + "\n  ".join(errors)


def _settings(values: Mapping[str, Any]) -> Settings:
    tables: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        table, _, name = path.partition(".")
        tables.setdefault(table, {})[name] = value
    kinds = _tables()
    return Settings(**{table: kinds[table](**chosen) for table, chosen in tables.items()})


def _read_file(file: Path, options: Mapping[str, Setting]) -> _Source:
    import tomllib

    from xfworker.api.settings.toml_lines import key_lines

    source = _Source(str(file), file.parent, options)
    try:
        text = _utf8(file.read_bytes())
        content = tomllib.loads(text)
        source.lines = key_lines(text)
    except (OSError, ValueError, RecursionError) as error:
        source.errors.append(f"{file}: {_unreadable(error)}")
        return source
    for path, value in _leaves(content, options):
        option = options.get(".".join(path))
        if option is None:
            source.errors.append(f"{source.location(path)}: {_no_setting(path, value, options)}")
        else:
            source.take(option, value, path)
    return source


def _utf8(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x} in line {line}"
        raise ValueError(f"is not UTF-8 text ({byte}); save it as UTF-8") from None


def _unreadable(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or error})"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if "set_int_max_str_digits" in str(error):
        return "holds a number that is too long"
    hint = "; write Windows paths in single quotes, such as 'C:\\data'" if "'\\'" in str(error) else ""
    return f"{error}{hint}"


def _read_variables(variables: Mapping[str, str], options: Mapping[str, Setting]) -> tuple[_Source, list[str]]:
    names = {variable_name(path): option for path, option in options.items()}
    source, ignored = _Source("", Path.cwd(), options), []
    for name, text in variables.items():
        option = names.get(name)
        if option is None:
            ignored.append(name)
            continue
        location = f"environment variable {name}"
        try:
            value = from_string(option, text)
        except ValueError as error:
            source.errors.append(f"{location}: {error}")
        else:
            source.take(option, value, location=location)
    return source, ignored


def _leaves(
    content: Mapping[str, Any], options: Mapping[str, Setting], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in content.items():
        path = (*above, key)
        dotted = ".".join(path)
        if isinstance(value, Mapping) and dotted not in options and _is_table(dotted, options):
            yield from _leaves(value, options, path)
        else:
            yield path, value


def _is_table(dotted: str, options: Iterable[str]) -> bool:
    return any(known.startswith(f"{dotted}.") for known in options)


def _no_setting(path: tuple[str, ...], value: Any, options: Mapping[str, Setting]) -> str:
    dotted = ".".join(path)
    if _is_table(dotted, options):
        return f"{dotted} is a table; its settings stand below [{dotted}]"
    tables = {f"[{known.partition('.')[0]}]" for known in options}
    meant = _close(f"[{dotted.lower()}]", tables) if isinstance(value, Mapping) else _close(dotted.lower(), options)
    return f"{dotted} is not a setting{f'; did you mean {meant}?' if meant else ''}"


def _close(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), "")


def _meant_variables(names: Iterable[str], options: Iterable[str]) -> dict[str, str]:
    known = [variable_name(path) for path in options]
    return {name: _close(name, known, cutoff=0.8) for name in names}
