"""Where the files of a server are, for commands that look after them."""

from pathlib import Path

from xfworker.api.settings.model import Settings
from xfworker.domain.errors import UsageError


def files_folder(named: Path | None, settings: Settings) -> Path | None:
    """
    Give the folder of a server's files, or ``None`` for the one in its data folder.

    Args:
        named: The folder that a person named; it comes before the settings.
        settings: The settings in force, by which scripts and workers choose where files go.

    Raises:
        UsageError: They choose a store that is not a folder.
    """
    kind = settings.files.kind
    if named is not None or kind == "fss":
        return named
    if kind == "folder" and settings.files.folder is not None:
        return settings.files.folder
    raise UsageError(
        f"the settings choose files.kind = {kind!r}, so the files are not in a folder that this command can look into; "
        "look after them with that store's own means, and name the folder of the server's own files with --files"
    )
