"""The environment in which a script starts."""

import os
from collections.abc import Mapping
from pathlib import Path

from xfworker.domain.job_arguments import JobArguments

TEMPORARY_FOLDER = "XFTEMP"
"""The variable that names the folder for working directories."""

_OURS = ("XF_", "XFWORKER_")


def script_environment(
    base: Mapping[str, str],
    arguments: JobArguments,
    *,
    temporary_folder: Path,
    module_folders: tuple[Path, ...] = (),
    settings: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """
    Give the whole environment of a script.

    Args:
        base: The environment of the runner. What is meant for the runner itself (``XF_*``, ``XFWORKER_*``) is left out.
        arguments: Which job the script works on, and where the server is.
        temporary_folder: Where the script makes its working directory.
        module_folders: Folders in which it finds modules by bare name, before those of ``PYTHONPATH``.
        settings: Settings for the script, ``XFWORKER_*``.
    """
    kept = {name: value for name, value in base.items() if not name.upper().startswith(_OURS)}
    paths = [str(folder) for folder in module_folders]
    if kept.get("PYTHONPATH"):
        paths.append(kept["PYTHONPATH"])
    return {
        **kept,
        **(settings or {}),
        **arguments.to_environment(),
        TEMPORARY_FOLDER: str(temporary_folder),
        "PYTHONPATH": os.pathsep.join(paths),
        # Output has to reach the log while the script runs, in UTF-8 whatever the machine's locale.
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
    }
