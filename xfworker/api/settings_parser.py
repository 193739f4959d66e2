"""Reads settings with typed-settings, and says of each fault on which line or in which variable it is."""

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from attrs import define, field
from typed_settings import cls_utils, load_settings, loaders
from typed_settings.types import OptionInfo

from xfworker.api.settings import SECRETS, Settings
from xfworker.api.settings_file import PREFIX, LoadedSettings
from xfworker.api.settings_rules import rule_faults
from xfworker.domain.errors import ConfigurationError

_TABLE = re.compile(r"^\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}\s*(#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-\"'. ]+?)\s*=")
_TRUTH = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}
_EXPECTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    dict: "a table",
    list: "a list",
}


@define
class _Source:
    """Values from one place, and where each stands in it."""

    values: dict[str, Any] = field(factory=dict)
    places: dict[str, str] = field(factory=dict)


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
    faults: list[str] = []
    from_file = _Source() if file is None else _read_file(file, options, faults)
    from_variables, ignored = _read_variables(variables, options, faults)
    places = {**from_file.places, **from_variables.places}
    if faults:
        raise ConfigurationError(_message(faults))
    settings = load_settings(
        Settings,
        [_dict_loader(from_file.values), _dict_loader(from_variables.values)],
        base_dir=Path.cwd() if file is None else file.parent,
    )
    faults = [f"{places.get(path, path)}: {path} {fault}" for path, fault in rule_faults(settings)]
    if faults:
        raise ConfigurationError(_message(faults))
    return LoadedSettings(settings=settings, file=file, sources=places, ignored=tuple(ignored))


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


def _read_file(file: Path, options: Mapping[str, OptionInfo], faults: list[str]) -> _Source:
    try:
        text = file.read_text("utf-8-sig")
        content = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{file}: cannot be read ({error})")
        return _Source()
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{file}: {error}")
        return _Source()
    lines = _lines(text)
    source = _Source()
    for path, value in _leaves(content, options):
        place = f"{file}, line {lines[path]}" if path in lines else str(file)
        option = options.get(path)
        if option is None:
            faults.append(f"{place}: {path} is no setting{_meant(path, options)}")
            continue
        try:
            source.values[path] = _typed(option, value, file.parent)
        except ValueError as error:
            faults.append(f"{place}: {path}: {error}")
        source.places[path] = place
    return source


def _read_variables(
    variables: Mapping[str, str], options: Mapping[str, OptionInfo], faults: list[str]
) -> tuple[_Source, list[str]]:
    names = {variable_name(path): option for path, option in options.items()}
    source, ignored = _Source(), []
    for name, text in variables.items():
        option = names.get(name)
        if option is None:
            ignored.append(name)
            continue
        try:
            source.values[option.path] = _typed(option, _from_text(option, text), Path.cwd())
        except ValueError as error:
            faults.append(f"environment variable {name}: {error}")
        source.places[option.path] = f"environment variable {name}"
    return source, ignored


def _leaves(
    content: Mapping[str, Any], options: Mapping[str, OptionInfo], above: str = ""
) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        path = f"{above}{key}"
        if isinstance(value, Mapping) and path not in options:
            inside = any(known.startswith(f"{path}.") for known in options)
            if not inside:
                yield path, value
            else:
                yield from _leaves(value, options, f"{path}.")
        else:
            yield path, value


def _kind(option: OptionInfo) -> tuple[type, bool]:
    """Give a setting's type without ``None``, and whether ``None`` is allowed."""
    choices = [kind for kind in get_args(option.cls) if kind is not type(None)]
    nullable = type(None) in get_args(option.cls)
    kind = choices[0] if nullable else option.cls
    return getattr(kind, "__origin__", kind), nullable


def _typed(option: OptionInfo, value: Any, folder: Path) -> Any:
    kind, _ = _kind(option)
    fits = {
        bool: isinstance(value, bool),
        int: isinstance(value, int) and not isinstance(value, bool),
        float: isinstance(value, int | float) and not isinstance(value, bool),
        str: isinstance(value, str),
        Path: isinstance(value, str) and bool(value),
        dict: isinstance(value, Mapping),
        list: isinstance(value, list),
    }[kind]
    if not fits:
        shown = "a secret" if option.path in SECRETS else repr(value)
        raise ValueError(f"expected {_EXPECTED[kind]}, got {shown}")
    if kind is Path:
        return str(folder / Path(value).expanduser())
    return value


def _from_text(option: OptionInfo, text: str) -> Any:
    kind, _ = _kind(option)
    if kind in {str, Path}:
        return text
    if kind is bool:
        return _TRUTH.get(text.strip().lower(), text)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _meant(path: str, options: Mapping[str, OptionInfo]) -> str:
    close = difflib.get_close_matches(path, options, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _lines(text: str) -> dict[str, int]:
    """Find the line of each key of a TOML text that is well-formed; keys of inline tables stand on their table's."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = _TABLE.match(line)
        if header:
            table = ".".join(_words(header[1])) + "."
            found.setdefault(table[:-1], number)
            continue
        key = _KEY.match(line)
        if key:
            words = _words(key[1])
            for count in range(1, len(words) + 1):
                found.setdefault(table + ".".join(words[:count]), number)
    return found


def _words(dotted: str) -> list[str]:
    return [word.strip().strip("\"'") for word in dotted.split(".")]
