"""Reads settings with typed-settings, and says of each fault on which line or in which variable it is."""

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field
from typed_settings import cls_utils, load_settings, loaders
from typed_settings.types import OptionInfo

from xfworker.api.settings.model import PREFIX, LoadedSettings, Settings
from xfworker.api.settings.rules import rule_faults
from xfworker.api.settings.toml_lines import KeyPath, key_lines
from xfworker.api.settings.values import ElementError, from_text, typed
from xfworker.domain.errors import ConfigurationError

_ARCHIVES = "files.archives"


@define
class _Source:
    """
    Values from one place.

    Attributes:
        name: The file or the variables.
        folder: What relative paths are relative to.
        options: The settings that there are, by their paths.
        lines: On which line of the file each key is.
        values: Values by the paths of their settings.
        places: Where each stands, for people.
        faults: What is wrong, each with its place.
    """

    name: str
    folder: Path
    options: Mapping[str, OptionInfo]
    lines: Mapping[KeyPath, int] = field(factory=dict)
    values: dict[str, Any] = field(factory=dict)
    places: dict[str, str] = field(factory=dict)
    faults: list[str] = field(factory=list)

    def place(self, at: KeyPath) -> str:
        while at and at not in self.lines:
            at = at[:-1]
        return f"{self.name}, line {self.lines[at]}" if at else self.name

    def take(self, option: OptionInfo, value: Any, at: KeyPath = (), place: str = "") -> None:
        self.places[option.path] = place or self.place(at)
        try:
            taken = typed(option, value, self.folder)
        except ElementError as error:
            self.faults.append(f"{place or self.place((*at, error.key))}: {option.path}: {error}")
            return
        except ValueError as error:
            self.faults.append(f"{self.places[option.path]}: {option.path}: {error}")
            return
        if option.path == _ARCHIVES:
            taken = [self._archive(index, table, (*at, index), place) for index, table in enumerate(value)]
        self.values[option.path] = taken

    def _archive(self, index: int, table: Any, at: KeyPath, place: str) -> dict[str, Any]:
        path = f"{_ARCHIVES}[{index}]"
        self.places[path] = place or self.place(at)
        if not isinstance(table, Mapping):
            self.faults.append(f"{self.places[path]}: {path} is not a table with a kind")
            return {}
        known = archive_options(self.options)
        taken = {}
        for key, value in table.items():
            here = self.places[f"{path}.{key}"] = place or self.place((*at, key))
            if key not in known:
                meant = _close(key, known)
                self.faults.append(
                    f"{here}: {path}.{key} is not a setting{f'; did you mean {meant}?' if meant else ''}"
                )
                continue
            try:
                taken[key] = typed(known[key], value, self.folder)
            except ValueError as error:
                self.faults.append(f"{here}: {path}.{key}: {error}")
        return taken


def archive_options(options: Mapping[str, OptionInfo]) -> dict[str, OptionInfo]:
    """Give the settings that the table of an archive has, by name: those of ``[files]`` but for further archives."""
    return {
        path.removeprefix("files."): option
        for path, option in options.items()
        if path.startswith("files.") and path != _ARCHIVES
    }


def settings_options() -> dict[str, OptionInfo]:
    """Give every setting by its path, such as ``http.read_seconds``."""
    return {option.path: option for option in cls_utils.deep_options(Settings)}


def variable_name(path: str) -> str:
    """Give the environment variable of a setting."""
    return PREFIX + path.upper().replace(".", "_")


def parse_settings(file: Path | None, variables: Mapping[str, str]) -> LoadedSettings:
    """
    Read the settings from a file and environment variables.

    Raises:
        ConfigurationError: With every fault, each naming the file's line or the variable.
    """
    options = settings_options()
    from_file = _Source("", Path.cwd(), options) if file is None else _read_file(file, options)
    from_variables, ignored = _read_variables(variables, options)
    faults = from_file.faults + from_variables.faults
    if faults:
        raise ConfigurationError(_message(faults))
    overruled = {path: place for path, place in from_file.places.items() if path in from_variables.values}
    kept = {path: at for path, at in from_file.places.items() if path.partition("[")[0] not in from_variables.values}
    places = {**kept, **from_variables.places}
    settings = load_settings(
        Settings,
        [_dict_loader(from_file.values), _dict_loader(from_variables.values)],
        base_dir=Path.cwd() if file is None else file.parent,
    )
    faults = [f"{place_of(path, places)}: {path} {fault}" for path, fault in rule_faults(settings)]
    if faults:
        raise ConfigurationError(_message(faults))
    return LoadedSettings(
        settings=settings, file=file, sources=places, overruled=overruled, ignored=_meant_variables(ignored, options)
    )


def place_of(path: str, places: Mapping[str, str]) -> str:
    """Give where a setting is from; of an element, where its table or list is from; else the path itself."""
    found = path
    while found and found not in places:
        found = found[: max(found.rfind("."), found.rfind("["), 0)]
    return places[found] if found else path


def _message(faults: list[str]) -> str:
    return faults[0] if len(faults) == 1 else "these settings are wrong:\n  " + "\n  ".join(faults)


def _dict_loader(values: Mapping[str, Any]) -> loaders.DictLoader:
    nested: dict[str, Any] = {}
    for path, value in values.items():
        *tables, name = path.split(".")
        table = nested
        for part in tables:
            table = table.setdefault(part, {})
        table[name] = value
    return loaders.DictLoader(nested)


def _read_file(file: Path, options: Mapping[str, OptionInfo]) -> _Source:
    source = _Source(str(file), file.parent, options)
    try:
        text = _utf8(file.read_bytes())
        content = tomllib.loads(text)
        source.lines = key_lines(text)
    except (OSError, ValueError, RecursionError) as error:
        source.faults.append(f"{file}: {_unreadable(error)}")
        return source
    for path, value in _leaves(content, options):
        option = options.get(".".join(path))
        if option is None:
            source.faults.append(f"{source.place(path)}: {_no_setting(path, value, options)}")
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


def _read_variables(variables: Mapping[str, str], options: Mapping[str, OptionInfo]) -> tuple[_Source, list[str]]:
    names = {variable_name(path): option for path, option in options.items()}
    source, ignored = _Source("", Path.cwd(), options), []
    for name, text in variables.items():
        option = names.get(name)
        if option is None:
            ignored.append(name)
            continue
        place = f"environment variable {name}"
        try:
            value = from_text(option, text)
        except ValueError as error:
            source.faults.append(f"{place}: {error}")
        else:
            source.take(option, value, place=place)
    return source, ignored


def _leaves(
    content: Mapping[str, Any], options: Mapping[str, OptionInfo], above: tuple[str, ...] = ()
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


def _no_setting(path: tuple[str, ...], value: Any, options: Mapping[str, OptionInfo]) -> str:
    dotted = ".".join(path)
    if _is_table(dotted, options):
        return f"{dotted} is a table; its settings stand below [{dotted}]"
    tables = {f"[{known.partition('.')[0]}]" for known in options}
    meant = _close(f"[{dotted}]", tables) if isinstance(value, Mapping) else _close(dotted, options)
    return f"{dotted} is not a setting{f'; did you mean {meant}?' if meant else ''}"


def _close(name: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(name.lower(), list(known), n=1)), "")


def _meant_variables(names: Iterable[str], options: Iterable[str]) -> dict[str, str]:
    known = [variable_name(path) for path in options]
    return {name: next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.8)), "") for name in names}
