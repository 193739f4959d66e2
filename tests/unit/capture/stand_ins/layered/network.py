"""Files and folders of the stand-in's user data."""

import os
from pathlib import Path


def list_files_and_folders_on_filestorage(token):
    folder = Path(os.environ["STAND_IN_HOME"]) / "user" / token.scopes[0][1]
    yield [{"name": path.name} for path in sorted(folder.iterdir()) if path.is_file()]
    yield []


def virtualpath_join_file(folder, name):
    return f"{folder}/{name}"
