"""A script's server and files over the genuine ``xfworkerutil``: the kind ``genuine`` of ``server.kind``."""

from pathlib import Path

from attrs import define

from xfworker.adapters.genuine.file_store import GenuineFileStore
from xfworker.adapters.genuine.module import load_genuine_module
from xfworker.adapters.genuine.xf_server import GenuineXFServer
from xfworker.api.composition.module_folders import SCRIPT_MODULE_FOLDER
from xfworker.api.settings.model import Settings
from xfworker.domain.errors import ConfigurationError
from xfworker.domain.job_arguments import JobArguments
from xfworker.ports.file_store import FileStore
from xfworker.ports.xf_server import XFServer

_OPTIONS = ("module", "key_map")


@define(frozen=True)
class GenuineParts:
    """
    What the genuine module serves.

    Attributes:
        server: The XF Server.
        files: The file store.
        arguments: Which job it is.
    """

    server: XFServer
    files: FileStore
    arguments: JobArguments


def genuine_parts(settings: Settings) -> GenuineParts:
    """
    Load the genuine module that the settings name.

    Raises:
        ConfigurationError: It cannot be found or loaded, an option is not known, or the key map is wrong.
    """
    options = settings.server.options
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise ConfigurationError(
            f"server.options: {unknown[0]!r} is not an option of the kind 'genuine'; options are {', '.join(_OPTIONS)}"
        )
    module = load_genuine_module(
        SCRIPT_MODULE_FOLDER / "xfworkerutil.py",
        Path(options["module"]) if "module" in options else None,
        Path(options["key_map"]) if "key_map" in options else None,
    )
    return GenuineParts(GenuineXFServer(module), GenuineFileStore(module), module.arguments)
