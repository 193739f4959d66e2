"""``xfworker config``: shows and checks the settings in force."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from attrs import evolve
from cyclopts import App, Parameter

from xfworker.adapters.clock import SystemClock
from xfworker.api.cli.console import messages, print_json, results
from xfworker.api.cli.help_text import group_help
from xfworker.api.composition.adapter_registry import registered, unknown_adapter
from xfworker.api.composition.file_stores import open_file_store
from xfworker.api.composition.image_formats import configured_formats
from xfworker.api.composition.local_filesystem import local_filesystem
from xfworker.api.composition.secret_files import bucket_secret_key
from xfworker.api.composition.session import OWN_SERVERS
from xfworker.domain.errors import AuthenticationFailed, ConfigurationError, PermissionDenied, ServerError, UsageError

if TYPE_CHECKING:
    from xfworker.api.settings.model import LoadedSettings

app = App(
    name="config",
    help=group_help("Show and check the settings in force.", "xfworker config check"),
    help_format="plaintext",
)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document.")]

_HIDDEN = "(hidden)"
_SECRET_NAMES = re.compile("secret|pass|pwd|token|key|credential|auth|pin$", re.IGNORECASE)
_USER_IN_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*://)[^/?#\s]*@", re.IGNORECASE)
_DEFAULT = "default"


@app.command
def show(*, as_json: Json = False) -> int:
    """
    Print every setting, its value and where it is from. Secrets are hidden.

    Exit code 0: printed; 2: a setting is wrong. Example: `xfworker config show`

    Args:
        as_json: Print one JSON document.
    """
    from rich.table import Table
    from rich.text import Text

    from xfworker.api.settings.file import load_settings

    loaded = load_settings()
    rows = _rows(loaded)
    if as_json:
        file = None if loaded.file is None else str(loaded.file)
        print_json({"file": file, "settings": rows, "ignored_variables": list(loaded.ignored)})
        return 0
    console = results()
    console.print(f"settings file: {loaded.file or 'none'}")
    table = Table()
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for path, row in rows.items():
        value = "" if row["value"] is None else str(row["value"])
        origin = row["from"] + (f"; comes before {row['instead_of']}" if "instead_of" in row else "")
        table.add_row(Text(path), Text(value), Text(origin), style=None if origin != _DEFAULT else "dim")
    console.print(table)
    _report_ignored(loaded.ignored)
    return 0


@app.command
def check(file: Path | None = None, *, as_json: Json = False) -> int:
    """
    Check the settings file, the environment variables and the adapters that they choose; a bucket is asked as well.

    Exit code 0: all is well; 1: something is wrong, and it is named; 2: called wrongly.
    Example: `xfworker config check xfworker.toml`

    Args:
        file: The settings file to check, in place of the one in force.
        as_json: Print one JSON document.
    """
    from xfworker.api.settings.file import CONFIG_VARIABLE, load_settings

    if file is not None and not file.is_file():
        raise UsageError(f"there is no settings file {file}")
    environment = dict(os.environ) if file is None else {**os.environ, CONFIG_VARIABLE: str(file)}
    errors: list[str] = []
    ignored: Mapping[str, str] = {}
    used = file
    try:
        loaded = load_settings(environment)
        ignored, used = loaded.ignored, loaded.file
        errors = _adapter_errors(loaded.settings, loaded.sources)
    except ConfigurationError as error:
        errors = [line.strip() for line in str(error).splitlines() if not line.endswith("are wrong:")]
    if as_json:
        print_json({"valid": not errors, "file": str(used) if used else None, "faults": errors})
    elif errors:
        messages().print("\n".join(errors))
    else:
        results().print(f"the settings are valid ({used or 'no file'})")
        _report_ignored(ignored)
    return 1 if errors else 0


def _rows(loaded: "LoadedSettings") -> dict[str, dict[str, Any]]:
    from xfworker.api.settings.model import SECRETS
    from xfworker.api.settings.parser import settings_options

    rows = {}
    for path in settings_options():
        value: Any = loaded.settings
        for name in path.split("."):
            value = getattr(value, name)
        printed = _HIDDEN if path in SECRETS and value else _plain(value)
        rows[path] = {"value": printed, "from": loaded.sources.get(path, _DEFAULT)}
        if path in loaded.overruled:
            rows[path]["instead_of"] = loaded.overruled[path]
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _HIDDEN if item and _sounds_secret(key) else _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return _USER_IN_ADDRESS.sub(rf"\1{_HIDDEN}@", value)
    # Tables can hold dates.
    return value if isinstance(value, int | float | None) else str(value)


def _sounds_secret(key: Any) -> bool:
    # Tables for adapters of others can hold anything.
    return _SECRET_NAMES.search(str(key)) is not None


def _report_ignored(ignored: Mapping[str, str]) -> None:
    if ignored:
        names = [f"{name} (did you mean {meant}?)" if meant else name for name, meant in ignored.items()]
        messages().print(f"these environment variables are not settings: {', '.join(names)}")


def _adapter_errors(settings: Any, sources: Any) -> list[str]:
    """Make every adapter that the settings choose, and give the errors, each with its setting."""
    attempts: list[tuple[str, Callable[[], Any]]] = [
        ("server.kind", lambda: _check_server_kind(settings)),
        ("images.codecs", lambda: configured_formats(settings)),
        ("disk.path_map", lambda: local_filesystem(settings, {})),
        ("tls.ca_file", lambda: _tls(evolve(settings.tls, client_certificate=None, client_key=None))),
        ("tls.client_certificate", lambda: _tls(settings.tls)),
        ("server.token_file", lambda: _token_file(settings)),
        ("files.secret_key_file", lambda: bucket_secret_key(settings.files)),
        ("files.kind", lambda: _files(settings)),
    ]
    errors: dict[str, str] = {}
    for path, attempt in attempts:
        try:
            attempt()
        except (ConfigurationError, AuthenticationFailed, PermissionDenied, ServerError) as error:
            # An error may name the very setting, such as files.archives[1].folder; the longest name says most.
            named = [setting for setting in sources if setting in str(error)]
            origin = sources.get(max(named, key=len, default=path))
            errors.setdefault(str(error), f"{origin}: {error}" if origin else str(error))
    return list(errors.values())


def _check_server_kind(settings: Any) -> None:
    kinds = [*OWN_SERVERS, *sorted(registered("server"))]
    if settings.server.kind not in kinds:
        raise unknown_adapter("server.kind", settings.server.kind, kinds)


def _files(settings: Any) -> None:
    open_file_store(settings, SystemClock()).close()
    if settings.files.kind == "s3":
        # A bucket is asked: that it is missing, refuses the secret or is not there to be asked shows in no setting.
        from xfworker.api.composition.files_location import stated_location
        from xfworker.api.composition.platform import PlatformStorage, file_store

        location = stated_location(settings.files.bucket, settings)
        file_store(PlatformStorage(data=Path(), files=location)).close()


def _tls(options: Any) -> None:
    from xfworker.adapters.http.pool import tls_context

    tls_context(options)


def _token_file(settings: Any) -> None:
    from xfworker.api.composition.client import server_token

    if settings.server.token_file is not None:
        server_token(settings)
