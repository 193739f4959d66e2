"""What scripts of a worker get of the worker's settings and of its environment."""

import json
import os
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

from xfworker.api.settings.file import CONFIG_VARIABLE
from xfworker.api.settings.model import LoadedSettings
from xfworker.services.worker.script_environment import allowed_variables

_RETRIES = {"XFWORKER_HTTP_ATTEMPTS": "16", "XFWORKER_TRANSFERS_ATTEMPTS": "10"}
"""
A script that has worked for hours must not fail because the server is restarted. With waits that double from a quarter
of a second and then stay, this is about a minute.
"""
_OF_THE_WORKER = frozenset(
    {"server.url", "server.token", "server.token_file", "server.data", "server.inputs", "worker.fork_server"}
    | {"worker.control_groups"}
)
"""Settings about the worker's own way to the server, which scripts get from their job, and about how it starts them."""


def script_settings(loaded: LoadedSettings) -> dict[str, str]:
    """
    Give the worker's settings as variables, without those that are about its own way to the server.

    The settings file itself is not passed on: it may hold the worker's token.
    """
    if not loaded.sources:
        return {**_RETRIES, CONFIG_VARIABLE: ""}
    from xfworker.api.settings.parser import settings_options, variable_name

    chosen = {
        path: attrgetter(path)(loaded.settings)
        for path in settings_options()
        if path not in _OF_THE_WORKER and any(_is_part(source, path) for source in loaded.sources)
    }
    return {**_RETRIES, **{variable_name(path): _text(value) for path, value in chosen.items()}, CONFIG_VARIABLE: ""}


def script_variables(
    loaded: LoadedSettings, environment: Mapping[str, str], also: Iterable[str] = ()
) -> dict[str, str]:
    """
    Give what scripts get of the worker's environment variables.

    Args:
        loaded: The worker's settings. Where they choose a bucket without credentials, scripts get those of ``AWS_*``.
        environment: The worker's environment.
        also: Patterns of names that are allowed beside :data:`.ALLOWED_VARIABLES`.
    """
    files = loaded.settings.files
    stores = [files.kind, *(archive.get("kind") for archive in files.archives)]
    credentials = ["AWS_*"] if "s3" in stores and not (files.secret_key or files.secret_key_file) else []
    return allowed_variables(environment, [*also, *credentials])


def _is_part(source: str, path: str) -> bool:
    return source == path or source.startswith((f"{path}.", f"{path}["))


def _text(value: Any) -> str:
    if isinstance(value, bool | int | float | list | Mapping):
        return json.dumps(value, default=os.fspath)
    return str(value)
