"""What is submitted for a pilot: the worker's command line, in the batch system's template."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.api.composition.client import DEFAULT_DATA
from xfworker.api.composition.submitted_pilots import server_digest, write_private
from xfworker.api.settings.model import LoadedSettings
from xfworker.domain.errors import ConfigurationError, UsageError
from xfworker.ports.batch_system import BatchSystem
from xfworker.services.pilots.template import filled

_MINUTE_SECONDS = 60


@define(frozen=True, kw_only=True)
class PilotOptions:
    """
    What a person says of a pilot.

    Attributes:
        cores: Processor cores.
        memory_mib: Memory, MiB.
        gpus: GPUs.
        minutes: How long it may run.
        idle_minutes: After how many minutes without a job it leaves.
        concurrency: How many jobs it runs at once.
        image: The container image, where it runs in one.
        data: The folder of packages and environments, which all pilots share.
        values: Values of further placeholders.
    """

    cores: int
    memory_mib: int
    gpus: int
    minutes: int
    idle_minutes: float
    concurrency: int
    image: str
    data: Path
    values: Mapping[str, str] = field(factory=dict)


def server_location(named: str | None, loaded: LoadedSettings) -> str:
    """Give what pilots get as ``--server``: an address, or the absolute path of a data folder."""
    location = named or loaded.settings.server.url or str(DEFAULT_DATA)
    return location if "://" in location else str(Path(location).absolute())


def submitted_text(
    system: BatchSystem,
    template: Path | None,
    options: PilotOptions,
    *,
    server: str,
    logs: Path,
    token_file: str,
    config: str,
) -> str:
    """
    Give the text that is submitted for a pilot. There is no token in it.

    Args:
        system: The batch system.
        template: The file of the template; the system's own by default.
        options: What a person says of the pilot.
        server: What the worker gets as ``--server``.
        logs: The folder of the pilots' logs.
        token_file: The file with the worker's token; may be empty.
        config: The settings file; may be empty.

    Raises:
        UsageError: The template cannot be read, or has a placeholder without a value.
    """
    words = [*system.program, "worker", *_options(options, server, system)]
    variables = {"XFWORKER_SERVER_TOKEN_FILE": token_file, "XFWORKER_CONFIG": config}
    values: dict[str, Any] = {
        "name": "xfworker-pilot",
        "command": system.quoted(words),
        "program": words[0],
        "arguments": system.quoted(words[1:]),
        "variables": system.quoted([f"{name}={value}" for name, value in variables.items() if value]),
        "server": server,
        "cores": options.cores,
        "memory_mib": options.memory_mib,
        "gpus": options.gpus,
        "minutes": options.minutes,
        "seconds": options.minutes * _MINUTE_SECONDS,
        "walltime": f"{options.minutes // 60:02}:{options.minutes % 60:02}:00",
        "logs": logs,
        "image": options.image,
        "token_file": system.quoted([token_file]) if token_file else "",
        "config": system.quoted([config]) if config else "",
        **options.values,
    }
    if not options.image:
        del values["image"]
    return filled(
        _template(system, template), values, f"the template of {system.name}" if template is None else str(template)
    )


def token_file_of(loaded: LoadedSettings, folder: Path, server: str, *, write: bool) -> str:
    """
    Give the file from which pilots read the token: the one of the settings, else one that only its owner can read.

    A token never stands in what is submitted, which other users of a batch system may read.

    Args:
        loaded: The settings in force.
        folder: Where the file is made.
        server: The server; a data folder of this computer has the token in it.
        write: Whether the file is made; else only its name is given.

    Raises:
        ConfigurationError: There is no token.
    """
    if "://" not in server:
        return ""
    settings = loaded.settings.server
    if settings.token and loaded.sources.get("server.token", "").startswith("environment"):
        path = folder / f"{server_digest(server)}.token"
        if write:
            write_private(path, settings.token)
        return str(path)
    if settings.token:
        return ""  # it is in the settings file, which pilots read as well
    if settings.token_file is None:
        raise ConfigurationError(
            "there is no token for the pilots: set server.token_file in xfworker.toml to a file that the cluster's "
            "machines can read, or XFWORKER_SERVER_TOKEN here"
        )
    return str(settings.token_file.absolute())


def _options(options: PilotOptions, server: str, system: BatchSystem) -> list[str]:
    words = ["--server", server, "--cores", str(options.cores), "--memory-mib", str(options.memory_mib)]
    words += ["--walltime", str(options.minutes), "--idle-minutes", f"{options.idle_minutes:g}", "--grace", "0"]
    words += ["--concurrency", str(options.concurrency)]
    return [*words, "--data", os.fspath(options.data)] if system.shares_files else words


def _template(system: BatchSystem, path: Path | None) -> str:
    if path is None:
        return system.template
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the template {path} cannot be read: {error}") from None
