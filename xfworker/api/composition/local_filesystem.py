"""The local disks as the settings and ``XFTEMP`` choose them."""

from collections.abc import Mapping
from pathlib import Path

from xfworker.api.settings.model import Settings
from xfworker.ports.filesystem import Filesystem

TEMPORARY_FOLDER = "XFTEMP"
"""The environment variable that names the folder for working directories."""


def local_filesystem(settings: Settings, environment: Mapping[str, str]) -> Filesystem:
    """Give this machine's disks; ``XFTEMP`` says where working directories are made."""
    from xfworker.adapters.disk.filesystem import LocalFilesystem

    named = environment.get(TEMPORARY_FOLDER, "").strip()
    return LocalFilesystem(Path(named) if named else settings.disk.temp_directory, settings.disk.path_map)
